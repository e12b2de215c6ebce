# SPDX-License-Identifier: Apache-2.0
"""A PDF's text layer to a DoclingDocument: docling-parse, the heuristics, docling's rule-based reading order.

Docling's own pipelines build an object per character and word, and render every page. Without that docling-parse
is an order of magnitude faster and needs little memory, so the stages are called directly.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c
from docling.models.postprocessing.reading_order_rb import PageElement, ReadingOrderPredictor
from docling_core.types.doc import (
    BoundingBox,
    CoordOrigin,
    DocItemLabel,
    DoclingDocument,
    ListGroup,
    ProvenanceItem,
    Size,
)
from docling_parse.pdf_parser import (
    ContentConfig,
    ContentLevel,
    DecodeConfig,
    DoclingThreadedPdfParser,
    PageParseResult,
    PdfTableOfContents,
    ThreadedPdfParserConfig,
)

from ...contracts import Warned
from ...errors import Rejected
from .heuristic_pdf import Block, Line, OutlineEntry, PdfPage, Word, layout, styled
from .text import clean

_LINES_AND_WORDS = ContentConfig(
    char_cells_content_level=ContentLevel.COMPUTE,
    word_cells_content_level=ContentLevel.COMPUTE,
    line_cells_content_level=ContentLevel.COMPUTE,
    shapes_content_level=ContentLevel.SKIP,
    bitmaps_content_level=ContentLevel.SKIP,
    include_bitmap_bytes=False,
)
"""Computed but not materialised: a pydantic object per cell is what makes docling-parse slow."""
_RESULTS_AHEAD = 4
_TAIL_BYTES = 4096
"""ISO 32000 Annex H wants %%EOF in the last 1024 bytes; some producers append more than that."""
_WORDS_SKIPPED = 20
"""Blank words between two lines at most."""
_TOUCHING = 2.0
"""Points by which the boxes of consecutive lines may overlap."""
_LABELS = {"text": DocItemLabel.TEXT, "caption": DocItemLabel.CAPTION}


def convert_pdf(source: Path, name: str, *, max_pages: int, page_slice: int) -> tuple[DoclingDocument, list[Warned]]:
    """Raises Rejected: `encrypted`, `truncated`, `damaged`, `too_many_pages`."""
    _check_end(source, name)
    pages, outline, failed = _read(source, name, max_pages, page_slice)
    if pages and len(failed) == len(pages):
        raise _damaged(name, f"none of its {len(pages)} pages can be read ({failed[0][1]})")
    warnings = [Warned(code="page_unreadable", message=f"{name}: page {number}: {why}") for number, why in failed]
    document = DoclingDocument(name=Path(name).stem or name)
    for page in pages:
        document.add_page(page.number, Size(width=page.width, height=page.height))
    order = ReadingOrderPredictor()
    for page, blocks in zip(pages, layout(pages, outline), strict=True):
        _add_blocks(document, page, _in_reading_order(order, page, blocks))
    return document, warnings


def _check_end(source: Path, name: str) -> None:
    with source.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read()
    if b"%%EOF" not in tail:
        raise Rejected(
            "truncated",
            f"{name}: the PDF is truncated: its end mark %%EOF is missing after {size} bytes.",
            "copy or download the file again from its origin",
        )


# ---------------------------------------------------------------- reading


def _read(
    source: Path, name: str, max_pages: int, page_slice: int
) -> tuple[list[PdfPage], list[OutlineEntry], list[tuple[int, str]]]:
    pages: list[PdfPage] = []
    outline: list[OutlineEntry] = []
    failed: list[tuple[int, str]] = []
    start, total = 1, 1
    while start <= total:
        parser = _parser()
        key = _load(parser, source, name, (start, start + page_slice - 1))
        if start == 1:
            total = parser.page_count(key)
            if total > max_pages:
                raise Rejected(
                    "too_many_pages",
                    f"{name}: it has {total} pages, allowed are {max_pages}.",
                    "split the document, or raise the extractor's max_pages",
                )
            annotations = parser.get_annotations(key)
            if annotations is not None and annotations.table_of_contents is not None:
                outline = list(_entries(annotations.table_of_contents, 1))
        for result in parser.iterate_results():
            pages.append(_page(result))
            if not result.success:
                failed.append((result.page_number, result.error_message[:200]))
        parser.unload(key)
        start += page_slice
    pages.sort(key=lambda page: page.number)
    return pages, outline, failed


def _parser() -> DoclingThreadedPdfParser:
    return DoclingThreadedPdfParser(
        parser_config=ThreadedPdfParserConfig(
            loglevel="fatal", threads=1, max_concurrent_results=_RESULTS_AHEAD, page_content_config=_LINES_AND_WORDS
        ),
        decode_config=DecodeConfig(release_native_memory_every_n_pages=8),
    )


def _load(parser: DoclingThreadedPdfParser, source: Path, name: str, page_range: tuple[int, int]) -> str:
    try:
        return parser.load(source, page_range=page_range)
    except (RuntimeError, ValueError) as error:
        if _needs_password(source):
            raise Rejected(
                "encrypted",
                f"{name}: the PDF opens with a password only, and none is known.",
                "save it without a password and ingest it again",
            ) from error
        raise _damaged(name, "its structure cannot be read") from error


def _needs_password(source: Path) -> bool:
    """docling-parse says only that it failed (and names the path); PDFium knows why."""
    try:
        pdfium.PdfDocument(source).close()
    except pdfium.PdfiumError as error:
        return bool(error.err_code == pdfium_c.FPDF_ERR_PASSWORD)
    return False


def _page(result: PageParseResult) -> PdfPage:
    if not result.success:
        return PdfPage(result.page_number, 0.0, 0.0, [])
    height = result.page_height
    # The public get_page() builds a pydantic object per cell; docling's own backend reads shapes this way.
    decoder = result._require_page_decoder()
    words = [
        Word(
            x=(cell.r_x0 + cell.r_x2) / 2,
            y=height - (cell.r_y0 + cell.r_y2) / 2,
            height=abs(cell.r_y2 - cell.r_y0),
            font=cell.font_name,
            characters=len(cell.text),
        )
        for cell in decoder.get_word_cells()
    ]
    lines = []
    position = 0
    for cell in decoder.get_line_cells():
        text = clean(cell.text)
        if not text.strip():
            continue
        xs, ys = (cell.r_x0, cell.r_x1, cell.r_x2, cell.r_x3), (cell.r_y0, cell.r_y1, cell.r_y2, cell.r_y3)
        line = Line(text, min(xs), height - max(ys), max(xs), height - min(ys), size=max(ys) - min(ys))
        inside, position = _words_of(line, words, position)
        lines.append(styled(line, inside))
    return PdfPage(result.page_number, result.page_width, height, lines)


def _words_of(line: Line, words: list[Word], position: int) -> tuple[list[Word], int]:
    """The words in `line`, and where the next line's begin: both come in the order of the content stream."""

    def inside(word: Word) -> bool:
        return line.left - 1 <= word.x <= line.right + 1 and line.top - 1 <= word.y <= line.bottom + 1

    start = position
    while start < min(len(words), position + _WORDS_SKIPPED) and not inside(words[start]):
        start += 1
    end = start
    while end < len(words) and inside(words[end]):
        end += 1
    return (words[start:end], end) if end > start else ([], position)


