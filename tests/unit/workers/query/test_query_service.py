# SPDX-License-Identifier: GPL-3.0-or-later
"""What the service answers, and what is left when a part fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from query_fakes import Chat, Embedder, Graph, Index, hit, titled

from homelab_workers.errors import AuthRefused, Rejected, Unavailable
from homelab_workers.query.deps import QuerySettings
from homelab_workers.query.floor import Floor
from homelab_workers.query.service import MAX_QUERY_BYTES, Answer, QueryService

UPS = "The UPS holds the rack for 14 minutes."
SETTINGS = QuerySettings(work_dir=Path("/nonexistent"), floor=Floor(cosine=0.3, coverage=0.6, lexical=0.3))


def service(
    *,
    index: Index | None = None,
    embedder: Embedder | None = None,
    chat: Chat | None = None,
    graph: Graph | None = None,
    tokenizer: Any = None,
    **settings: Any,
) -> QueryService:
    return QueryService(
        index or Index([hit(UPS)]),
        embedder or Embedder(),
        chat or Chat("It holds 14 minutes [1]."),
        graph or Graph(rows=[titled(hit(UPS).chunk_id, "Handbook")]),
        replace(SETTINGS, **settings),
        tokenizer,
    )


async def answered(made: QueryService, question: str = "How long does the UPS hold?", **more: Any) -> Answer:
    answer, pieces = await made.answer("default", question, **more)
    text = "".join([piece async for piece in pieces])
    assert answer.text == text
    return answer


async def test_an_answer_with_everything_up() -> None:
    answer = await answered(service())
    assert answer.text == "It holds 14 minutes [1]."
    assert (answer.retrieval, answer.graph, answer.synthesis, answer.degraded) == ("hybrid", True, True, [])
    assert [(c.n, c.supported) for c in answer.citations] == [(1, True)]
    assert answer.model == "scripted-chat"


async def test_invented_numbers_are_removed_and_addresses_dead() -> None:
    answer = await answered(service(chat=Chat("It holds [9] ![x](ht", "tp://evil.example/?q=1) [1]", ".")))
    assert answer.text == "It holds x [1]."


async def test_without_citations_the_sources_remain_sources() -> None:
    answer = await answered(service(chat=Chat("It holds 40 minutes.")))
    assert answer.text == "It holds 40 minutes." and answer.citations == []
    assert [p.n for p in answer.passages] == [1]


async def test_a_supported_sentence_without_a_number_gets_one_that_is_marked() -> None:
    answer = await answered(service(chat=Chat("It holds ", "14 minutes. And ", "nothing else.")))
    assert answer.text == "It holds 14 minutes. [1] And nothing else."
    assert [(c.n, c.supported, c.attributed) for c in answer.citations] == [(1, True, True)]


@pytest.mark.parametrize(
    ("mode", "embedder", "text", "vector", "retrieval"),
    [
        ("hybrid", Embedder(), "x", [1.0, 0.0, 0.0], "hybrid"),
        ("vector", Embedder(), None, [1.0, 0.0, 0.0], "vector"),
        ("lexical", Embedder(hangs=True), "x", None, "lexical"),
        ("vector", Embedder(Unavailable("models", "down")), "x", None, "lexical"),
    ],
)
async def test_one_leg_alone(mode: Any, embedder: Embedder, text: Any, vector: Any, retrieval: str) -> None:
    index = Index([hit(UPS)])
    found = await service(index=index, embedder=embedder).search("default", "x", limit=5, mode=mode)
    assert (index.asked[0]["text"], index.asked[0]["vector"], found.retrieval) == (text, vector, retrieval)
    assert bool(found.degraded) is (retrieval != mode)


@pytest.mark.parametrize(
    "embedder", [Embedder(Unavailable("models", "down")), Embedder(AuthRefused("models", "401")), Embedder(hangs=True)]
)
async def test_without_the_embedder_search_is_lexical(embedder: Embedder) -> None:
    index = Index([hit(UPS, cosine=None, coverage=0.9)])
    answer = await answered(service(index=index, embedder=embedder, embed_seconds=0.01))
    assert index.asked[0]["vector"] is None
    assert answer.retrieval == "lexical" and answer.synthesis
    assert any(reason.startswith("lexical search only") for reason in answer.degraded)


async def test_without_the_graph_the_answer_says_so() -> None:
    answer = await answered(service(graph=Graph(Unavailable("graph", "down"))))
    assert not answer.graph and answer.synthesis
    assert answer.degraded == ["no graph context: graph: down"]


@pytest.mark.parametrize(
    "chat",
    [
        Chat(error=Unavailable("models", "down")),
        Chat(error=AuthRefused("models", "401")),
        Chat(hangs=True),
        Chat(),
    ],
)
async def test_without_the_model_the_passages_are_the_answer(chat: Chat) -> None:
    answer = await answered(service(chat=chat, first_token_seconds=0.01))
    assert not answer.synthesis
    assert UPS in answer.text
    assert [(c.n, c.supported, c.quote) for c in answer.citations] == [(1, True, UPS)]
    assert any(reason.startswith("no synthesis") for reason in answer.degraded)


async def test_a_model_that_stops_half_way_leaves_the_passages() -> None:
    chat = Chat("It holds ", "for ", error=Unavailable("models", "reset"))
    answer = await answered(service(chat=chat))
    assert answer.text.startswith("It holds") and UPS in answer.text
    assert not answer.synthesis
    assert answer.degraded == ["the answer broke off: models: reset"]


async def test_nothing_found_is_said_and_no_model_is_asked() -> None:
    chat = Chat("It holds [1].")
    answer = await answered(service(index=Index([hit(UPS, cosine=0.1, coverage=0.2)]), chat=chat))
    assert not answer.found and not answer.synthesis
    assert "found nothing" in answer.text and "'default'" in answer.text
    assert answer.passages == [] and answer.citations == [] and chat.prompts == []


@pytest.mark.parametrize(
    ("cosine", "coverage", "embedder", "found"),
    [
        (0.31, 0.0, Embedder(), True),
        (0.29, 0.0, Embedder(), False),
        (None, 0.61, Embedder(), True),
        (None, 0.59, Embedder(), False),
        (None, 0.31, Embedder(Unavailable("models", "down")), True),
        (None, 0.29, Embedder(Unavailable("models", "down")), False),
    ],
)
async def test_the_floor(cosine: float | None, coverage: float, embedder: Embedder, found: bool) -> None:
    index = Index([hit(UPS, cosine=cosine, coverage=coverage)])
    assert (await answered(service(index=index, embedder=embedder))).found is found


async def test_graph_context_is_in_the_prompt() -> None:
    chunk = hit(UPS).chunk_id
    rows = [
        titled(chunk, "Handbook"),
        {**titled(chunk, "Power cut"), "level": "2"},
        {**titled(chunk, "Runbook"), "level": "1"},
    ]
    chat = Chat("Yes [1].")
    answer = await answered(service(chat=chat, graph=Graph(rows=rows)))
    assert answer.passages[0].place == "handbook.pdf, page 3, Runbook > Power cut"
    assert "Runbook > Power cut" in chat.prompts[0][0].content


async def test_the_answer_is_bounded() -> None:
    chat = Chat("Yes [1].")
    await answered(service(chat=chat), max_tokens=10**6)
    await answered(service(chat=chat), max_tokens=7)
    assert chat.max_tokens == [SETTINGS.answer_tokens, 7]


async def test_closing_the_iterator_closes_the_model() -> None:
    chat = Chat("It ", hangs=True)
    _unused, pieces = await service(chat=chat).answer("default", "How long?")
    async for _unused in pieces:
        break
    await pieces.aclose()
    assert chat.closed


@pytest.mark.parametrize(
    ("query", "limit", "code"),
    [
        ("", 5, "empty_query"),
        (" \n\t\0", 5, "empty_query"),
        ("x" * (MAX_QUERY_BYTES + 1), 5, "query_too_large"),
        ("é" * (MAX_QUERY_BYTES // 2 + 1), 5, "query_too_large"),
        ("x", 0, "too_many_results"),
        ("x", 10**6, "too_many_results"),
    ],
)
async def test_bounds(query: str, limit: int, code: str) -> None:
    with pytest.raises(Rejected) as refused:
        await service().search("default", query, limit=limit)
    assert refused.value.code == code


async def test_nul_and_lone_surrogates_do_not_reach_the_index() -> None:
    index = Index([hit(UPS)])
    await service(index=index).search("default", "a\0b \ud800 c", limit=5)
    assert index.asked[0]["text"] == "ab ? c"


async def test_an_unknown_collection_is_named() -> None:
    with pytest.raises(Rejected) as refused:
        await service(index=Index([])).search("nope", "x", limit=5)
    assert refused.value.code == "unknown_collection" and "default" in refused.value.fix


async def test_a_long_question_is_cut_for_the_embedder_alone() -> None:
    class Words:
        def spans(self, text: str) -> list[tuple[int, int]]:
            ends = [i for i, c in enumerate(text + " ") if c == " "]
            return [(0, end) for end in ends]

        def count(self, text: str) -> int:
            return 2 + len(text.split())

    index, embedder = Index([hit(UPS)]), Embedder()
    question = " ".join(f"w{n}" for n in range(100))
    await service(index=index, embedder=embedder, tokenizer=Words(), query_tokens=12).search(
        "default", question, limit=5
    )
    assert embedder.texts == [" ".join(f"w{n}" for n in range(10))]
    assert index.asked[0]["text"] == question


async def test_postgres_down_is_an_error_not_an_empty_answer() -> None:
    class Down(Index):
        async def search(self, *arguments: Any, **more: Any) -> Any:
            raise Unavailable("postgres", "down")

    with pytest.raises(Unavailable):
        await service(index=Down([])).search("default", "x", limit=5)
