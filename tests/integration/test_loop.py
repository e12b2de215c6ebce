# SPDX-License-Identifier: GPL-3.0-or-later
"""The consumer loop on a real NATS and a real catalog: what each failure does to the message."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import nats
import pytest
from conftest import Nats, Postgres
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StreamConfig

from homelab_workers.adapters.jetstream import JetStream
from homelab_workers.adapters.postgres import PostgresCatalog
from homelab_workers.contracts import (
    EmbedCompleted,
    Extracted,
    IngestRequested,
    KgUpsertCompleted,
    StructureSummary,
    doc_id_for,
)
from homelab_workers.errors import AuthRefused, Crashed, Rejected, Unavailable
from homelab_workers.ports import Request
from homelab_workers.runtime import loop, telemetry
from homelab_workers.runtime.breaker import Breaker
from homelab_workers.stages.base import Context, outgoing

_numbers = itertools.count(1)
METERS = telemetry.Meters()

Behaviour = Callable[[int, Any], Awaitable[loop.Result]]


class Gauge:
    """Keeps what is shown on /metrics."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def set(self, value: float, _unused: dict[str, str]) -> None:
        self.values.append(value)


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The policy's shape with delays of tenths of a second."""
    monkeypatch.setattr(loop, "CRASH_DELAYS", (0.1, 0.1, 0.1, 0.1))
    monkeypatch.setattr(loop, "SERVICE_DELAYS", (0.1, 0.1, 0.1))
    monkeypatch.setattr(loop, "AUTH_DELAYS", (0.1, 0.1, 0.1))
    monkeypatch.setattr(loop, "GRAPH_DELAY", 0.1)
    monkeypatch.setattr(loop, "FETCH_WAIT", 0.3)


@dataclass
class Bench:
    """One stream and durable of its own, a stage whose behaviour the test writes, and a plain NATS client."""

    bus: JetStream
    catalog: PostgresCatalog
    js: Any
    prefix: str
    stream: str
    calls: list[Any] = field(default_factory=list)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, payload: bytes, subject: str = "doc.ingest.requested") -> None:
        await self.js.publish(self.prefix + subject, payload)

    async def run(
        self,
        behaviour: Behaviour,
        *,
        until: Callable[[], Awaitable[bool]],
        event: type[Any] = IngestRequested,
        stage: str = "extract",
        breaker: Breaker | None = None,
        batch: int = 1,
    ) -> None:
        """Consumes until the condition holds, at most 20 s."""

        async def handler(events: Sequence[Any], contexts: Sequence[Context]) -> Sequence[loop.Result]:
            results: list[loop.Result] = []
            for item in events:
                self.calls.append(item)
                results.append(await behaviour(len(self.calls), item))
            return results

        route = loop.Route(stage, self.stream, "worker", event, handler, batch)
        consumer = loop.Consumer(
            route,
            self.bus,
            self.catalog,
            meters=METERS,
            stopping=self.stopping,
            breaker=breaker or Breaker("models"),
        )
        task = asyncio.create_task(consumer.run())
        try:
            async with asyncio.timeout(20):
                while not await until() and not task.done():
                    await asyncio.sleep(0.05)
        finally:
            self.stopping.set()
            await task

    async def settled(self) -> bool:
        info = await self.js.consumer_info(self.stream, "worker")
        return bool(info.num_pending == 0 and info.num_ack_pending == 0 and info.delivered.consumer_seq > 0)

    async def letters(self) -> list[dict[str, Any]]:
        state = (await self.js.stream_info(f"{self.stream}-DLQ")).state
        found: list[dict[str, Any]] = []
        if state.messages == 0:
            return found
        for sequence in range(state.first_seq, state.last_seq + 1):
            message = await self.js.get_msg(f"{self.stream}-DLQ", sequence)
            found.append(json.loads(message.data))
        return found


@pytest.fixture
async def bench(nats_server: Nats, postgres: Postgres) -> AsyncIterator[Bench]:
    number = next(_numbers)
    prefix, stream = f"t{number}.", f"T{number}"
    client = await nats.connect(nats_server.url)
    js = client.jetstream()
    await js.add_stream(
        StreamConfig(name=stream, subjects=[f"{prefix}doc.>", f"{prefix}embed.>"], retention=RetentionPolicy.INTEREST)
    )
    await js.add_stream(StreamConfig(name=f"{stream}-DLQ", subjects=[f"{prefix}dlq.>"]))
    await js.add_consumer(
        stream, ConsumerConfig(durable_name="worker", ack_policy=AckPolicy.EXPLICIT, ack_wait=5, max_deliver=-1)
    )
    bus = await JetStream.connect(nats_server.url, name="test", prefix=prefix)
    catalog = await PostgresCatalog.open(postgres.url(), name="test")
    yield Bench(bus, catalog, js, prefix, stream)
    await bus.close()
    await catalog.close()
    await client.close()


