# SPDX-License-Identifier: Apache-2.0
"""What a file is, by its content. Extension and MIME type decide only between kinds of plain text."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePath

from ...errors import Rejected
from .archive import check_archive
from .text import decode

_HEAD_BYTES = 1024
_SAMPLE_CHARACTERS = 16_384
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
"""The stream that holds an office document with a password (MS-OFFCRYPTO 2.3.4)."""


class Kind(Enum):
    """Value: the MIME type."""

    PDF = "application/pdf"
    DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
    XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    HTML = "text/html"
    MARKDOWN = "text/markdown"
    CSV = "text/csv"
    EML = "message/rfc822"
    TEXT = "text/plain"


_EXTENSIONS = {
    ".pdf": Kind.PDF,
    ".docx": Kind.DOCX,
    ".docm": Kind.DOCX,
    ".pptx": Kind.PPTX,
    ".pptm": Kind.PPTX,
    ".xlsx": Kind.XLSX,
    ".xlsm": Kind.XLSX,
    ".html": Kind.HTML,
    ".htm": Kind.HTML,
    ".xhtml": Kind.HTML,
    ".md": Kind.MARKDOWN,
    ".markdown": Kind.MARKDOWN,
    ".csv": Kind.CSV,
    ".tsv": Kind.CSV,
    ".eml": Kind.EML,
    ".txt": Kind.TEXT,
    ".text": Kind.TEXT,
}
_BINARY_EXTENSIONS = {".doc", ".ppt", ".xls", ".png", ".jpg", ".jpeg", ".gif", ".zip", ".gz", ".odt", ".epub"}
"""Extensions that promise something else than any text; a text under them is worth a warning."""

_MAGIC = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"{\\rtf", "an RTF document"),
    (b"SQLite format 3", "an SQLite database"),
)
_OFFICE_FOLDERS = (("word/", Kind.DOCX), ("ppt/", Kind.PPTX), ("xl/", Kind.XLSX))

_HTML = re.compile(r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S)
_TAG = re.compile(r"\s*<[a-z!][^>]*>", re.I)
_MAIL_HEADER = re.compile(r"([A-Za-z][A-Za-z0-9-]*):[ \t]?.*(?:\r?\n[ \t].*)*\r?\n")
_MAIL_NAMES = {"from", "to", "subject", "date", "message-id", "mime-version", "received", "return-path"}
_MAIL_NAMES_NEEDED = 3
_MARKDOWN = re.compile(r"^(?:#{1,6} \S|```|\[.+\]\(.+\)|[-*] \[[ x]\] )", re.M)


@dataclass(frozen=True, slots=True)
class Sniffed:
    """`text` is the decoded content of a text kind, not cleaned yet. `mismatch` says what the name promised."""

    kind: Kind
    text: str | None = None
    mismatch: str | None = None


def sniff(source: Path, name: str, mime_type: str | None) -> Sniffed:
    """Raises Rejected: `unsupported_type`, and what check_archive raises for a zip container."""
    with source.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    promised = _EXTENSIONS.get(_extension(name))
    if b"%PDF-" in head and not _HTML.match(head.decode("latin-1")):
        return Sniffed(Kind.PDF, mismatch=_mismatch(name, Kind.PDF))
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        kind = _office(check_archive(source, name), name)
        return Sniffed(kind, mismatch=_mismatch(name, kind))
    _refuse_binary(source, head, name)
    text = decode(source.read_bytes())
    if text is None:
        raise _unsupported(name, "binary data of an unknown kind")
    kind = text_kind(text, promised or _of_mime_type(mime_type))
    return Sniffed(kind, text=text, mismatch=_mismatch(name, kind))


def of_name(name: str, mime_type: str | None) -> Kind:
    """For a file without content, where the name is all there is."""
    return _EXTENSIONS.get(_extension(name)) or _of_mime_type(mime_type) or Kind.TEXT


def text_kind(text: str, promised: Kind | None) -> Kind:
    """The kind of a text: HTML and mail show themselves, else `promised` if it is a text kind, else a guess."""
    sample = text[:_SAMPLE_CHARACTERS].lstrip("\ufeff")
    if _HTML.match(sample) or (promised is Kind.HTML and _TAG.match(sample)):
        return Kind.HTML
    if _is_mail(sample, promised):
        return Kind.EML
    if promised in (Kind.MARKDOWN, Kind.CSV, Kind.TEXT):
        return promised
    if _is_csv(sample):
        return Kind.CSV
    return Kind.MARKDOWN if _MARKDOWN.search(sample) else Kind.TEXT


def _is_mail(sample: str, promised: Kind | None) -> bool:
    """A run of header lines from the first line on that names enough of what every mail has."""
    names, position = set(), 0
    while (match := _MAIL_HEADER.match(sample, position)) is not None:
        names.add(match[1].lower())
        position = match.end()
    known = len(names & _MAIL_NAMES)
    return known >= (1 if promised is Kind.EML else _MAIL_NAMES_NEEDED)


def _is_csv(sample: str) -> bool:
    lines = [line for line in sample.splitlines()[:20] if line.strip()]
    if len(lines) < 3:
        return False
    for delimiter in ",;\t":
        widths = {len(row) for row in csv.reader(lines, delimiter=delimiter)}
        if len(widths) == 1 and widths.pop() > 1:
            return True
    return False


def _office(members: list[str], name: str) -> Kind:
    if "[Content_Types].xml" in members:
        for folder, kind in _OFFICE_FOLDERS:
            if any(member.startswith(folder) for member in members):
                return kind
    raise _unsupported(name, "a ZIP archive that is no DOCX, PPTX or XLSX")


def _refuse_binary(source: Path, head: bytes, name: str) -> None:
    if head.startswith(_OLE):
        if _ENCRYPTED_PACKAGE in source.read_bytes():
            raise Rejected(
                "encrypted",
                f"{name}: the office document is protected by a password, and none is known.",
                "save it without a password and ingest it again",
            )
        raise _unsupported(name, "an Office 97-2003 document (DOC, XLS, PPT or MSG)")
    for magic, what in _MAGIC:
        if head.startswith(magic):
            raise _unsupported(name, what)


def _unsupported(name: str, what: str) -> Rejected:
    return Rejected(
        "unsupported_type",
        f"{name}: the content is {what}; read are PDF, DOCX, PPTX, XLSX, HTML, Markdown, CSV, EML and plain text.",
        "convert the file to one of these and ingest that",
    )


def _mismatch(name: str, found: Kind) -> str | None:
    extension = _extension(name)
    promised = _EXTENSIONS.get(extension)
    if promised is found or (promised is None and extension not in _BINARY_EXTENSIONS):
        return None
    return f"{name}: the content is {found.value}, not what {extension} promises; the content decided"


def _extension(name: str) -> str:
    return PurePath(name).suffix.lower()


def _of_mime_type(mime_type: str | None) -> Kind | None:
    essence = (mime_type or "").partition(";")[0].strip().lower()
    return next((kind for kind in Kind if kind.value == essence), None)
