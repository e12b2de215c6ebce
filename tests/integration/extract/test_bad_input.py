# SPDX-License-Identifier: GPL-3.0-or-later
"""Input that cannot be read ends with a code, and a message that names file, rule and fix."""

from __future__ import annotations

import pytest

from homelab_workers.contracts import Structure
from homelab_workers.errors import Rejected

from . import documents
from .conftest import Extract

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXT = documents.pdf(documents.manual_pages(6))


@pytest.mark.parametrize(
    ("code", "name", "data", "limits"),
    [
        ("encrypted", "secret.pdf", documents.pdf(documents.manual_pages(1), user_password="open"), {}),
        (
            "encrypted",
            "secret.docx",
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512) + "EncryptedPackage".encode("utf-16-le"),
            {},
        ),
        ("truncated", "half.pdf", TEXT[: len(TEXT) // 2], {}),
        ("truncated", "half.docx", documents.docx_bytes()[:8000], {}),
        ("damaged", "broken.pdf", b"%PDF-1.4\nnothing of a document\n%%EOF\n", {}),
        (
            "damaged",
            "broken.docx",
            documents.zip_bytes({"[Content_Types].xml": b"<Types", "word/document.xml": b"<w:p"}),
            {},
        ),
        ("bomb", "bomb.docx", documents.bomb_docx(), {}),
        (
            "bomb",
            "slip.docx",
            documents.zip_bytes({"[Content_Types].xml": b"<Types/>", "word/../../evil": b"x"}),
            {},
        ),
        ("unsupported_type", "noise.txt", documents.noise(), {}),
        ("unsupported_type", "photo.pdf", b"\x89PNG\r\n\x1a\n" + documents.noise(100), {}),
        ("unsupported_type", "files.zip", documents.zip_bytes({"a.txt": b"hello"}), {}),
        ("unsupported_type", "old.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), {}),
        ("too_large", "big.txt", b"x" * 2000, {"max_bytes": 1000}),
        ("too_many_pages", "long.pdf", TEXT, {"max_pages": 5}),
        ("too_many_pages", "talk.pptx", documents.pptx_bytes(), {"max_pages": 1}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_rejected(extract: Extract, code: str, name: str, data: bytes, limits: dict[str, int]) -> None:
    with pytest.raises(Rejected) as caught:
        await extract(data, name, **limits)
    assert caught.value.code == code
    assert caught.value.message.startswith(f"{name}: ")
    assert caught.value.fix


async def test_owner_password_alone_does_not_matter(extract: Extract) -> None:
    structure = (await extract(documents.pdf(documents.manual_pages(1), user_password=""), "guarded.pdf")).structure
    assert structure.title == "The Pump Handbook"
    assert structure.warnings == []


def blocks(structure: Structure) -> list[str]:
    return [block.text for section in structure.sections for block in section.blocks]


def codes(structure: Structure) -> list[str]:
    return [warning.code for warning in structure.warnings]


@pytest.mark.parametrize(("name", "mime_type"), [("empty.pdf", "application/pdf"), ("empty.txt", "text/plain")])
async def test_empty_file(extract: Extract, name: str, mime_type: str) -> None:
    structure = (await extract(b"", name)).structure
    assert blocks(structure) == []
    assert codes(structure) == ["empty"]
    assert structure.mime_type == mime_type


async def test_white_space_only(extract: Extract) -> None:
    structure = (await extract(" \n\n\t\n", "blank.txt")).structure
    assert (blocks(structure), codes(structure)) == ([], ["empty"])


async def test_scanned_pdf_names_ocr(extract: Extract) -> None:
    structure = (await extract(documents.pdf([[], []], image=True), "scan.pdf")).structure
    assert structure.pages == 2
    assert (blocks(structure), codes(structure)) == ([], ["no_text_layer"])
    assert "OCR" in structure.warnings[0].message


async def test_content_decides_over_the_extension(extract: Extract) -> None:
    structure = (await extract(documents.HTML, "page.pdf", "application/pdf")).structure
    assert structure.mime_type == "text/html"
    assert codes(structure) == ["extension_mismatch"]
    assert "page.pdf" in structure.warnings[0].message
    assert "Hello bold, world." in blocks(structure)


@pytest.mark.parametrize("name", ["notes.txt", "notes.md", "notes.html"])
async def test_nul_and_lone_surrogates_are_replaced(extract: Extract, name: str) -> None:
    body = b"before\x00after \xed\xa0\x80 end of the story"
    data = b"<html><body><p>" + body + b"</p></body></html>" if name.endswith(".html") else body
    extraction = await extract(data, name)
    assert codes(extraction.structure) == ["replaced_characters"]
    assert blocks(extraction.structure) == ["before\ufffdafter \ufffd end of the story"]
    for path in extraction.files.values():
        assert b"\x00" not in path.read_bytes()
        path.read_text(encoding="utf-8", errors="strict")


async def test_next_document_works_after_all_that(extract: Extract) -> None:
    assert (await extract("still here", "notes.txt")).structure.sections[0].blocks[0].text == "still here"
