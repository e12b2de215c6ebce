# SPDX-License-Identifier: Apache-2.0
"""Lines of a PDF to labelled blocks, without any model: geometry, font size and name, and the outline.

Pure functions over light records. All pages are looked at together, because what is body text, a running
header or a heading level shows only across the document. Lengths are PDF points, the origin is top left.
The thresholds were set on bashref.pdf and bash.pdf (Debian bash-doc) and the documents of the tests.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from statistics import median, multimode
from typing import Literal

Label = Literal["title", "heading", "text", "list_item", "code", "caption"]

_HEADING_RATIO = 1.15
_BOLD_HEADING_RATIO = 0.97
_TITLE_RATIO = 1.3
_SAME_SIZE = 0.18
_MAX_HEADING_CHARACTERS = 160
_MAX_HEADING_LINES = 3
_LINE_GAP = 0.75
_LOOK_BACK = 40
_BAND = 0.1
"""Share of the page height at top and bottom where running headers and footers are."""
_RUNNING_PAGES = 3
_MAX_LEVEL = 6
_STYLE_SHARE = 0.9
"""Of a line's characters; the rest may be a footnote sign or a trailing comma."""
_MAX_BOLD_HEADING = 80
_SHORT_LINE = 0.15
_MAX_INDENT = 16
"""Characters by which a line of code may be indented against the one above."""

_SIGN = r"[\u2022\u2023\u25e6\u2043\u25cf\u25aa\u25a0\u00b7\uf0b7\u2013*-]"
_BULLET = re.compile(rf"^\s*{_SIGN}\s+(?=\S)")
_BARE_BULLET = re.compile(
    r"^\s*(?:[\u2022\u2023\u25e6\u2043\u25cf\u25aa\u25a0\u00b7\uf0b7\u2013*-]|\(?[a-z0-9]{1,3}[.)])\s*$"
)
_ENUMERATOR = re.compile(r"^\s*\(?(?:\d{1,3}|[a-z]|[ivx]{1,4})[.)]\s+(?=\S)")
_NUMBERED = re.compile(r"^(\d{1,3}(?:\.\d{1,3})*|[A-Z](?:\.\d{1,3})+)\.?\s+(?=\S)")
_CHAPTER = re.compile(r"^(?:chapter|appendix|part)\s+(?:\d{1,3}|[A-Z]|[IVXL]+)\b", re.I)
_CAPTION = re.compile(r"^(?:figure|fig\.|table|listing)\s+\d+", re.I)
_MAX_CAPTION = 300
_LEADER = re.compile(r"(?:\s*\.){4,}\s*")
_LEADER_ENTRY = re.compile(r"(?:\s*\.){4,}\s*\w*\s*$")
_PAGE_NUMBER = re.compile(r"^\W*(?:page\s+)?(?:\d{1,4}|[ivxlc]{1,7})(?:\s*(?:of|/)\s*\d{1,4})?\W*$", re.I)
_BOLD_FONT = re.compile(r"bold|black|heavy|semibold|demi|cmbx", re.I)
_MONO_FONT = re.compile(r"mono|courier|consol|menlo|typewriter|cmtt|cmsltt", re.I)
_HYPHENATED = re.compile(r"[^\W\d_]{2}-$")


@dataclass(frozen=True, slots=True)
class Line:
    """A run of text on one baseline. `size` is its usual character height, `bold` and `mono` hold throughout."""

    text: str
    left: float
    top: float
    right: float
    bottom: float
    size: float
    bold: bool = False
    mono: bool = False

    @property
    def pitch(self) -> float:
        """Mean width of a character."""
        return (self.right - self.left) / len(self.text)


@dataclass(frozen=True, slots=True)
class Word:
    """`x`, `y` is its middle."""

    x: float
    y: float
    height: float
    font: str
    characters: int


@dataclass(frozen=True, slots=True)
class PdfPage:
    number: int
    width: float
    height: float
    lines: list[Line]


