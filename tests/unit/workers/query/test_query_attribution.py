# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers are added where the words of a passage support a sentence, and nowhere else."""

from __future__ import annotations

import pytest
from query_fakes import hit

from homelab_workers.query.attribution import Attribution
from homelab_workers.query.citations import check
from homelab_workers.query.prompt import Passage

POWER = "The UPS holds the rack for 14 minutes. The generator starts after 30 seconds."
WATER = "The water sensor in the basement reports every five minutes."
PASSAGES = [Passage(n, hit(text, n=n), "handbook.pdf", text) for n, text in enumerate((POWER, WATER), 1)]
QUESTION = "How long does the UPS hold the rack?"


def said(answer: str, size: int = 1000) -> tuple[str, set[int]]:
    attribution = Attribution(PASSAGES, QUESTION)
    pieces = [attribution.feed(answer[i : i + size]) for i in range(0, len(answer), size)]
    return "".join(pieces) + attribution.rest(), set(attribution.added)


@pytest.mark.parametrize(
    ("answer", "passed_on", "added"),
    [
        ("The UPS holds for 14 minutes.", "The UPS holds for 14 minutes. [1]", {1}),
        (
            "The UPS holds for 14 minutes. The water sensor reports every five minutes.\n",
            "The UPS holds for 14 minutes. [1] The water sensor reports every five minutes. [2]\n",
            {1, 2},
        ),
        ("- The generator starts\n- The moon is far", "- The generator starts [1]\n- The moon is far", {1}),
        # What the model wrote stays as it is, right or wrong.
        ("The UPS holds for 14 minutes [2].", "The UPS holds for 14 minutes [2].", set()),
        ("The UPS holds for 14 minutes. [1] Yes.", "The UPS holds for 14 minutes. [1] Yes.", set()),
        ("The UPS holds for 14 minutes. [1][2]", "The UPS holds for 14 minutes. [1][2]", set()),
        # A number that the model also wrote is the model's.
        ("It holds 14 minutes [1]. The generator starts.", "It holds 14 minutes [1]. The generator starts. [1]", set()),
        # A wrong figure, too few words, words of the question alone, and words of no passage.
        ("The UPS holds the rack for 40 minutes.", "The UPS holds the rack for 40 minutes.", set()),
        ("Minutes.", "Minutes.", set()),
        ("The rack, the UPS.", "The rack, the UPS.", set()),
        ("The passages do not say it.", "The passages do not say it.", set()),
        ("It is so.", "It is so.", set()),
        ("", "", set()),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_what_gets_a_number(answer: str, passed_on: str, added: set[int], size: int) -> None:
    assert said(answer, size) == (passed_on, added)


def test_of_two_supporting_passages_the_nearer_one_is_named() -> None:
    twins = [Passage(n, hit(POWER, n=n), "a.pdf", POWER) for n in (3, 4)]
    attribution = Attribution(twins, QUESTION)
    assert attribution.feed("It holds 14 minutes.") + attribution.rest() == "It holds 14 minutes. [3]"


def test_words_are_passed_on_before_the_sentence_is_over() -> None:
    attribution = Attribution(PASSAGES, QUESTION)
    assert attribution.feed("The UPS ") == "The UPS "
    assert attribution.feed("holds for 14 minutes. ") == "holds for 14 minutes."
    assert attribution.feed("Then") == " [1] Then"


def test_an_added_number_is_marked_and_a_written_one_is_not() -> None:
    text, added = said("The UPS holds for 14 minutes. The water sensor reports every five minutes [2].")
    citations = check(text, PASSAGES, attributed=frozenset(added))
    assert [(c.n, c.supported, c.attributed) for c in citations] == [(1, True, True), (2, True, False)]