GOOD = IngestRequested(source_uri="s3://raw-documents/a.pdf").model_dump_json().encode()


async def done(_unused: int, __: Any) -> loop.Result:
    return []


async def test_a_message_is_acknowledged_after_what_follows_is_stored(bench: Bench) -> None:
    doc_id = doc_id_for("loop")
    following = Extracted(doc_id=doc_id, version="0" * 16, wanted_seq=1, garage_key="k", structure=StructureSummary())

    async def behaviour(call: int, event: Any) -> loop.Result:
        return [outgoing(following, doc_id, 1, attempt=0)] if isinstance(event, IngestRequested) else []

    sub = await bench.js.subscribe(bench.prefix + "doc.ingest.extracted", ordered_consumer=True)
    await bench.send(GOOD)
    await bench.run(behaviour, until=bench.settled)
    message = await sub.next_msg(timeout=5)
    assert message.headers["Nats-Msg-Id"] == f"doc.ingest.extracted:{doc_id}:1:0"
    assert message.headers["Homelab-Attempt"] == "0"


async def test_what_cannot_be_published_keeps_its_message(bench: Bench) -> None:
    """The stream of the next event comes into being only after the first try."""
    following = KgUpsertCompleted(doc_id=doc_id_for("loop"), version="0" * 16, wanted_seq=1, triples_count=1)

    async def behaviour(call: int, event: Any) -> loop.Result:
        if call == 2:
            await bench.js.add_stream(name=f"{bench.stream}-KG", subjects=[f"{bench.prefix}kg.>"])
        return [outgoing(following, following.doc_id, 1, attempt=0)]

    await bench.send(GOOD)
    await bench.run(behaviour, until=bench.settled)
    assert len(bench.calls) == 2
    assert (await bench.js.stream_info(f"{bench.stream}-KG")).state.messages == 1


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        (b"not json", "Invalid JSON"),
        (b'{"metadata": {}}', "source_uri"),
        (b'{"source_uri": "file:///etc/passwd"}', "file:///etc/passwd"),
        (b'{"source_uri": "http://169.254.169.254/x"}', "only s3://"),
        (b'{"source_uri": "s3://raw-documents/../secrets"}', "'..'"),
        (b'{"schema_version": 99, "source_uri": "s3://raw-documents/a"}', "schema_version 99"),
        (b"\xff\xfe\x00", "Invalid JSON"),
    ],
)
async def test_a_malformed_event_is_a_dead_letter_at_once(bench: Bench, payload: bytes, named: str) -> None:
    await bench.send(payload)
    await bench.run(done, until=bench.settled)
    (letter,) = await bench.letters()
    assert letter["reason"] == "malformed_event" and named in letter["message"] and letter["fix"]
    assert letter["original_subject"] == "doc.ingest.requested" and letter["deliveries"] == 1
    assert bench.calls == [], "the stage never sees it"


async def test_what_is_rejected_is_buried_and_the_catalog_says_why(bench: Bench, postgres: Postgres) -> None:
    source = f"upload:default/rejected-{bench.stream}"
    asked = Request(source, "s3://raw-documents/a.pdf", "a" * 64, "a" * 16)
    async with bench.catalog.unit(doc_id_for(source)) as unit:
        accepted = await unit.accept(asked)
    event = IngestRequested(source_uri=asked.source_uri, doc_id=accepted.doc_id, version="a" * 16, wanted_seq=1)

    async def behaviour(_unused: int, __: Any) -> loop.Result:
        return Rejected("encrypted", "a.pdf is encrypted.", "remove the password")

    await bench.send(event.model_dump_json().encode())
    await bench.run(behaviour, until=bench.settled)
    (letter,) = await bench.letters()
    assert (letter["reason"], letter["doc_id"]) == ("encrypted", str(accepted.doc_id))
    async with bench.catalog.pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT state, error ->> 'code' FROM document_versions WHERE document_id = %s", (accepted.doc_id,)
        )
        assert await cursor.fetchall() == [("failed", "encrypted")]


