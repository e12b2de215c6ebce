# SPDX-License-Identifier: Apache-2.0
"""The consumer loop: fetch, keep alive, run the stage, publish, acknowledge, or apply the failure policy.

The order is the guarantee: effects are committed, then the next events are stored by the bus, then
the input is acknowledged. A worker killed anywhere in between finds the message again.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from opentelemetry import context as otel
from opentelemetry import propagate, trace
from pydantic import ValidationError

from ..adapters.jetstream import Delivery, JetStream, Subscription
from ..contracts import DeadLetter, Event, VersionEvent
from ..errors import AuthRefused, Crashed, HomelabError, Rejected, Unavailable
from ..ports import Catalog
from ..stages.base import Context, Outgoing
from .breaker import Breaker
from .policy import (
    AUTH_DELAYS,
    CRASH_DELAYS,
    GRAPH_DELAY,
    GRAPH_TRIES,
    SERVICE_DELAYS,
    jittered,
    pick,
)
from .telemetry import Meters

_log = logging.getLogger(__name__)
_tracer = trace.get_tracer("homelab")

HEARTBEAT_SECONDS = 20.0
"""A third of the durables' ack_wait of 60 s."""
FETCH_WAIT = 2.0

Result = list[Outgoing] | HomelabError
Handler = Callable[[Sequence[Any], Sequence[Context]], Awaitable[Sequence[Result]]]


class ShutDown(Exception):
    """The service must end with an error: its credentials are refused."""


@dataclass(frozen=True)
class Route:
    """One durable, the event that it carries, and the stage that handles it."""

    stage: str
    stream: str
    durable: str
    event: type[Event]
    handler: Handler
    batch: int = 1


def one_by_one(handle: Callable[[Any, Context], Awaitable[list[Outgoing]]]) -> Handler:
    """A stage that takes single events, as a handler of batches of one."""

    async def handler(events: Sequence[Any], contexts: Sequence[Context]) -> Sequence[Result]:
        return [await handle(event, context) for event, context in zip(events, contexts, strict=True)]

    return handler