@dataclass(frozen=True, slots=True)
class OutlineEntry:
    """A bookmark; `level` counts from 1."""

    title: str
    level: int
    page: int | None


Bookmarks = Mapping[tuple[int | None, str], int]
"""(page, bare title) -> level."""


@dataclass(slots=True)
class Block:
    """Lines that belong together. `level` is a heading's, from 1."""

    page: int
    lines: list[Line]
    label: Label = "text"
    level: int = 1
    marker: str = ""
    alone: bool = True
    """Nothing stands beside it on the page."""
    text: str = field(init=False)

    def __post_init__(self) -> None:
        self.text = _code_text(self.lines) if self.mono and len(self.lines) > 1 else _prose(self.lines)

    @property
    def left(self) -> float:
        return min(line.left for line in self.lines)

    @property
    def right(self) -> float:
        return max(line.right for line in self.lines)

    @property
    def top(self) -> float:
        return min(line.top for line in self.lines)

    @property
    def bottom(self) -> float:
        return max(line.bottom for line in self.lines)

    @property
    def size(self) -> float:
        return median(line.size for line in self.lines)

    @property
    def mono(self) -> bool:
        return all(line.mono for line in self.lines)

    @property
    def bold(self) -> bool:
        return all(line.bold for line in self.lines)


def layout(pages: Sequence[PdfPage], outline: Sequence[OutlineEntry] = ()) -> list[list[Block]]:
    """Labelled blocks per page, top to bottom; reading order across columns is the caller's next step."""
    pages = without_running_lines(pages)
    body = body_size(pages)
    blocks = [[block for block in group_lines(page, body) if block.text] for page in pages]
    _label([block for page in blocks for block in page], body, outline)
    return blocks


def body_size(pages: Iterable[PdfPage]) -> float:
    """The line height most characters have, to half a point; 0 for no text."""
    characters: Counter[float] = Counter()
    for page in pages:
        for line in page.lines:
            characters[round(line.size * 2) / 2] += len(line.text)
    return characters.most_common(1)[0][0] if characters else 0.0


# ---------------------------------------------------------------- fonts


def styled(line: Line, words: Sequence[Word]) -> Line:
    """`line` with size and style of the words in it.

    The parser knows a line's box, which one tall sign makes taller, and the font of its first character only.
    """
    characters = sum(word.characters for word in words)
    if not characters:
        return line
    heights: Counter[float] = Counter()
    for word in words:
        heights[round(word.height, 1)] += word.characters
    bold = sum(word.characters for word in words if _is_bold(word.font))
    mono = sum(word.characters for word in words if _is_mono(word.font))
    return replace(
        line,
        size=heights.most_common(1)[0][0],
        bold=bold >= _STYLE_SHARE * characters,
        mono=mono >= _STYLE_SHARE * characters,
    )


@cache
def _is_bold(font: str) -> bool:
    return _BOLD_FONT.search(font) is not None


@cache
def _is_mono(font: str) -> bool:
    return _MONO_FONT.search(font) is not None


# ---------------------------------------------------------------- running headers and footers


def without_running_lines(pages: Sequence[PdfPage]) -> list[PdfPage]:
    """Drops what repeats in the top or bottom band of several pages, and page numbers there."""
    seen: defaultdict[str, set[int]] = defaultdict(set)
    for page in pages:
        for line in page.lines:
            if _in_band(line, page):
                seen[_without_digits(line.text)].add(page.number)
    running = {text for text, numbers in seen.items() if len(numbers) >= _RUNNING_PAGES}

    def keep(line: Line, page: PdfPage) -> bool:
        if not _in_band(line, page):
            return True
        return _without_digits(line.text) not in running and not _PAGE_NUMBER.match(line.text)

    return [replace(page, lines=[line for line in page.lines if keep(line, page)]) for page in pages]


