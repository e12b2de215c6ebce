# SPDX-License-Identifier: Apache-2.0
"""NATS JetStream: publishing with an acknowledgement, and pulling from a durable that exists already.

Workers may neither create streams nor consumers; role `nats` has made them. A permission violation
reaches a client only through `error_cb` and otherwise looks like a timeout, so both are joined here.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote, urlparse

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.client import JetStreamContext
from opentelemetry import propagate

from ..contracts import SCHEMA_VERSION, Event
from ..errors import AuthRefused, Unavailable

_log = logging.getLogger(__name__)

PUBLISH_TIMEOUT = 10.0
"""Seconds to wait for the stream's acknowledgement (each is fsynced)."""


@dataclass(slots=True)
class Delivery:
    """One message as the consumer loop sees it."""

    message: Msg
    subject: str
    data: bytes
    headers: dict[str, str]
    sequence: int
    timestamp: datetime
    deliveries: int
    pending: int
    """Messages of the durable that were not delivered yet when this one was."""

    @property
    def request_id(self) -> str:
        """Names this message even if the stream is wiped and its sequence starts again."""
        return f"{self.sequence}@{self.timestamp.isoformat()}"

    async def ack(self) -> None:
        await self.message.ack_sync(timeout=PUBLISH_TIMEOUT)

    async def nak(self, delay: float) -> None:
        """`delay` in seconds; a nak without one would redeliver at once."""
        await self.message.nak(delay=max(delay, 0.1))

    async def in_progress(self) -> None:
        await self.message.in_progress()


