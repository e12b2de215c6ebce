# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homelab_workers.adapters.docling.text import clean, decode


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_encodings(encoding: str) -> None:
    assert decode("Grüße 👋 всем\n".encode(encoding)) == "Grüße 👋 всем\n"


def test_windows_1252() -> None:
    text = "\u201eKöln\u201c \u2013 5 €"
    assert decode(text.encode("cp1252")) == text


def test_random_bytes_are_no_text() -> None:
    generator = random.Random(3)
    assert all(decode(generator.randbytes(2000)) is None for _unused in range(200))


def test_surrogates_and_nuls_are_text_until_cleaned() -> None:
    text = decode(b"some words\x00 more \xed\xb0\x80 words")
    assert text == "some words\x00 more \udc00 words"
    assert clean(text) == "some words\ufffd more \ufffd words"


@given(st.text(alphabet=st.characters(codec=None)))
def test_clean_text_is_storable(text: str) -> None:
    cleaned = clean(text)
    assert len(cleaned) == len(text)
    assert "\x00" not in cleaned
    cleaned.encode("utf-8")
    assert clean(cleaned) == cleaned