def _in_band(line: Line, page: PdfPage) -> bool:
    return line.bottom < _BAND * page.height or line.top > (1 - _BAND) * page.height


def _without_digits(text: str) -> str:
    return re.sub(r"\d+", "#", text).strip().casefold()


# ---------------------------------------------------------------- lines to blocks


def group_lines(page: PdfPage, body: float) -> list[Block]:
    """Joins lines of one column, size and kind of font with small gaps, from the top down."""
    groups: list[list[Line]] = []
    for line in _with_bullets(page.lines):
        for group in reversed(groups[-_LOOK_BACK:]):
            if _continues(group, line, body):
                group.append(line)
                break
        else:
            groups.append([line])
    blocks = [Block(page.number, group) for group in groups]
    for block in blocks:
        middle = (block.top + block.bottom) / 2
        block.alone = not any(other is not block and other.top < middle < other.bottom for other in blocks)
    return blocks


def _with_bullets(lines: Sequence[Line]) -> list[Line]:
    """Lines from the top down; a bullet or number that stands alone is joined with the text beside it."""
    ordered = sorted((line for line in lines if line.text.strip()), key=lambda line: (line.top, line.left))
    result: list[Line] = []
    used: set[int] = set()
    for index, line in enumerate(ordered):
        if index in used:
            continue
        if _BARE_BULLET.match(line.text):
            for other in range(max(0, index - 8), min(len(ordered), index + 9)):
                item = ordered[other]
                if other == index or other in used:
                    continue
                middle = (line.top + line.bottom) / 2
                if item.top <= middle <= item.bottom and 0 < item.left - line.right < 3 * item.size:
                    used.add(other)
                    if item in result:
                        result.remove(item)
                    line = replace(item, text=f"{line.text.strip()} {item.text}", left=line.left)
                    break
        result.append(line)
    return result


def _continues(group: list[Line], line: Line, body: float) -> bool:
    last = group[-1]
    if line.mono and last.mono:
        in_column = abs(line.left - last.left) < _MAX_INDENT * line.pitch
    else:
        overlap = min(line.right, last.right) - max(line.left, last.left)
        in_column = overlap > 0.5 * min(line.right - line.left, last.right - last.left)
    if not in_column:
        return False
    if not -0.5 * line.size < line.top - last.bottom < _LINE_GAP * max(body, line.size):
        return False
    if abs(line.size - last.size) >= _SAME_SIZE * body or line.mono != last.mono:
        return False
    if line.bold != last.bold and last.right < line.right - _SHORT_LINE * (line.right - line.left):
        # A bold line of its own; one that fills the column is prose with a bold word in front.
        return False
    if line.mono:
        return True
    if _BULLET.match(line.text) or _ENUMERATOR.match(line.text) or _LEADER_ENTRY.search(last.text):
        return False
    return _is_item(group[0].text) or line.left - last.left <= 0.8 * line.size


def _is_item(text: str) -> bool:
    return bool(_BULLET.match(text) or _ENUMERATOR.match(text))


def _prose(lines: Sequence[Line]) -> str:
    text = ""
    for line in lines:
        piece = _LEADER.sub(" \u2026 ", line.text.strip())
        if _HYPHENATED.search(text) and piece[:1].islower():
            text = text[:-1] + piece
        else:
            text = f"{text} {piece}" if text else piece
    return text.strip()


def _code_text(lines: Sequence[Line]) -> str:
    """One line each, indented by as many characters as the line starts right of the leftmost."""
    left = min(line.left for line in lines)
    width = median(line.pitch for line in lines) or 1.0
    return "\n".join(" " * round((line.left - left) / width) + line.text.strip() for line in lines)


# ---------------------------------------------------------------- labels


