# SPDX-License-Identifier: Apache-2.0
"""Finds versions that wait for an event which nobody will deliver, and sends it again.

The catalog is the truth, the bus is transport: a broker whose store was lost costs time, never a
document. A version counts as stuck when it is older than the grace period and its durable has
nothing waiting and nothing in flight; with a backlog it only waits its turn.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from ..adapters.jetstream import JetStream
from ..adapters.postgres import PostgresCatalog
from ..contracts import (
    Chunked,
    DocDeleted,
    EmbedCompleted,
    Event,
    Extracted,
    IngestRequested,
    State,
    StructureSummary,
    processed_location,
)
from ..ports import Unfinished
from ..stages.base import Outgoing, outgoing
from ..stages.chunk import spans_of

_log = logging.getLogger(__name__)

WAITS_FOR: dict[State, tuple[tuple[str, str], ...]] = {
    "received": (("INGEST", "extract"),),
    "extracted": (("INGEST", "chunk"),),
    "chunked": (("INGEST", "embed-plan"), ("EMBED", "embed")),
    "embedded": (("EMBED", "graph"),),
    "deleting": (("INGEST", "delete"),),
}
"""Durables that may still hold the event of a version in this state."""


class Reconciler:
    def __init__(
        self,
        catalog: PostgresCatalog,
        bus: JetStream,
        *,
        model: str,
        grace_seconds: int,
    ) -> None:
        self._catalog = catalog
        self._bus = bus
        self._model = model
        self._grace = timedelta(seconds=grace_seconds)

    async def sweep(self) -> int:
        """Returns how many events were sent again."""
        now = datetime.now(UTC)
        idle: dict[State, bool] = {}
        sent = 0
        for item in await self._catalog.unfinished(older_than=now - self._grace):
            if item.state not in idle:
                idle[item.state] = await self._idle(item.state)
            if idle[item.state]:
                await self._send_again(item)
                sent += 1
        return sent

    async def _idle(self, state: State) -> bool:
        for stream, durable in WAITS_FOR[state]:
            waiting, in_flight = await self._bus.consumer_state(stream, durable)
            if waiting or in_flight:
                return False
        return True

    async def _send_again(self, item: Unfinished) -> None:
        async with self._catalog.unit(item.doc_id) as unit:
            attempt = await unit.reissue(item.doc_id, item.version)
        if attempt is None:
            return
        again = event_for(item, attempt, self._model)
        await self._bus.publish(again.event, msg_id=again.msg_id)
        _log.warning(
            "sent again: %s of %s was %s since %s",
            type(again.event).subject,
            item.doc_id,
            item.state,
            item.updated_at.isoformat(),
            extra={"doc_id": str(item.doc_id), "version": item.version, "attempt": attempt},
        )


def event_for(item: Unfinished, attempt: int, model: str) -> Outgoing:
    """The event that moves a version on from its state, with a message id of its own."""
    identity = {"doc_id": item.doc_id, "version": item.version, "wanted_seq": item.wanted_seq}
    event: Event
    if item.state == "received":
        event = IngestRequested.model_validate(
            {**identity, "source_uri": item.source_uri, "content_sha256": item.content_sha256}
        )
    elif item.state == "extracted":
        key = str(processed_location(item.doc_id, item.version, "document.json"))
        event = Extracted.model_validate({**identity, "garage_key": key, "structure": StructureSummary()})
    elif item.state == "chunked":
        event = Chunked.model_validate({**identity, "chunks": spans_of(item.chunks_total or 0)})
    elif item.state == "embedded":
        event = EmbedCompleted.model_validate({**identity, "model": model})
    else:
        event = DocDeleted(doc_id=item.doc_id, wanted_seq=item.wanted_seq)
    return outgoing(event, item.doc_id, item.wanted_seq, attempt=attempt)
