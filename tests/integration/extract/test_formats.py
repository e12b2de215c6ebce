# SPDX-License-Identifier: GPL-3.0-or-later
"""Each format through the real child: headings, pages, kinds and texts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from homelab_workers.contracts import Structure

from . import documents
from .conftest import Extract

pytestmark = pytest.mark.asyncio(loop_scope="session")


def outline(structure: Structure) -> list[tuple[list[str], list[tuple[str, str]]]]:
    return [(s.path, [(block.kind, block.text) for block in s.blocks]) for s in structure.sections]


def all_blocks(structure: Structure) -> list[Any]:
    return [block for section in structure.sections for block in section.blocks]


async def test_pdf_has_title_headings_lists_code_and_pages(extract: Extract) -> None:
    extraction = await extract(documents.pdf(documents.manual_pages(5)), "pumps.pdf")
    structure = extraction.structure
    assert structure.title == "The Pump Handbook"
    assert structure.pages == 5
    assert structure.engine.startswith("docling-slim ")
    third = next(section for section in structure.sections if section.heading == "3 Valve 3")
    assert third.path == ["The Pump Handbook", "3 Valve 3"]
    assert third.page == 3
    assert [(block.kind, block.text, block.page) for block in third.blocks] == [
        ("text", "Paragraph one of page 3 tells how the valve is maintained every year by the crew.", 3),
        ("text", "Paragraph two of page 3 is another matter.", 3),
        ("list_item", "1. open the lid", 3),
        ("list_item", "2. close the lid", 3),
        ("code", "valvectl --check 3\n  --verbose 3", 3),
    ]


async def test_running_headers_and_page_numbers_are_left_out(extract: Extract) -> None:
    structure = (await extract(documents.pdf(documents.manual_pages(4)), "pumps.pdf")).structure
    texts = [block.text for block in all_blocks(structure)]
    assert not any("Handbook of Pumps" in text or text.isdigit() for text in texts)


async def test_page_slices_give_the_same_document(extract: Extract) -> None:
    data = documents.pdf(documents.manual_pages(7))
    whole = (await extract(data, "pumps.pdf", page_slice=32)).structure
    sliced = (await extract(data, "pumps.pdf", page_slice=2)).structure
    assert sliced == whole
    assert [block.page for block in all_blocks(whole)] == sorted(block.page for block in all_blocks(whole))


async def test_columns_are_read_one_after_the_other(extract: Extract) -> None:
    structure = (await extract(documents.pdf([documents.two_columns()]), "paper.pdf")).structure
    text = " ".join(block.text for block in all_blocks(structure))
    assert text.index("Left column line 9") < text.index("Right column line 0")


async def test_outline_names_headings_that_look_like_text(extract: Extract) -> None:
    runs = [
        documents.Run("Plain words first.", 72, 600),
        documents.Run("Quiet heading", 72, 560),
        documents.Run("Text below it.", 72, 520),
    ]
    structure = (await extract(documents.pdf([runs], outline=[("Quiet heading", 1)]), "quiet.pdf")).structure
    assert outline(structure) == [
        ([], [("text", "Plain words first.")]),
        (["Quiet heading"], [("text", "Text below it.")]),
    ]


async def test_docx(extract: Extract) -> None:
    structure = (await extract(documents.docx_bytes(), "report.docx")).structure
    assert structure.title == "Boiler report"
    assert outline(structure) == [
        (["Boiler report"], [("text", "What was found.")]),
        (
            ["Boiler report", "Findings"],
            [("text", "The gasket is worn, replace it."), ("list_item", "order a gasket")],
        ),
        (
            ["Boiler report", "Findings", "Costs"],
            [("table", "| part | price |\n| --- | --- |\n| gasket | 12.50 |")],
        ),
    ]


async def test_pptx_slides_are_pages(extract: Extract) -> None:
    structure = (await extract(documents.pptx_bytes(), "talk.pptx")).structure
    assert structure.pages == 2
    assert [(s.heading, s.page, [(b.text, b.page) for b in s.blocks]) for s in structure.sections] == [
        ("Slide 1", 1, [("point 1", 1)]),
        ("Slide 2", 2, [("point 2", 2)]),
    ]


async def test_xlsx_sheets_are_sections(extract: Extract) -> None:
    structure = (await extract(documents.xlsx_bytes(), "stock.xlsx")).structure
    assert outline(structure) == [
        (["Stock"], [("table", "| part | count |\n| --- | --- |\n| bolt | 30 |")]),
        (["Orders"], [("table", "| order | part |\n| --- | --- |\n| 7 | nut |")]),
    ]


async def test_markdown(extract: Extract) -> None:
    structure = (await extract(documents.MARKDOWN, "guide.md")).structure
    assert outline(structure) == [
        ([], [("text", "Before all.")]),
        (["Guide"], [("text", "Use foo, bold and slanted text.")]),
        (
            ["Guide", "Install x now"],
            [
                ("list_item", "one"),
                ("list_item", "two"),
                ("table", "| key | value |\n| --- | --- |\n| a | 1 |"),
                ("code", "ls -l"),
            ],
        ),
    ]


async def test_html(extract: Extract) -> None:
    structure = (await extract(documents.HTML, "page.html")).structure
    assert outline(structure) == [
        ([], [("text", "Before.")]),
        (["Main"], [("text", "Hello bold, world.")]),
        (["Main", "Sub"], [("list_item", "first"), ("table", "| k | v |\n| --- | --- |\n| a | 1 |")]),
    ]


async def test_csv(extract: Extract) -> None:
    structure = (await extract(documents.CSV, "stock.csv")).structure
    assert outline(structure) == [([], [("table", "| name | count |\n| --- | --- |\n| bolt | 3 |\n| nut | 4,5 |")])]


async def test_eml(extract: Extract) -> None:
    structure = (await extract(documents.eml_bytes(), "order.eml")).structure
    assert structure.title == "Pump order"
    texts = [block.text for block in all_blocks(structure)]
    assert texts[0] == "From: Ada <ada@example.org>"
    assert texts[-2:] == ["First paragraph.", "Second paragraph."]


async def test_plain_text(extract: Extract) -> None:
    structure = (await extract("one\r\ntwo\r\n\r\n  # three\r\n", "notes.txt")).structure
    assert structure.mime_type == "text/plain"
    assert outline(structure) == [([], [("text", "one\ntwo"), ("text", "# three")])]


async def test_text_in_an_older_encoding(extract: Extract) -> None:
    structure = (await extract("Gr\u00fc\u00dfe aus K\u00f6ln".encode("cp1252"), "notes.txt")).structure
    assert all_blocks(structure)[0].text == "Gr\u00fc\u00dfe aus K\u00f6ln"


async def test_files_are_those_of_the_contract(extract: Extract) -> None:
    extraction = await extract(documents.pdf(documents.manual_pages(1)), "pumps.pdf")
    assert set(extraction.files) == {"document.json", "text.md", "structure.json"}
    document = json.loads(extraction.files["document.json"].read_bytes())
    assert document["schema_name"] == "DoclingDocument"
    assert "## 1 Valve 1" in extraction.files["text.md"].read_text()
    stored = Structure.model_validate_json(extraction.files["structure.json"].read_bytes())
    assert stored == extraction.structure
