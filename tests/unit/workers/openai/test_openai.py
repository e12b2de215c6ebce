# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of a model server, scripted; the working paths are tested against real servers."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from homelab_workers.adapters.openai import OpenAIChat, OpenAIEmbedder, token_bound
from homelab_workers.errors import AuthRefused, Rejected, TextRefused, Unavailable
from homelab_workers.model_registry import EmbeddingModel
from homelab_workers.ports import Message

MODEL = EmbeddingModel("test", 3, 512, 256, document_prefix="d: ", query_prefix="q: ")
Handler = Callable[[httpx.Request], httpx.Response]


def vectors(texts: Sequence[str]) -> list[dict[str, Any]]:
    return [{"index": i, "embedding": [float(len(text)), 1.0, 0.0]} for i, text in enumerate(texts)]


def embed(handler: Handler, texts: Sequence[str], *, batch: int = 32) -> list[list[float]]:
    async def run() -> list[list[float]]:
        transport = httpx.MockTransport(handler)
        async with OpenAIEmbedder("http://models", "k", MODEL, batch=batch, transport=transport) as embedder:
            return await embedder.embed(texts, kind="document")

    return asyncio.run(run())


def chat(handler: Handler) -> list[str]:
    async def run() -> list[str]:
        async with OpenAIChat("http://models/v1", "k", "m", transport=httpx.MockTransport(handler)) as model:
            return [piece async for piece in model.stream([Message("user", "hi")], max_tokens=5)]

    return asyncio.run(run())


def answer(data: object) -> Handler:
    return lambda _unused: httpx.Response(200, json={"data": data})


def status(code: int, text: str = "no", **headers: str) -> Handler:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _unused: httpx.Response(code, json={"error": {"message": text}}, headers=named)


def test_order_prefix_unit_length_and_batches() -> None:
    seen: list[list[str]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/v1/embeddings" and request.headers["authorization"] == "Bearer k"
        seen.append(json.loads(request.content)["input"])
        return httpx.Response(200, json={"data": vectors(seen[-1])[::-1]})

    texts = ["a", "bb", "ccc", "dddd", "eeeee"]
    found = embed(handler, texts, batch=2)
    assert seen == [["d: a", "d: bb"], ["d: ccc", "d: dddd"], ["d: eeeee"]]
    assert [round(vector[0] / vector[1]) for vector in found] == [4, 5, 6, 7, 8]
    assert all(math.isclose(math.hypot(*vector), 1.0) for vector in found)


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        ([{"index": 0, "embedding": [1, 0]}, {"index": 1, "embedding": [1, 0, 0]}], "2 dimensions instead of 3"),
        ([{"index": 0, "embedding": [0, 0, 0]}, {"index": 1, "embedding": [1, 0, 0]}], "zero"),
        ([{"index": 0, "embedding": [1e200, 1e200, 0]}, {"index": 1, "embedding": [1, 0, 0]}], "NaN or infinite"),
        ([{"index": 0, "embedding": [None, 0, 0]}, {"index": 1, "embedding": [1, 0, 0]}], "not an OpenAI"),
        ([{"index": 0, "embedding": [1, 0, 0]}], "1 vectors for 2 texts"),
        ([{"index": 0, "embedding": [1, 0, 0]}, {"index": 0, "embedding": [1, 0, 0]}], "without repeats"),
        ([{"index": 1, "embedding": [1, 0, 0]}, {"index": 2, "embedding": [1, 0, 0]}], "from 0 to 1"),
        ("nonsense", "not an OpenAI"),
    ],
)
def test_wrong_answer_is_an_outage_that_names_the_rule(data: object, rule: str) -> None:
    with pytest.raises(Unavailable, match=rule):
        embed(answer(data), ["a", "b"])


def test_nan_is_refused() -> None:
    body = '{"data": [{"index": 0, "embedding": [NaN, 0, 0]}]}'
    with pytest.raises(Unavailable, match="NaN"):
        embed(lambda _unused: httpx.Response(200, text=body), ["a"])