def _label(blocks: list[Block], body: float, outline: Sequence[OutlineEntry]) -> None:
    bookmarks = {(entry.page, _bare(entry.title)): entry.level for entry in outline}
    first_page = min((entry.page for entry in outline if entry.page), default=1)
    title = _find_title(blocks, body)
    for block in blocks:
        if block is title:
            block.label = "title"
        elif _is_bookmarked(block, bookmarks) or (block.page >= first_page and _looks_like_heading(block, body)):
            block.label = "heading"
        elif block.mono:
            block.label = "code"
        elif match := _BULLET.match(block.text) or _ENUMERATOR.match(block.text):
            block.label, block.marker = "list_item", match[0].strip()
            block.text = block.text[match.end() :]
        elif _CAPTION.match(block.text) and len(block.text) <= _MAX_CAPTION:
            block.label = "caption"
    _set_levels([block for block in blocks if block.label == "heading"], bookmarks)


def _is_bookmarked(block: Block, bookmarks: Bookmarks) -> bool:
    return len(block.text) <= _MAX_HEADING_CHARACTERS and (block.page, _bare(block.text)) in bookmarks


def _looks_like_heading(block: Block, body: float) -> bool:
    if len(block.text) > _MAX_HEADING_CHARACTERS or len(block.lines) > _MAX_HEADING_LINES or block.mono:
        return False
    if sum(character.isalpha() for character in block.text) < 2 or _LEADER_ENTRY.search(block.lines[-1].text):
        return False
    if block.size > _HEADING_RATIO * body:
        return not _BULLET.match(block.text)
    if not block.bold or len(block.lines) > 1 or len(block.text) > _MAX_BOLD_HEADING or not block.alone:
        return False
    return (block.size > _BOLD_HEADING_RATIO * body and block.text[0].isupper()) or bool(_NUMBERED.match(block.text))


def _find_title(blocks: Sequence[Block], body: float) -> Block | None:
    """The largest block of the first page, if nothing later is as large and it is well above the body."""
    if not blocks:
        return None
    first = [block for block in blocks if block.page == blocks[0].page and _looks_like_heading(block, body)]
    if not first:
        return None
    title = max(first, key=lambda block: block.size)
    larger = any(b.size > 1.02 * title.size or (b is not title and b.size > 0.98 * title.size) for b in blocks)
    numbered = _NUMBERED.match(title.text) or _CHAPTER.match(title.text)
    return None if larger or numbered or title.size < _TITLE_RATIO * body else title


def _set_levels(headings: Sequence[Block], bookmarks: Bookmarks) -> None:
    """Level from the outline, else from the heading's number, else what its size has in this document."""
    known: dict[int, int] = {}
    for index, block in enumerate(headings):
        level = bookmarks.get((block.page, _bare(block.text))) or _numbered_level(block.text)
        if level:
            known[index] = min(level, _MAX_LEVEL)
    sizes = _size_ranks(headings)
    levels: defaultdict[int, list[int]] = defaultdict(list)
    for index, level in known.items():
        levels[sizes[index]].append(level)
    for index, block in enumerate(headings):
        rank = sizes[index]
        by_size = min(multimode(levels[rank])) if levels[rank] else min(rank, _MAX_LEVEL)
        block.level = known.get(index, by_size)


def _size_ranks(headings: Sequence[Block]) -> list[int]:
    """1 for the largest size; sizes within 4 % of their neighbour share a rank."""
    ranks: dict[float, int] = {}
    rank, previous = 0, 0.0
    for size in sorted({block.size for block in headings}, reverse=True):
        if size < 0.96 * previous or rank == 0:
            rank += 1
        ranks[size] = rank
        previous = size
    return [ranks[block.size] for block in headings]


def _numbered_level(text: str) -> int | None:
    if _CHAPTER.match(text):
        return 1
    match = _NUMBERED.match(text)
    return match[1].count(".") + 1 if match else None


def _bare(text: str) -> str:
    """For comparing a heading with its bookmark: no number, case, space or punctuation."""
    without_number = _CHAPTER.sub("", _NUMBERED.sub("", text.strip()))
    return re.sub(r"\W+", "", without_number or text).casefold()
