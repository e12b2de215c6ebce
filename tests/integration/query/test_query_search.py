# SPDX-License-Identifier: GPL-3.0-or-later
"""Hybrid search in one statement, on real pgvector."""

from __future__ import annotations

import itertools

import pytest

from homelab_workers.errors import Unavailable

from .rig import Doc, QueryRig, vector

_numbers = itertools.count(1)


def collection() -> str:
    return f"search-{next(_numbers)}"


FILLER = [("Notes", 1, f"the notes of day {n} are about the garden and the weather in the morning") for n in range(30)]


async def found(rig: QueryRig, where: str, text: str, **more: object) -> list[str]:
    options = {"text": text, "vector": vector(text), "limit": 10, "per_document": 3} | more
    return [hit.text for hit in await rig.index.search(where, **options)]  # type: ignore[arg-type]  # per test


async def test_a_rare_token_wins_the_lexical_leg_against_many_common_words(rig: QueryRig) -> None:
    where = collection()
    needle = "error code QX7731 means that the fan stopped"
    await rig.serve(Doc("a.txt", [*FILLER, ("Codes", 2, needle)], where), graph=False)
    query = "what does the garden and the weather say about QX7731 in the morning"
    assert (await found(rig, where, query, vector=None))[0] == needle


async def test_both_legs_are_fused_and_scored(rig: QueryRig) -> None:
    where = collection()
    await rig.serve(Doc("a.txt", [("Power", 7, "the UPS holds the rack for 14 minutes"), *FILLER], where))
    query = "how long does the UPS hold the rack"
    (first, *_unused) = await rig.index.search(where, text=query, vector=vector(query), limit=5, per_document=3)
    assert (first.page, first.heading, first.name, first.index) == (7, "Power", "a.txt", 0)
    assert first.rrf == pytest.approx((1 + first.coverage) / 61)
    assert first.cosine is not None and 0.3 < first.cosine < 1.0
    assert first.text_rank is not None and first.text_rank > 0
    assert 0.4 < first.coverage <= 1.0


async def test_each_leg_alone(rig: QueryRig) -> None:
    where = collection()
    await rig.serve(Doc("a.txt", [("Power", 7, "the UPS holds the rack"), *FILLER], where), graph=False)
    (lexical, *_unused) = await rig.index.search(where, text="UPS", vector=None, limit=5, per_document=3)
    assert lexical.cosine is None and lexical.rrf == pytest.approx(1 / 61)
    (dense, *_unused) = await rig.index.search(where, text=None, vector=vector("UPS rack"), limit=5, per_document=3)
    assert dense.text_rank is None and dense.coverage == 0.0


async def test_a_weak_lexical_hit_does_not_outweigh_the_nearest_passage(rig: QueryRig) -> None:
    """Plain rank fusion puts a passage of both legs before the first of one, however little it shares."""
    where = collection()
    near = [0.0] * len(vector(""))
    near[0] = 1.0
    await rig.serve(Doc("a.txt", [("", 1, "the lamp is red"), *FILLER], where), graph=False)
    rig.sql("UPDATE embeddings SET embedding = %s::vector WHERE chunk_text LIKE %s", str(near), "%lamp%")
    query = "illumination hue colour shade glow tint morning"
    (first, *_unused) = await rig.index.search(where, text=query, vector=near, limit=5, per_document=3)
    assert first.text == "the lamp is red" and first.coverage == 0.0


SIBLINGS = [("Codes", 1, f"a heat pump showed the error code KX-1147-{letter} in a room") for letter in "BADC"]


@pytest.mark.parametrize("language", ["english", "simple"])
@pytest.mark.parametrize("query", ["KX-1147-A", "what does a code like kx-1147-a mean?"])
async def test_a_code_that_ends_in_a_stop_word_is_told_from_its_neighbours(
    rig: QueryRig, language: str, query: str
) -> None:
    where = collection()
    await rig.owner.ensure_collection(where)
    rig.sql("UPDATE collections SET language = %s::regconfig WHERE name = %s", language, where)
    await rig.serve(Doc("a.txt", [*FILLER, *SIBLINGS], where), graph=False)
    first, second, *_unused = await rig.index.search(where, text=query, vector=None, limit=5, per_document=5)
    assert first.text == SIBLINGS[1][2]
    assert first.coverage > second.coverage


async def test_english_words_are_stemmed_by_default(rig: QueryRig) -> None:
    where = collection()
    await rig.serve(Doc("a.txt", [("", 1, "the batteries were replaced"), *FILLER], where), graph=False)
    assert await found(rig, where, "replacing a battery", vector=None) == ["the batteries were replaced"]


async def test_only_the_asked_collection(rig: QueryRig) -> None:
    here, there = collection(), collection()
    await rig.serve(Doc("a.txt", [("A", 1, "the red lamp")], here), graph=False)
    await rig.serve(Doc("a.txt", [("A", 1, "the red lamp there")], there), graph=False)
    assert await found(rig, here, "red lamp") == ["the red lamp"]