class JetStream:
    """One connection of one service. Use `connect()`."""

    def __init__(self, connection: Client, prefix: str, violations: list[str]) -> None:
        self._nc = connection
        self._js: JetStreamContext = connection.jetstream(timeout=PUBLISH_TIMEOUT)
        self._prefix = prefix
        self._violations = violations

    @classmethod
    async def connect(cls, url: str, *, name: str, prefix: str = "") -> JetStream:
        """Raises AuthRefused or Unavailable. Reconnects by itself for ever afterwards."""
        violations: list[str] = []
        user = unquote(urlparse(url).username or "anonymous")

        async def on_error(error: Exception) -> None:
            text = str(error)
            if "permissions violation" in text.lower():
                violations.append(text)
            _log.warning("bus: %s", text)

        try:
            connection = await nats.connect(
                servers=url,
                name=name,
                inbox_prefix=f"_INBOX_{user}".encode(),
                error_cb=on_error,
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                reconnect_time_wait=1,
                connect_timeout=5,
            )
        except nats.errors.Error as error:
            if "authorization" in str(error).lower() or "authentication" in str(error).lower():
                raise AuthRefused("bus", f"user {user}: {error}") from error
            raise Unavailable("bus", str(error) or type(error).__name__) from error
        except OSError as error:
            raise Unavailable("bus", str(error)) from error
        return cls(connection, prefix, violations)

    @property
    def connected(self) -> bool:
        return bool(self._nc.is_connected)

    async def publish(self, event: Event, *, msg_id: str | None, subject: str | None = None) -> None:
        name = subject or type(event).subject
        headers = {"Homelab-Schema": str(SCHEMA_VERSION)}
        if msg_id is not None:
            headers["Nats-Msg-Id"] = msg_id
            headers["Homelab-Attempt"] = msg_id.rpartition(":")[2]
        propagate.inject(headers)
        payload = event.model_dump_json(exclude_none=True).encode()
        await self.publish_raw(name, payload, headers)

    async def publish_raw(self, subject: str, payload: bytes, headers: dict[str, str]) -> None:
        before = len(self._violations)
        try:
            await self._js.publish(self._prefix + subject, payload, timeout=PUBLISH_TIMEOUT, headers=headers)
        except (nats.errors.Error, nats.js.errors.Error, OSError) as error:
            raise self._translated(error, f"publish on {subject}", before) from error

    async def subscribe(self, stream: str, durable: str) -> Subscription:
        before = len(self._violations)
        try:
            await self._js.consumer_info(stream, durable)
            inner = await self._js.pull_subscribe_bind(durable, stream)
        except nats.js.errors.NotFoundError as error:
            raise Unavailable(
                "bus", f"durable {durable} of stream {stream} does not exist; role nats (entry main) makes it"
            ) from error
        except (nats.errors.Error, nats.js.errors.Error, OSError) as error:
            raise self._translated(error, f"subscribe to {stream}/{durable}", before) from error
        return Subscription(inner, self, self._prefix)

    async def consumer_state(self, stream: str, durable: str) -> tuple[int, int]:
        """(messages waiting, messages delivered and not yet acknowledged)."""
        before = len(self._violations)
        try:
            info = await self._js.consumer_info(stream, durable)
        except (nats.errors.Error, nats.js.errors.Error, OSError) as error:
            raise self._translated(error, f"state of {stream}/{durable}", before) from error
        return info.num_pending or 0, info.num_ack_pending or 0

    async def stream_bounds(self, stream: str) -> tuple[int, int, int]:
        """(first sequence, last sequence, messages)."""
        before = len(self._violations)
        try:
            state = (await self._js.stream_info(stream)).state
        except (nats.errors.Error, nats.js.errors.Error, OSError) as error:
            raise self._translated(error, f"state of {stream}", before) from error
        return state.first_seq, state.last_seq, state.messages

    async def stored(self, stream: str, sequence: int) -> tuple[str, bytes, dict[str, str]] | None:
        """(subject, payload, headers) of one stored message, None where there is none."""
        before = len(self._violations)
        try:
            message = await self._js.get_msg(stream, sequence)
        except nats.js.errors.NotFoundError:
            return None
        except (nats.errors.Error, nats.js.errors.Error, OSError) as error:
            raise self._translated(error, f"message {sequence} of {stream}", before) from error
        subject = (message.subject or "").removeprefix(self._prefix)
        return subject, message.data or b"", dict(message.headers or {})

    async def drop_stored(self, stream: str, sequence: int) -> None:
        before = len(self._violations)
        try:
            await self._js.delete_msg(stream, sequence)
        except (nats.errors.Error, nats.js.errors.Error, OSError) as error:
            raise self._translated(error, f"delete message {sequence} of {stream}", before) from error

    async def close(self) -> None:
        """Everything that matters was acknowledged; draining would wait 30 s for idle pull requests."""
        if not self._nc.is_closed:
            await self._nc.close()

    def _translated(self, error: Exception, what: str, violations_before: int) -> Exception:
        if len(self._violations) > violations_before:
            return AuthRefused("bus", f"{what}: {self._violations[-1]}")
        return Unavailable("bus", f"{what}: {str(error) or type(error).__name__}")


class Subscription:
    """A pull subscription to one durable."""

    def __init__(self, inner: JetStreamContext.PullSubscription, bus: JetStream, prefix: str) -> None:
        self._inner = inner
        self._bus = bus
        self._prefix = prefix

    async def fetch(self, count: int, *, wait: float) -> Sequence[Delivery]:
        """Up to `count` messages, as soon as there is one; empty after `wait` seconds."""
        try:
            messages = await self._inner.fetch(count, timeout=wait)
        except (TimeoutError, nats.errors.TimeoutError):
            return []
        except (nats.errors.Error, nats.js.errors.Error, OSError) as error:
            raise Unavailable("bus", str(error) or type(error).__name__) from error
        return [self._delivery(message) for message in messages]

    def _delivery(self, message: Msg) -> Delivery:
        meta: Any = message.metadata
        return Delivery(
            message=message,
            subject=message.subject.removeprefix(self._prefix),
            data=message.data,
            headers=dict(message.headers or {}),
            sequence=meta.sequence.stream,
            timestamp=meta.timestamp,
            deliveries=meta.num_delivered or 1,
            pending=meta.num_pending or 0,
        )
