# SPDX-License-Identifier: Apache-2.0
"""Cuts a structure into chunks: a sliding window of tokens inside each section. Pure.

A chunk's heading ("A > B") is embedded with its text, so it counts; a quarter of the window is the
most it may take. Consecutive chunks of a section share exactly `overlap` tokens of the section.
"""

from __future__ import annotations

import bisect
from uuid import UUID

from ..contracts import Chunk, Section, Structure, chunk_id_for
from ..ports import Tokenizer

HEADING_SHARE = 4
"""The heading takes at most one part in four of the window."""

MAX_TOKEN_CHARACTERS = 32
"""A token spans more only where the tokenizer gave up on a monster word ([UNK]); it is cut, so that a
chunk stays below window x 32 characters."""

Span = tuple[int, int]


def chunk_structure(
    structure: Structure, tokenizer: Tokenizer, *, window: int, overlap: int, doc_id: UUID, version: str
) -> list[Chunk]:
    """Chunks of at most `window` tokens (heading, prefix and special tokens included), in reading order."""
    chunks: list[Chunk] = []
    for number, section in enumerate(structure.sections):
        text, pages = _joined(section)
        heading = _fitted_heading(" > ".join(section.path) or section.heading, tokenizer, window)
        for start, end, tokens in windows(text, heading, tokenizer, window, overlap):
            index = len(chunks)
            chunks.append(
                Chunk(
                    chunk_id=chunk_id_for(doc_id, version, index),
                    index=index,
                    text=text[start:end],
                    heading=heading,
                    section=number,
                    page=_page_at(pages, start),
                    tokens=tokens,
                )
            )
    return chunks


def embedding_text(heading: str, text: str) -> str:
    """What the model is given for a chunk."""
    return f"{heading}\n{text}" if heading else text


def windows(
    text: str, heading: str, tokenizer: Tokenizer, window: int, overlap: int
) -> list[tuple[int, int, int]]:
    """(first character, last character + 1, tokens as the model counts them) of each chunk of one section."""
    spans = _bounded(tokenizer.spans(text))
    budget = window - tokenizer.count(embedding_text(heading, ""))
    overlap = min(overlap, max(0, budget - 1) // 2)
    found: list[tuple[int, int, int]] = []
    first = 0
    while first < len(spans):
        last, tokens = _fitting(text, heading, spans, first, min(first + budget, len(spans)), tokenizer, window)
        found.append((spans[first][0], spans[last - 1][1], tokens))
        if last == len(spans):
            break
        # The overlap may not eat a window that had to shrink: each step goes forward.
        first = max(last - overlap, first + 1)
    return found


def _fitting(
    text: str, heading: str, spans: list[Span], first: int, last: int, tokenizer: Tokenizer, window: int
) -> tuple[int, int]:
    """The window's end: at a word's end where there is one, and never over the window when counted again.

    A window that starts inside a word may count more tokens than the section had there, so it is counted.
    """
    if last < len(spans):
        last = _word_end(spans, first, last)
    while True:
        tokens = tokenizer.count(embedding_text(heading, text[spans[first][0] : spans[last - 1][1]]))
        if tokens <= window or last - first <= 1:
            return last, tokens
        last = max(first + 1, last - max(1, tokens - window))


def _word_end(spans: list[Span], first: int, last: int) -> int:
    """Goes back to where a gap separates two tokens, at most an eighth of the window."""
    for candidate in range(last, max(first + 1, last - (last - first) // 8), -1):
        if spans[candidate - 1][1] < spans[candidate][0]:
            return candidate
    return last


def _bounded(spans: list[Span]) -> list[Span]:
    cut: list[Span] = []
    for start, end in spans:
        while end - start > MAX_TOKEN_CHARACTERS:
            cut.append((start, start + MAX_TOKEN_CHARACTERS))
            start += MAX_TOKEN_CHARACTERS
        if end > start:
            cut.append((start, end))
    return cut


def _joined(section: Section) -> tuple[str, list[tuple[int, int | None]]]:
    """The section's text, and (first character, page) of each block."""
    parts: list[str] = []
    pages: list[tuple[int, int | None]] = []
    position = 0
    for block in section.blocks:
        pages.append((position, block.page))
        parts.append(block.text)
        position += len(block.text) + 1
    return "\n".join(parts), pages


def _page_at(pages: list[tuple[int, int | None]], position: int) -> int | None:
    index = bisect.bisect_right(pages, position, key=lambda entry: entry[0]) - 1
    return pages[index][1] if index >= 0 else None


def _fitted_heading(heading: str, tokenizer: Tokenizer, window: int) -> str:
    spans = tokenizer.spans(heading)
    most = max(1, window // HEADING_SHARE)
    return heading if len(spans) <= most else heading[: spans[most - 1][1]]