async def test_a_new_version_replaces_the_old_one(rig: QueryRig) -> None:
    where = collection()
    await rig.serve(Doc("a.txt", [("A", 1, "the lamp is red")], where), graph=False)
    await rig.serve(Doc("a.txt", [("A", 1, "the lamp is blue")], where), graph=False)
    assert await found(rig, where, "lamp red") == ["the lamp is blue"]


async def test_a_tombstone_ends_serving_at_once(rig: QueryRig) -> None:
    where = collection()
    doc_id = await rig.serve(Doc("a.txt", [("A", 1, "the lamp is red")], where), graph=False)
    async with rig.catalog.unit(doc_id) as unit:
        first = await unit.request_delete(doc_id)
    assert await found(rig, where, "lamp red") == []
    async with rig.catalog.unit(doc_id) as unit:
        assert await unit.request_delete(doc_id) == first


async def test_poisoned_passages_do_not_crowd_out_the_true_source(rig: QueryRig) -> None:
    where = collection()
    question = "who is allowed to open the server room"
    poison = [("X", 1, f"{question}? everybody is allowed to open the server room, number {n}") for n in range(20)]
    await rig.serve(Doc("poison.txt", poison, where), graph=False)
    truth = "the server room is opened by Mara only"
    await rig.serve(Doc("truth.txt", [("Rules", 1, truth)], where), graph=False)
    texts = await found(rig, where, question)
    assert truth in texts and len(texts) == 4


async def test_metadata_filters(rig: QueryRig) -> None:
    where = collection()
    await rig.serve(Doc("a.txt", [("A", 1, "the red lamp")], where, {"room": "attic", "floor": 3}), graph=False)
    await rig.serve(Doc("b.txt", [("A", 1, "the red lamp")], where, {"room": "cellar"}), graph=False)

    async def names(*filters: dict[str, object]) -> list[str]:
        hits = await rig.index.search(
            where, text="lamp", vector=vector("lamp"), limit=5, per_document=3, filters=filters
        )
        return sorted(hit.name for hit in hits)

    assert await names({"room": "attic"}) == ["a.txt"]
    assert await names({"room": "attic"}, {"floor": 3}) == ["a.txt"]
    assert await names({"room": "attic"}, {"room": "cellar"}) == []
    assert await names() == ["a.txt", "b.txt"]


ODD_TEXTS = [
    "'; DROP TABLE embeddings; --",
    "a & b | !c <-> d:*",
    "back\\slash 'quote' \"double\"",
    "%s %(collection)s {}",
    "https://example.com/a?b=c&d=e",
    "日本語 ümläut Ωmega",
    "the of and",
    "!!! ???",
    " ".join(f"word{n}" for n in range(1500)),
]


async def test_any_text_is_a_query(rig: QueryRig) -> None:
    for text in ODD_TEXTS:
        where = collection()
        await rig.serve(Doc("a.txt", [("A", 1, text[:2000]), *FILLER], where), graph=False)
        texts = await found(rig, where, text)
        assert text in ("the of and", "!!! ???") or text[:2000] in texts, text


async def test_an_index_is_used_through_filters(rig: QueryRig) -> None:
    """A rare collection behind an HNSW index: without iterative scans the filter would leave nothing."""
    common, rare = collection(), collection()
    for n in range(6):
        chunks = [("A", 1, f"common lamp {n} {m} " + " ".join(f"w{m * k}" for k in range(5))) for m in range(60)]
        await rig.serve(Doc(f"{n}.txt", chunks, common), graph=False)
    await rig.serve(Doc("a.txt", [("A", 1, "an unlike thing")], rare), graph=False)
    rig.sql("CREATE INDEX test_hnsw ON embeddings USING hnsw (embedding vector_cosine_ops)")
    try:
        rig.sql("ANALYZE embeddings")
        hits = await rig.index.search(rare, text=None, vector=vector("common lamp"), limit=5, per_document=3)
        assert [hit.text for hit in hits] == ["an unlike thing"]
    finally:
        rig.sql("DROP INDEX test_hnsw")


async def test_postgres_away_is_unavailable(rig: QueryRig) -> None:
    await rig.catalog.pool.close()
    with pytest.raises(Unavailable):
        await rig.index.search("default", text="x", vector=None, limit=1, per_document=1)


async def test_the_statement_is_planned_for_each_question(rig: QueryRig) -> None:
    """From the tenth run on a prepared statement would get a generic plan, a hundred times slower."""
    where = collection()
    await rig.serve(Doc("a.txt", FILLER, where), graph=False)
    for _unused in range(12):
        await found(rig, where, "garden weather")
    async with rig.catalog.pool.connection() as connection:
        cursor = await connection.execute("SELECT statement FROM pg_prepared_statements")
        assert [text for (text,) in await cursor.fetchall() if "ts_rank_cd" in text] == []
