# SPDX-License-Identifier: Apache-2.0
"""Bytes to text, and text that every store behind us can hold."""

from __future__ import annotations

import codecs
import re

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_MAX_CONTROL_SHARE = 0.02
"""Of a text in no Unicode encoding. Random bytes have 0.1, 8-bit text has next to none."""
_MAX_CONTROL_SHARE_UNICODE = 0.3
"""Valid UTF-8 of random origin is short of multi-byte characters, and may hold NULs that are replaced later."""

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def clean(text: str) -> str:
    """NUL and lone surrogates (Postgres and UTF-8 take neither) become U+FFFD."""
    return _UNSTORABLE.sub(REPLACEMENT, text)


def decode(data: bytes) -> str | None:
    """`data` as text, lone surrogates and NULs kept; None for what is not text.

    Byte order mark, else UTF-8, else Windows-1252, which decodes nearly every 8-bit text that names no encoding.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            try:
                return data.decode(encoding, "surrogatepass")
            except UnicodeDecodeError:
                break
    try:
        text, share = data.decode("utf-8", "surrogatepass"), _MAX_CONTROL_SHARE_UNICODE
    except UnicodeDecodeError:
        text, share = data.decode("cp1252", "replace"), _MAX_CONTROL_SHARE
        if text.count(REPLACEMENT) > share * len(text):
            return None
    return text if len(_CONTROL.findall(text)) <= share * len(text) else None