class Consumer:
    """Runs one route until `stopping` is set; whatever is in hand then is finished first."""

    def __init__(
        self,
        route: Route,
        bus: JetStream,
        catalog: Catalog,
        *,
        meters: Meters,
        stopping: asyncio.Event,
        breaker: Breaker,
    ) -> None:
        self._route = route
        self._bus = bus
        self._catalog = catalog
        self._meters = meters
        self._stopping = stopping
        self._breaker = breaker
        self._refused = 0

    async def run(self) -> None:
        subscription = await self._subscribed()
        failures = 0
        while subscription is not None and not self._stopping.is_set():
            wait = self._breaker.wait()
            if wait > 0:
                await self._pause(wait)
                continue
            probing = self._breaker.state == "half_open"
            try:
                deliveries = await subscription.fetch(1 if probing else self._route.batch, wait=FETCH_WAIT)
            except Unavailable as error:
                failures += 1
                _log.warning("cannot fetch: %s", error)
                await self._pause(jittered(pick(SERVICE_DELAYS, failures)))
                continue
            failures = 0
            self._meters.lag.set(deliveries[-1].pending if deliveries else 0, {"stage": self._route.durable})
            if deliveries:
                await self._work(deliveries)

    async def _subscribed(self) -> Subscription | None:
        failures = 0
        while not self._stopping.is_set():
            try:
                return await self._bus.subscribe(self._route.stream, self._route.durable)
            except AuthRefused as error:
                await self._refusal(error)
            except Unavailable as error:
                failures += 1
                _log.warning("waiting for the durable: %s", error)
                await self._pause(jittered(pick(SERVICE_DELAYS, failures)))
        return None

    async def _work(self, deliveries: Sequence[Delivery]) -> None:
        started = time.monotonic()
        async with _kept_alive(deliveries):
            events: list[Event] = []
            kept: list[Delivery] = []
            for delivery in deliveries:
                try:
                    events.append(self._route.event.model_validate_json(delivery.data))
                    kept.append(delivery)
                except ValidationError as error:
                    await self._settle_alone(delivery, _malformed(delivery, error))
            if not kept:
                return
            contexts = [Context(request_id=d.request_id, deliveries=d.deliveries) for d in kept]
            parent = propagate.extract(kept[0].headers)
            links = [
                trace.Link(trace.get_current_span(propagate.extract(d.headers)).get_span_context()) for d in kept[1:]
            ]
            with _tracer.start_as_current_span(
                f"{self._route.stage} {self._route.durable}",
                context=parent,
                links=links,
                attributes={"homelab.stage": self._route.stage, "messaging.batch.message_count": len(kept)},
            ) as span:
                results = await self._results(events, contexts)
                for delivery, event, result in zip(kept, events, results, strict=True):
                    if isinstance(event, VersionEvent):
                        span.set_attribute("homelab.doc_id", str(event.doc_id))
                    with _own_trace(delivery, kept[0]):
                        await self._settle(delivery, event, result)
        self._meters.duration.record(time.monotonic() - started, {"stage": self._route.stage})

    async def _results(self, events: Sequence[Event], contexts: Sequence[Context]) -> Sequence[Result]:
        try:
            return await self._route.handler(events, contexts)
        except HomelabError as error:
            return [error] * len(events)
        except Exception as error:
            _log.exception("unexpected error in stage %s", self._route.stage)
            return [Crashed("internal_error", f"{type(error).__name__}: {error}")] * len(events)

    async def _settle_alone(self, delivery: Delivery, error: HomelabError) -> None:
        with _own_trace(delivery, None):
            await self._settle(delivery, None, error)

    async def _settle(self, delivery: Delivery, event: Event | None, result: Result) -> None:
        """Publish and acknowledge, or apply the policy. A bus that fails here means redelivery, which is safe."""
        try:
            if isinstance(result, list):
                for item in result:
                    await self._bus.publish(item.event, msg_id=item.msg_id)
                await delivery.ack()
                self._refused = 0
                self._breaker.success()
                self._show_breaker()
            else:
                await self._failed(delivery, event, result)
        except Unavailable as error:
            _log.warning("message %s of %s stays: %s", delivery.sequence, self._route.stream, error)
            await self._pause(jittered(SERVICE_DELAYS[0]))
        except TimeoutError:
            _log.warning("message %s of %s: the acknowledgement was lost", delivery.sequence, self._route.stream)
        except AuthRefused as error:
            await self._refusal(error)

    async def _failed(self, delivery: Delivery, event: Event | None, error: HomelabError) -> None:
        if isinstance(error, Rejected):
            await self._bury(delivery, event, error)
        elif isinstance(error, Crashed):
            if delivery.deliveries > len(CRASH_DELAYS):
                fix = "see the worker's log; `homelab dlq replay` tries again"
                await self._bury(delivery, event, Rejected(error.code, error.message, fix))
            else:
                await self._again(delivery, error, jittered(pick(CRASH_DELAYS, delivery.deliveries)))
        elif isinstance(error, AuthRefused):
            await delivery.nak(jittered(AUTH_DELAYS[0]))
            await self._refusal(error)
        elif isinstance(error, Unavailable) and error.target == "models":
            delay = jittered(self._breaker.failure(error))
            self._show_breaker()
            await self._again(delivery, error, delay)
        elif isinstance(error, Unavailable) and error.target == "graph":
            if delivery.deliveries >= GRAPH_TRIES:
                _log.error("left to the reconciler: %s", error)
                await delivery.ack()
            else:
                await self._again(delivery, error, jittered(GRAPH_DELAY))
        else:
            await self._again(delivery, error, jittered(pick(SERVICE_DELAYS, delivery.deliveries)))

    def _show_breaker(self) -> None:
        self._meters.breaker.set(0 if self._breaker.state == "closed" else 1, {"target": self._breaker.target})

    async def _again(self, delivery: Delivery, error: HomelabError, delay: float) -> None:
        _log.warning(
            "again in %.1f s: %s", delay, error, extra={"stage": self._route.stage, "deliveries": delivery.deliveries}
        )
        self._meters.retries.add(1, {"stage": self._route.stage})
        await delivery.nak(delay)

    async def _bury(self, delivery: Delivery, event: Event | None, error: Rejected) -> None:
        """Dead letter first, then the catalog's state, then the acknowledgement."""
        doc_id, version = await self._subject_of(event, delivery)
        letter = _dead_letter(delivery, error, self._route.stage, doc_id, version)
        subject = f"dlq.{delivery.subject}"
        msg_id = f"{subject}:{self._route.stream}:{delivery.request_id}"
        await self._bus.publish(letter, msg_id=msg_id, subject=subject)
        if doc_id is not None and version is not None:
            async with self._catalog.unit(doc_id) as unit:
                await unit.fail(
                    doc_id, version, code=error.code, message=error.message, fix=error.fix, stage=self._route.stage
                )
        await delivery.ack()
        self._meters.dead_letters.add(1, {"reason": error.code})
        _log.error(
            "dead letter: %s", error, extra={"alert": True, "reason": error.code, "doc_id": doc_id, "version": version}
        )

    async def _subject_of(self, event: Event | None, delivery: Delivery) -> tuple[UUID | None, str | None]:
        """Which version a message is about; an event from outside has one once the catalog accepted it."""
        doc_id, version = getattr(event, "doc_id", None), getattr(event, "version", None)
        if event is not None and doc_id is None:
            return await self._catalog.requested(delivery.request_id)
        return doc_id, version

    async def _refusal(self, error: AuthRefused) -> None:
        self._refused += 1
        if self._refused > len(AUTH_DELAYS):
            _log.critical("credentials refused, giving up: %s", error, extra={"alert": True})
            raise ShutDown(str(error)) from error
        delay = jittered(pick(AUTH_DELAYS, self._refused))
        _log.error("credentials refused, again in %.1f s: %s", delay, error)
        await self._pause(delay)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)