def _entries(node: PdfTableOfContents, level: int) -> Iterator[OutlineEntry]:
    for child in node.children:
        page = child.destination.page_no if child.destination is not None else None
        yield OutlineEntry(clean(child.text), level, page)
        yield from _entries(child, level + 1)


def _damaged(name: str, detail: str) -> Rejected:
    return Rejected(
        "damaged",
        f"{name}: the PDF is damaged: {detail[:300]}.",
        "open it in a viewer and print it to a new PDF, or get it again from its origin",
    )


# ---------------------------------------------------------------- building


def _in_reading_order(order: ReadingOrderPredictor, page: PdfPage, blocks: list[Block]) -> list[Block]:
    if _stacked(blocks):
        return blocks
    size = Size(width=page.width, height=page.height)
    elements = [
        PageElement(
            cid=index,
            text="",
            page_no=page.number,
            page_size=size,
            label=DocItemLabel.TEXT,
            **_box(block, page.height).model_dump(),
        )
        for index, block in enumerate(blocks)
    ]
    return [blocks[element.cid] for element in order.predict_reading_order(elements)]


def _stacked(blocks: list[Block]) -> bool:
    """One below the other, as most pages are: there is nothing to find out then."""
    return all(below.top > above.bottom - _TOUCHING for above, below in pairwise(blocks))


def _box(block: Block, page_height: float) -> BoundingBox:
    return BoundingBox(
        l=block.left,
        t=page_height - block.top,
        r=block.right,
        b=page_height - block.bottom,
        coord_origin=CoordOrigin.BOTTOMLEFT,
    )


def _add_blocks(document: DoclingDocument, page: PdfPage, blocks: list[Block]) -> None:
    group: ListGroup | None = None
    for block in blocks:
        box = _box(block, page.height)
        prov = ProvenanceItem(page_no=page.number, bbox=box, charspan=(0, len(block.text)))
        if block.label == "list_item":
            group = group or document.add_list_group()
            enumerated = block.marker[-1:] in ".)"
            document.add_list_item(block.text, enumerated=enumerated, marker=block.marker, prov=prov, parent=group)
            continue
        group = None
        if block.label == "title":
            document.add_title(block.text, prov=prov)
        elif block.label == "heading":
            document.add_heading(block.text, level=block.level, prov=prov)
        elif block.label == "code":
            document.add_code(block.text, prov=prov)
        else:
            document.add_text(_LABELS[block.label], block.text, prov=prov)
