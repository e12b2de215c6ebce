# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role made on the server, seen by the client library; what each user may do, tried."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import nats
import nats.errors
import pytest
import yaml
from nats.aio.client import Client

Answer = TypeVar("Answer")
PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
CONFIG = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "scratch" / "config"
VARIABLES = yaml.safe_load((PROJECT / "roles/nats/vars/main.yml").read_text())


def as_user(user: str, work: Callable[[Client], Awaitable[Answer]], password: str | None = None) -> Answer:
    """The result of `work` with a connection of a user. Raises what the server refuses."""
    problems: list[Exception] = []

    async def note(problem: Exception) -> None:
        problems.append(problem)

    async def run() -> Answer:
        client = await nats.connect(
            "nats://127.0.0.1:17222",
            user=user,
            password=password or f"password-of-{user}",
            inbox_prefix=f"_INBOX_{user}".encode(),
            error_cb=note,
            allow_reconnect=False,
            connect_timeout=10,
        )
        try:
            result = await work(client)
            # The first ping may overtake what is still to be written, the second does not.
            await client.flush()
            await client.flush()
        finally:
            await client.close()
        if problems:
            raise problems[0]
        return result

    return asyncio.run(run())


async def durables(client: Client) -> dict[str, dict[str, Any]]:
    jetstream = client.jetstream()
    found = {}
    for stream in await jetstream.streams_info():
        for consumer in await jetstream.consumers_info(stream.config.name):
            found[consumer.name] = {"stream": stream.config.name, "filters": consumer.config.filter_subjects}
    return found


def test_all_streams_are_there_on_disk() -> None:
    async def names(client: Client) -> dict[str, tuple[list[str] | None, str | None]]:
        found = await client.jetstream().streams_info()
        return {info.config.name or "": (info.config.subjects, str(info.config.storage)) for info in found}

    wanted = {stream["name"]: (stream["subjects"], "file") for stream in VARIABLES["__nats_streams"]}
    assert as_user("admin", names) == wanted


def test_durables_are_there_for_the_deployed_workers_alone() -> None:
    deployed = [durable for durable in VARIABLES["__nats_durables"] if durable["service"] in ("chunk", "embed")]
    wanted = {durable["name"]: {"stream": durable["stream"], "filters": [durable["filter"]]} for durable in deployed}
    assert as_user("admin", durables) == wanted


def test_a_service_publishes_its_own_subjects_alone() -> None:
    async def own(client: Client) -> None:
        await client.publish("embed.requested", b"{}")

    async def foreign(client: Client) -> None:
        await client.publish("doc.chunked", b"{}")

    as_user("embed", own)
    with pytest.raises(nats.errors.Error, match=r'permissions violation for publish to "doc\.chunked"'):
        as_user("embed", foreign)


def test_a_wrong_password_is_refused() -> None:
    with pytest.raises(nats.errors.Error, match=r"(?i)authorization violation"):
        as_user("embed", durables, password="password-of-query")


def test_passwords_are_in_the_closed_file_alone() -> None:
    assert (CONFIG / "users.conf").stat().st_mode & 0o777 == 0o600
    assert "password-of-" not in (CONFIG / "nats.conf").read_text()