async def test_a_crash_is_tried_five_times_then_buried(bench: Bench) -> None:
    async def behaviour(_unused: int, __: Any) -> loop.Result:
        return Crashed("out_of_memory", "a.pdf: the parser was killed")

    await bench.send(GOOD)
    await bench.run(behaviour, until=bench.settled)
    (letter,) = await bench.letters()
    assert (letter["reason"], letter["deliveries"], len(bench.calls)) == ("out_of_memory", 5, 5)


async def test_a_bug_in_a_stage_does_not_stop_the_loop(bench: Bench) -> None:
    async def behaviour(call: int, _unused: Any) -> loop.Result:
        if call == 1:
            raise ZeroDivisionError("boom")
        return []

    await bench.send(GOOD)
    await bench.run(behaviour, until=bench.settled)
    assert len(bench.calls) == 2 and await bench.letters() == []


async def test_an_unreachable_service_keeps_the_message(bench: Bench) -> None:
    async def behaviour(call: int, _unused: Any) -> loop.Result:
        return Unavailable("objects", "connection refused") if call < 8 else []

    await bench.send(GOOD)
    await bench.run(behaviour, until=bench.settled)
    assert len(bench.calls) == 8 and await bench.letters() == []


async def test_a_dead_triple_store_is_left_to_the_reconciler_after_five_tries(bench: Bench) -> None:
    async def behaviour(_unused: int, __: Any) -> loop.Result:
        return Unavailable("graph", "connection refused")

    await bench.send(
        EmbedCompleted(doc_id=doc_id_for("g"), version="0" * 16, wanted_seq=1, model="m").model_dump_json().encode(),
        "embed.completed",
    )
    await bench.run(behaviour, until=bench.settled, event=EmbedCompleted, stage="graph")
    assert len(bench.calls) == 5 and await bench.letters() == []


async def test_refused_credentials_end_the_service_after_three_retries(bench: Bench) -> None:
    async def behaviour(_unused: int, __: Any) -> loop.Result:
        return AuthRefused("objects", "key refused")

    await bench.send(GOOD)
    with pytest.raises(loop.ShutDown, match="key refused"):
        await bench.run(behaviour, until=bench.settled)
    info = await bench.js.consumer_info(bench.stream, "worker")
    assert info.num_ack_pending + info.num_pending == 1, "the message is still there for the next worker"


async def test_models_down_opens_the_breaker_and_the_message_stays(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("homelab_workers.runtime.breaker.BREAKER_SECONDS", 1.0)
    monkeypatch.setattr("homelab_workers.runtime.breaker.MODEL_DELAYS", (0.1, 0.1, 0.1))
    gauge = Gauge()
    monkeypatch.setattr(METERS, "breaker", gauge)
    breaker = Breaker("models")
    states: list[str] = []

    async def behaviour(call: int, _unused: Any) -> loop.Result:
        states.append(breaker.state)
        return Unavailable("models", "connection refused") if call <= 6 else []

    await bench.send(GOOD)
    await bench.run(behaviour, until=bench.settled, breaker=breaker, stage="embed", batch=4)
    assert states == ["closed"] * 5 + ["half_open"] * 2, "after five failures only probes get through"
    assert await bench.letters() == [] and breaker.state == "closed"
    assert gauge.values == [0] * 4 + [1] * 2 + [0], "0 closed, 1 open or half-open"


async def test_the_lag_is_what_waits_behind_the_last_message(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    gauge = Gauge()
    monkeypatch.setattr(METERS, "lag", gauge)

    async def behaviour(_unused: int, __: Any) -> loop.Result:
        return []

    for _unused in range(3):
        await bench.send(GOOD)
    await bench.run(behaviour, until=bench.settled)
    assert gauge.values[:3] == [2, 1, 0]


async def test_stopping_finishes_what_is_in_hand(bench: Bench) -> None:
    async def behaviour(_unused: int, __: Any) -> loop.Result:
        bench.stopping.set()
        await asyncio.sleep(0.5)
        return []

    await bench.send(GOOD)
    await bench.run(behaviour, until=bench.settled)
    assert await bench.settled() and len(bench.calls) == 1


async def test_a_missing_right_is_not_a_timeout(nats_server: Nats, bench: Bench) -> None:
    with pytest.raises(Unavailable, match="durable nobody of stream"):
        await bench.bus.subscribe(bench.stream, "nobody")