@contextlib.asynccontextmanager
async def _kept_alive(deliveries: Sequence[Delivery]) -> AsyncIterator[None]:
    """In-progress acks while the block runs, so that the server does not hand the messages to another worker."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            for delivery in deliveries:
                try:
                    await delivery.in_progress()
                except Exception as error:
                    _log.debug("heartbeat: %s", error)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.contextmanager
def _own_trace(delivery: Delivery, first: Delivery | None) -> Iterator[None]:
    """What is published for a message of a batch carries that message's own trace, not its neighbour's."""
    if first is delivery:
        yield
        return
    token = otel.attach(propagate.extract(delivery.headers))
    try:
        yield
    finally:
        otel.detach(token)


def _malformed(delivery: Delivery, error: ValidationError) -> Rejected:
    problems = "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'payload'}: {problem['msg']}" for problem in error.errors()[:5]
    )
    return Rejected(
        "malformed_event",
        f"{delivery.subject} holds a payload that does not follow its contract ({problems}).",
        "correct the publisher (schemas: workers/schemas), then replay or drop the dead letter",
    )


def _dead_letter(
    delivery: Delivery, error: Rejected, stage: str, doc_id: UUID | None, version: str | None
) -> DeadLetter:
    try:
        original, encoding = json.loads(delivery.data), "json"
    except ValueError:
        original, encoding = base64.b64encode(delivery.data).decode(), "base64"
    return DeadLetter.model_validate(
        {
            "original_subject": delivery.subject,
            "original": original,
            "original_encoding": encoding,
            "headers": delivery.headers,
            "reason": error.code,
            "message": error.message,
            "fix": error.fix,
            "stage": stage,
            "deliveries": delivery.deliveries,
            "first_seen": delivery.timestamp,
            "doc_id": doc_id,
            "version": version,
        }
    )