@pytest.mark.parametrize("code", [400, 413, 500])
def test_one_refused_text_is_found_among_its_neighbours(code: int) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        texts = json.loads(request.content)["input"]
        if any("huge" in text for text in texts):
            return status(code, "input (5535 tokens) is too large to process")(request)
        return httpx.Response(200, json={"data": vectors(texts)})

    with pytest.raises(TextRefused, match=r"text 5 .* too large") as caught:
        embed(handler, ["a", "b", "c", "d", "e", "huge", "g"], batch=4)
    assert caught.value.index == 5 and caught.value.code == "text_refused"
    assert isinstance(caught.value, Rejected)


def test_server_that_refuses_everything_is_not_the_texts_fault() -> None:
    with pytest.raises(Unavailable, match=r"refuses every text: .*Invalid model"):
        embed(status(400, "Invalid model name"), ["a"])


@pytest.mark.parametrize("code", [401, 403])
def test_refused_key(code: int) -> None:
    with pytest.raises(AuthRefused, match=f"HTTP {code}"):
        embed(status(code), ["a"])


@pytest.mark.parametrize("code", [404, 500, 502, 503])
def test_other_status_is_an_outage(code: int) -> None:
    with pytest.raises(Unavailable, match=f"HTTP {code}") as caught:
        embed(status(code), ["a"])
    assert not caught.value.limited and caught.value.target == "models"


@pytest.mark.parametrize(("header", "low", "high"), [("7", 7, 7), ("date", 50, 61), ("-3", 0, 0)])
def test_rate_limit_keeps_what_the_server_asked_for(header: str, low: float, high: float) -> None:
    value = format_datetime(datetime.now(UTC) + timedelta(minutes=1), usegmt=True) if header == "date" else header
    with pytest.raises(Unavailable) as caught:
        embed(status(429, retry_after=value), ["a"])
    assert caught.value.limited and caught.value.retry_after is not None
    assert low <= caught.value.retry_after <= high


@pytest.mark.parametrize("header", ["", "soon", "nan"])
def test_rate_limit_without_a_usable_delay(header: str) -> None:
    with pytest.raises(Unavailable) as caught:
        embed(status(429, retry_after=header), ["a"])
    assert caught.value.limited and caught.value.retry_after is None


@pytest.mark.parametrize(
    "error", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("x")]
)
def test_transport_error_is_an_outage(error: httpx.HTTPError) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(Unavailable, match=type(error).__name__):
        embed(handler, ["a"])
    with pytest.raises(Unavailable, match=type(error).__name__):
        chat(handler)


def events(*lines: str) -> Handler:
    return lambda _unused: httpx.Response(200, text="".join(f"{line}\n\n" for line in lines))


def delta(text: str, finish: str | None = None) -> str:
    return "data: " + json.dumps({"choices": [{"delta": {"content": text}, "finish_reason": finish}]})


def test_stream_skips_what_is_no_text() -> None:
    role = 'data: {"choices": [{"delta": {"role": "assistant", "content": null}}]}'
    usage = 'data:{"choices": [], "usage": {"total_tokens": 3}}'
    assert chat(events(": ping", role, delta("Hé"), delta("llo"), usage, "data: [DONE]", delta("late"))) == [
        "Hé",
        "llo",
    ]


def test_stream_may_end_by_finish_reason() -> None:
    assert chat(events(delta("a", "stop"))) == ["a"]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([delta("half")], "before its end marker"),
        (['data: {"error": {"message": "slot lost"}}'], "slot lost"),
        (["data: {broken"], "not a chat completion"),
        (["data: [1]"], "not a chat completion"),
    ],
)
def test_broken_stream_is_an_outage(lines: list[str], says: str) -> None:
    with pytest.raises(Unavailable, match=says):
        chat(events(*lines))


def test_chat_statuses() -> None:
    with pytest.raises(Rejected, match="refuses the prompt") as caught:
        chat(status(400, "exceeds the context"))
    assert caught.value.code == "prompt_refused"
    with pytest.raises(AuthRefused):
        chat(status(401))
    with pytest.raises(Unavailable):
        chat(status(503))


def test_bound_covers_a_token_per_byte() -> None:
    assert token_bound([Message("user", "1234567890"), Message("system", "漢")]) >= 13
