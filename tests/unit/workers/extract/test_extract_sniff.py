# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from homelab_workers.adapters.docling.sniff import Kind, of_name, sniff, text_kind
from homelab_workers.errors import Rejected

MAIL = "From: a@example.org\nTo: b@example.org\nSubject: hello\n\nbody\n"
CSV = "a;b\n1;2\n3;4\n"


@pytest.mark.parametrize(
    ("text", "promised", "kind"),
    [
        ("<!DOCTYPE html><p>x", None, Kind.HTML),
        ("\ufeff <?xml version='1.0'?>\n<!-- c -->\n<html>", Kind.TEXT, Kind.HTML),
        ("<p>a fragment</p>", Kind.HTML, Kind.HTML),
        ("<p>a fragment</p>", Kind.MARKDOWN, Kind.MARKDOWN),
        ("no tag at all", Kind.HTML, Kind.TEXT),
        (MAIL, None, Kind.EML),
        (MAIL, Kind.TEXT, Kind.EML),
        ("Subject: alone\n\nbody", Kind.EML, Kind.EML),
        ("Note: this is\nWarning: no mail\n", Kind.TEXT, Kind.TEXT),
        (CSV, None, Kind.CSV),
        (CSV, Kind.TEXT, Kind.TEXT),
        ("# Heading\n\ntext", None, Kind.MARKDOWN),
        ("# a comment in a file named .txt", Kind.TEXT, Kind.TEXT),
        ("# a comment, not a row", Kind.CSV, Kind.CSV),
        ("just words", Kind.PDF, Kind.TEXT),
        ("just words", None, Kind.TEXT),
    ],
)
def test_kind_of_a_text(text: str, promised: Kind | None, kind: Kind) -> None:
    assert text_kind(text, promised) is kind


@pytest.mark.parametrize(
    ("name", "mime_type", "mismatch"),
    [
        ("a.pdf", None, False),
        ("A.PDF", "text/plain", False),
        ("a.docx", "application/pdf", True),
        ("a.png", None, True),
        ("a", None, False),
        ("a.unknown", None, False),
    ],
)
def test_pdf_under_other_names(tmp_path: Path, name: str, mime_type: str | None, mismatch: bool) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"\n\n%PDF-1.7\nrest")
    sniffed = sniff(source, name, mime_type)
    assert sniffed.kind is Kind.PDF
    assert bool(sniffed.mismatch) is mismatch


def test_html_that_mentions_pdf_is_html(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("<html><body>a file starts with %PDF-1.7</body></html>")
    assert sniff(source, "a.html", None).kind is Kind.HTML


def test_mime_type_decides_where_the_name_says_nothing(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("plain words")
    assert sniff(source, "upload", "text/markdown; charset=utf-8").kind is Kind.MARKDOWN
    assert sniff(source, "upload.txt", "text/markdown").kind is Kind.TEXT
    assert of_name("upload", "text/csv") is Kind.CSV
    assert of_name("upload", None) is Kind.TEXT


@pytest.mark.parametrize(
    ("data", "what"),
    [(b"\x1f\x8b\x08rest", "gzip"), (b"{\\rtf1 hello}", "RTF"), (bytes(range(256)) * 8, "unknown kind")],
)
def test_other_content_is_named(tmp_path: Path, data: bytes, what: str) -> None:
    source = tmp_path / "source"
    source.write_bytes(data)
    with pytest.raises(Rejected, match=what) as caught:
        sniff(source, "a.txt", None)
    assert caught.value.code == "unsupported_type"
