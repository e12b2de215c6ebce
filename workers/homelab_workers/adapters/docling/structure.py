# SPDX-License-Identifier: Apache-2.0
"""A DoclingDocument, whatever format it came from, to our Structure: sections with blocks in reading order."""

from __future__ import annotations

from collections.abc import Iterator

from docling_core.types.doc import (
    DocItem,
    DocItemLabel,
    DoclingDocument,
    GroupItem,
    GroupLabel,
    ListItem,
    NodeItem,
    SectionHeaderItem,
    TableItem,
    TextItem,
    TitleItem,
)

from ...contracts import Block, Section, Structure, Warned
from .text import clean

_KINDS = {
    DocItemLabel.LIST_ITEM: "list_item",
    DocItemLabel.CODE: "code",
    DocItemLabel.CAPTION: "caption",
    DocItemLabel.FORMULA: "formula",
}
_TITLE_LEVEL = 0
_OPENING = tuple("([{\u00ab\u201c\u2018")
_CLOSING = tuple(".,;:!?)]}\u00bb\u201d\u2019")


def structure_of(document: DoclingDocument, *, mime_type: str, engine: str, warnings: list[Warned]) -> Structure:
    """Sections follow the headings; text in front of the first one is a section without a heading."""
    builder = _Builder(document)
    for item, _unused in document.iterate_items(with_groups=True):
        builder.add(item)
    sections = [section for section in builder.sections if section.blocks or section.heading]
    return Structure(
        title=builder.title or next((section.heading for section in sections if section.heading), None),
        mime_type=mime_type,
        engine=engine,
        pages=len(document.pages) or None,
        sections=sections,
        warnings=warnings,
    )


class _Builder:
    def __init__(self, document: DoclingDocument) -> None:
        self._document = document
        self._path: list[tuple[int, str]] = []
        self.sections = [Section()]
        self.title: str | None = None
        self._used: set[str] = set()
        """References of what is part of a block already."""

    def add(self, item: NodeItem) -> None:
        if item.self_ref in self._used or (item.parent is not None and item.parent.cref in self._used):
            self._used.add(item.self_ref)
        elif isinstance(item, GroupItem):
            self._group(item)
        elif isinstance(item, TitleItem):
            self._open(self._text(item), _TITLE_LEVEL, _page_of(item))
            self.title = self.title or self.sections[-1].heading or None
        elif isinstance(item, SectionHeaderItem):
            self._open(self._text(item), item.level, _page_of(item))
        elif isinstance(item, TableItem):
            self._used.add(item.self_ref)  # what its cells are made of comes as items of its own
            self._block("table", "\n".join(table_rows(item)), _page_of(item))
        elif isinstance(item, ListItem):
            marker = f"{item.marker} " if item.enumerated and item.marker else ""
            self._block("list_item", marker + self._text(item), _page_of(item))
        elif isinstance(item, TextItem):
            self._block(_KINDS.get(item.label, "text"), self._text(item), _page_of(item))

    def _group(self, group: GroupItem) -> None:
        if group.label is GroupLabel.SHEET:
            self._open(group.name.removeprefix("sheet: "), _TITLE_LEVEL, None)
        elif group.label is GroupLabel.INLINE:
            self._block("text", self._inline(group), _page_of_first(self._document, group))

    def _text(self, item: TextItem) -> str:
        """Its own text, else that of the inline group in which docling keeps text with several formats."""
        if item.text or not item.children:
            return item.text
        first = item.children[0].resolve(self._document)
        return self._inline(first) if isinstance(first, GroupItem) and first.label is GroupLabel.INLINE else ""

    def _inline(self, group: NodeItem) -> str:
        """Runs of one paragraph; docling strips the space between them, so it is set again by what they are."""
        self._used.add(group.self_ref)
        text = ""
        for child in group.children:
            piece = getattr(child.resolve(self._document), "text", "")
            glue = "" if not text or piece[:1] in _CLOSING or text[-1:] in _OPENING else " "
            text += glue + piece
        return text

    def _open(self, heading: str, level: int, page: int | None) -> None:
        heading = " ".join(clean(heading).split())
        if not heading:
            return
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        self._path.append((level, heading))
        self.sections.append(Section(heading=heading, path=[text for _unused, text in self._path], page=page))

    def _block(self, kind: str, text: str, page: int | None) -> None:
        text = clean(text).strip()
        if text:
            self.sections[-1].blocks.append(Block.model_validate({"kind": kind, "text": text, "page": page}))


def table_rows(table: TableItem) -> Iterator[str]:
    """Markdown rows without padding; a cell that spans several places stands in the first only."""
    width = table.data.num_cols
    rows = [[""] * width for _unused in range(table.data.num_rows)]
    for cell in table.data.table_cells:
        rows[cell.start_row_offset_idx][cell.start_col_offset_idx] = " ".join(cell.text.split()).replace("|", "\\|")
    if not any(any(row) for row in rows):
        return
    for index, row in enumerate(rows):
        yield f"| {' | '.join(row)} |"
        if index == 0:
            yield f"|{' --- |' * width}"


def scrub(document: DoclingDocument) -> int:
    """Cleans the document's own texts in place; returns how many held NUL or lone surrogates."""
    count = 0
    for text in document.texts:
        if (cleaned := clean(text.text)) != text.text or clean(text.orig) != text.orig:
            text.text, text.orig = cleaned, clean(text.orig)
            count += 1
    for table in document.tables:
        for cell in table.data.table_cells:
            if (cleaned := clean(cell.text)) != cell.text:
                cell.text = cleaned
                count += 1
    return count


def _page_of(item: DocItem) -> int | None:
    return item.prov[0].page_no if item.prov else None


def _page_of_first(document: DoclingDocument, group: GroupItem) -> int | None:
    children = (child.resolve(document) for child in group.children)
    return next((_page_of(child) for child in children if isinstance(child, DocItem)), None)
