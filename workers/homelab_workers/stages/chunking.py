# SPDX-License-Identifier: Apache-2.0
"""Cuts a document's structure into chunks: a sliding window over the tokens of each section.

Pure and deterministic. The text that is embedded is `embedding_text(heading, text)`, so the window
counts the heading, the model's prefix and its special tokens.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple
from uuid import UUID

from ..contracts import Chunk, Section, Structure, chunk_id_for
from ..ports import Tokenizer

UNIT_CHARS = 32
"""Most characters that one token may cover (half the window where that is less).

The longest entry of BERT's vocabulary has 18, so a real token is never cut. What is longer is one
[UNK] (an unbroken word that the vocabulary cannot spell) or marks that the tokenizer drops; counted
as one token, a megabyte of it would be one chunk. So a chunk has at most 32 x window characters.
"""

LOOK_BACK = 8
"""Tokens of a window that may stay unused so that the next one begins with a whole word."""

_BLANKS = re.compile(rf"\s{{{UNIT_CHARS},}}")

Span = tuple[int, int]


def embedding_text(heading: str, text: str) -> str:
    """What is sent to the model for a chunk, before the model's own prefix."""
    return f"{heading}\n{text}" if heading else text


def chunk_structure(
    structure: Structure, tokenizer: Tokenizer, *, window: int, overlap: int, doc_id: UUID, version: str
) -> list[Chunk]:
    """Chunks of at most `window` tokens; two neighbours of one section share `overlap` of its tokens.

    The overlap is exact unless a single word has more tokens than half of what the window leaves
    beside heading and overlap; there it shrinks, the window is never exceeded. A last piece that
    lies wholly in the overlap is not emitted. Raises ValueError for a window that leaves no room.
    """
    fixed = tokenizer.count("")
    room = window - fixed - overlap
    if overlap < 0 or room < 4 or fixed > window // 4:
        raise ValueError(
            f"a window of {window} tokens does not hold an overlap of {overlap}, {fixed} tokens of prefix and special "
            "tokens (at most a quarter) and at least 4 of new text; raise CHUNK_SIZE or lower CHUNK_OVERLAP"
        )
    # At most a quarter of the window, and never so much that a window cannot advance past its overlap.
    heading_limit = min(window // 4, room // 2)
    chunks: list[Chunk] = []
    for number, section in enumerate(structure.sections):
        following = structure.sections[number + 1] if number + 1 < len(structure.sections) else None
        body = _body(section, following, tokenizer, heading_limit)
        for start, end, tokens in _windows(body, tokenizer, window, overlap):
            index = len(chunks)
            chunks.append(
                Chunk(
                    chunk_id=chunk_id_for(doc_id, version, index),
                    index=index,
                    text=body.text[start:end],
                    heading=body.heading,
                    section=number,
                    page=body.page_at(start),
                    tokens=tokens,
                )
            )
    return chunks


# ---------------------------------------------------------------- the text of a section


class Body(NamedTuple):
    """A section as one text: its blocks joined by newlines, and where each block begins."""

    heading: str
    text: str
    starts: list[int]
    pages: list[int | None]

    def page_at(self, offset: int) -> int | None:
        return self.pages[bisect_right(self.starts, offset) - 1]


def _body(section: Section, following: Section | None, tokenizer: Tokenizer, limit: int) -> Body:
    """A heading that fits goes in front of each chunk; one that does not is text as well, so that no word is lost.

    So is a heading with nothing below it (a slide that is only a title).
    """
    path = _path(section)
    lines = [(text, block.page) for block in section.blocks if (text := _tidy(block.text))]
    if not path:
        return _join("", lines)
    below = _path(following) if following else []
    is_parent = len(below) > len(path) and below[: len(path)] == path
    if not lines and not is_parent:
        return _join(_heading(path[:-1], tokenizer, limit), [(path[-1], section.page)])
    heading = _heading(path, tokenizer, limit)
    if not heading.endswith(path[-1]):
        lines.insert(0, (path[-1], section.page))
    # Blocks without a page of their own are on the page of their heading.
    return _join(heading, [(text, section.page if page is None else page) for text, page in lines])


def _path(section: Section) -> list[str]:
    parts = (" ".join(part.split()) for part in section.path or [section.heading])
    return [part for part in parts if part]


def _join(heading: str, lines: Sequence[tuple[str, int | None]]) -> Body:
    starts, offset = [], 0
    for text, _unused in lines:
        starts.append(offset)
        offset += len(text) + 1
    return Body(heading, "\n".join(text for text, _unused in lines), starts, [page for _unused, page in lines])


def _tidy(text: str) -> str:
    """Long runs of blanks are layout, not text: without a cut they would fill windows with nothing."""
    return _BLANKS.sub(lambda run: "\n" if "\n" in run[0] else " ", text.strip())


def _heading(path: Sequence[str], tokenizer: Tokenizer, limit: int) -> str:
    """`A > B > C` in at most `limit` tokens: outer headings go first, then the end of the innermost one."""
    for first in range(len(path)):
        text = " > ".join(path[first:])
        if len(text) <= limit * UNIT_CHARS and len(tokenizer.spans(text)) <= limit:
            return text
    if not path:
        return ""
    text = path[-1][: limit * UNIT_CHARS]
    while (excess := len(spans := tokenizer.spans(text)) - limit) > 0:
        text = text[: spans[-1 - excess][1]].rstrip()
    return text


# ---------------------------------------------------------------- windows


def _units(text: str, spans: Sequence[Span], most: int) -> list[Span]:
    """The token spans, with every stretch (blanks before it included) over `most` characters cut into several."""
    units: list[Span] = []
    end = 0
    for start, stop in [*spans, (len(text), len(text))]:
        if stop - end <= most:
            if stop > start:
                units.append((start, stop))
        else:
            edges = [*range(end, stop, most), stop]
            units.extend(piece for piece in pairwise(edges) if not text[slice(*piece)].isspace())
        end = max(end, stop)
    if not units:
        return [(0, len(text))]
    # Marks that the tokenizer drops at either end stay with the text.
    units[0] = (0, units[0][1])
    units[-1] = (units[-1][0], len(text))
    return units


def _windows(body: Body, tokenizer: Tokenizer, window: int, overlap: int) -> Iterator[tuple[int, int, int]]:
    """(start, end, tokens): character offsets into the section's text and the count of what is embedded."""
    if not body.text:
        return
    units = _units(body.text, tokenizer.spans(body.text), min(UNIT_CHARS, window // 2))
    at_word = _word_boundaries(body.text, units)
    budget = window - tokenizer.count(embedding_text(body.heading, ""))

    def count(first: int, last: int) -> int:
        return tokenizer.count(embedding_text(body.heading, body.text[units[first][0] : units[last - 1][1]]))

    first = 0
    while True:
        last = min(first + budget, len(units))
        if last < len(units):
            last = _cut(first + overlap + 1, last, overlap, at_word)
        # A piece that begins or ends inside a word is spelled differently than the whole: count again.
        while (tokens := count(first, last)) > window and last > first + 1:
            last = max(first + 1, last - (tokens - window))
            last = _cut(first + overlap + 1, last, overlap, at_word)
        yield units[first][0], units[last - 1][1], tokens
        if last == len(units):
            return
        first = max(last - overlap, first + 1)


def _word_boundaries(text: str, units: Sequence[Span]) -> Callable[[int], bool]:
    def at_word(unit: int) -> bool:
        """True when a cut before this unit is between words: at a blank, or after punctuation inside `a/b`."""
        if not 0 < unit < len(units):
            return True
        start, before = units[unit][0], units[unit - 1][1]
        return before < start or (text[start].isalnum() and not text[before - 1].isalnum())

    return at_word


def _cut(least: int, most: int, overlap: int, at_word: Callable[[int], bool]) -> int:
    """The largest end in [least, most] that splits no word; `most` when there is none.

    An end whose overlap begins at a word too is better and may cost LOOK_BACK tokens.
    """
    for end in range(most, max(least, most - LOOK_BACK) - 1, -1):
        if at_word(end) and at_word(end - overlap):
            return end
    return next((end for end in range(most, least - 1, -1) if at_word(end)), most)
