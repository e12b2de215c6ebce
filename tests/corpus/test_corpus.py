# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes the corpus's gold exact and its questions fair; needs no server."""

from __future__ import annotations

import re
from collections import Counter
from typing import get_args

import pytest

from tests.corpus.corpus import FAMILY_SIZE, HALVES, Corpus, Kind, build

# Function words: what Postgres and Lucene drop from English text, as far as our questions use them.
FUNCTION_WORDS = set(
    "a after all am an and any are as at be before below but by can do does down each for from has have how i if in is"
    " it its many me more most must my next no not of off on once or our out over should so some than that the their"
    " them then there they this to too under until up was we what when where which while who why with you your".split()
)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return build()


def content_stems(text: str) -> set[str]:
    """Five letters: coarser than any stemmer, so what passes here shares no lexeme in Postgres either."""
    return {word[:5] for word in re.findall(r"[a-z0-9]+", text.lower().replace("'s", "")) if word not in FUNCTION_WORDS}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_ones(corpus: Corpus) -> None:
    assert build() == corpus
    assert build(1).documents != corpus.documents


def test_paraphrase_questions_share_no_content_word_with_their_passage(corpus: Corpus) -> None:
    passages = {(p.document, p.heading): f"{p.heading} {p.text}" for p in corpus.passages}
    shared = {
        q.id: words
        for q in corpus.questions
        if q.kind == "paraphrase"
        and (words := content_stems(q.question) & content_stems(passages[str(q.document), str(q.heading)]))
    }
    assert not shared


def test_gold_facts_are_in_their_passage(corpus: Corpus) -> None:
    passages = {(p.document, p.heading): p.text.lower() for p in corpus.passages}
    for question in corpus.questions:
        if question.fact is not None:
            text = passages[str(question.document), str(question.heading)]
            assert question.fact.lower() in text, question


def test_a_code_names_one_passage_and_its_neighbours_differ_only_in_code_and_value(corpus: Corpus) -> None:
    families = Counter(p.heading for p in corpus.passages)
    for question in (q for q in corpus.questions if q.kind == "code"):
        gold = next(p for p in corpus.passages if p.document == question.document)
        tokens = [t.strip(".,?") for t in question.question.split()]
        codes = [t for t in tokens if re.search(r"\d{2}|\d\.\d", t)]
        assert len(codes) == 1, question
        assert [p for p in corpus.passages if codes[0] in p.text] == [gold]
        assert families[gold.heading] == FAMILY_SIZE
        neighbour = next(p for p in corpus.passages if p.heading == gold.heading and p is not gold)
        differing = [a for a, b in zip(gold.text.split(), neighbour.text.split(), strict=True) if a != b]
        assert len(differing) == 2, differing


def test_unknown_codes_are_in_no_passage(corpus: Corpus) -> None:
    unknown = [q for q in corpus.questions if q.kind == "unknown_code"]
    assert unknown
    for question in unknown:
        code = question.id.removeprefix("unknown-")
        assert code in question.question
        assert not any(code in p.text for p in corpus.passages)


def test_halves_are_alike_in_size_and_share_no_question_and_no_gold(corpus: Corpus) -> None:
    sizes = {half: Counter(q.kind for q in corpus.questions if q.half == half) for half in HALVES}
    assert sizes["fit"] == sizes["test"]
    assert set(sizes["fit"]) == set(get_args(Kind))
    assert len({q.id for q in corpus.questions}) == len({q.question for q in corpus.questions}) == len(corpus.questions)
    places = {
        half: {(q.document, q.heading) for q in corpus.questions if q.half == half and q.document} for half in HALVES
    }
    assert not places["fit"] & places["test"]


def test_the_corpus_is_cheap_to_embed(corpus: Corpus) -> None:
    """One thread embeds 8 to 20 such chunks a second."""
    assert len(corpus.passages) <= 220
    assert max(len(p.text.split()) for p in corpus.passages) <= 60
