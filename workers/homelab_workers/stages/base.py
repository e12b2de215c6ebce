# SPDX-License-Identifier: Apache-2.0
"""The shape of a stage: one event in, events out, effects through ports in between."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from ..contracts import Event, State, message_id

FINISHED: frozenset[State] = frozenset({"embedded", "graphed"})
DEAD: frozenset[State] = frozenset({"failed", "superseded", "deleting", "deleted", "raw_expired"})


@dataclass(frozen=True, slots=True)
class Context:
    """What the bus knows about the message: its own id, and how often it was delivered."""

    request_id: str
    deliveries: int


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event to publish once the stage's effects are committed; then the input is acknowledged."""

    event: Event
    msg_id: str


def outgoing(event: Event, doc_id: UUID, wanted_seq: int, *, attempt: int, index: int | None = None) -> Outgoing:
    return Outgoing(event, message_id(type(event).subject, doc_id, wanted_seq, index=index, attempt=attempt))
