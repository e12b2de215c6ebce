# SPDX-License-Identifier: GPL-3.0-or-later
"""Nobody may do another's work: keys of the model servers, users of NATS, roles of Postgres, on the running stack."""

from __future__ import annotations

from typing import Any

import httpx
import nats
import psycopg
import pytest

from tests.integration.local.deployment import Deployment

SERVICES = ("extract", "chunk", "embed", "graph", "delete", "reconcile", "query")
CHAT = {"model": "chat", "messages": [{"role": "user", "content": "Say yes."}], "max_tokens": 1}
EMBED = {"model": "embed", "input": ["one text"]}
# A subject of somebody else, by user.
FOREIGN = {
    "extract": "doc.chunked",
    "chunk": "embed.requested",
    "embed": "doc.chunked",
    "graph": "embed.completed",
    "delete": "doc.deleted",
    "reconcile": "kg.upsert.completed",
    "query": "doc.chunked",
    "client": "doc.deleted",
}


def post(url: str, body: dict[str, Any], key: str | None = None) -> int:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.post(url, json=body, headers=headers, timeout=60, trust_env=False).status_code


def test_the_proxy_knows_its_callers_and_their_models(stack: Deployment) -> None:
    url, secrets = stack.url(4000) + "/v1", stack.secrets()
    assert post(f"{url}/chat/completions", CHAT) == 401
    assert post(f"{url}/chat/completions", CHAT, "sk-guessed") == 401
    assert post(f"{url}/embeddings", EMBED, secrets["litellm-embed"]) == 200
    assert post(f"{url}/chat/completions", CHAT, secrets["litellm-embed"]) == 403
    assert post(f"{url}/chat/completions", CHAT, secrets["litellm-query"]) == 200


def test_the_model_servers_cannot_be_reached_past_the_proxy(stack: Deployment) -> None:
    for offset, path, body, own in (
        (8082, "/v1/chat/completions", CHAT, "llama-chat"),
        (8081, "/v1/embeddings", EMBED, "llama-embed"),
    ):
        assert post(stack.url(offset) + path, body) == 401
        assert post(stack.url(offset) + path, body, stack.secrets()["litellm-query"]) == 401
        assert post(stack.url(offset) + path, body, stack.secrets()[own]) == 200


async def refusals(url: str, user: str, *subjects: str, heard: str = "") -> list[str]:
    """What the server answers to publishing each subject and to subscribing to `heard`."""
    errors: list[str] = []

    async def note(error: Exception) -> None:
        errors.append(str(error).lower())

    client = await nats.connect(url, inbox_prefix=f"_INBOX_{user}".encode(), error_cb=note)
    try:
        for subject in subjects:
            await client.publish(subject, b"{}")
        if heard:
            await client.subscribe(heard)
        # The server answers in order, but nats-py's first ping may overtake what was published before it.
        await client.flush()
        await client.flush()
    finally:
        await client.close()
    return errors


@pytest.mark.parametrize("user", FOREIGN)
async def test_a_user_of_nats_is_refused_what_is_not_its_own(stack: Deployment, user: str) -> None:
    creation = "$JS.API.STREAM.CREATE.INTRUDER"
    errors = await refusals(stack.nats_url(user), user, FOREIGN[user], creation, heard="doc.>")
    assert any(f'publish to "{FOREIGN[user]}"' in error for error in errors), errors
    assert any(f'publish to "{creation.lower()}"' in error for error in errors), errors
    assert any('subscription to "doc.>"' in error for error in errors), errors


async def test_only_admin_makes_streams_and_none_was_made(stack: Deployment) -> None:
    client = await nats.connect(stack.nats_url("admin"), inbox_prefix=b"_INBOX_admin")
    try:
        streams = client.jetstream()
        assert {info.config.name for info in await streams.streams_info()} == {
            *("INGEST", "EMBED", "KG", "TELEMETRY", "DLQ")
        }
        await streams.add_stream(name="OWN", subjects=["own.>"])
        await streams.delete_stream("OWN")
    finally:
        await client.close()


async def test_nats_knows_no_nobody(stack: Deployment) -> None:
    address = stack.nats_url("client").rpartition("@")[2]
    for url in (f"nats://{address}", f"nats://client:guessed@{address}"):
        with pytest.raises(nats.errors.Error, match=r"(?i)authorization"):
            await nats.connect(url, allow_reconnect=False, max_reconnect_attempts=0)


@pytest.mark.parametrize("service", SERVICES)
def test_a_role_of_postgres_is_refused_what_is_not_its_own(stack: Deployment, service: str) -> None:
    with psycopg.connect(stack.postgres_url(service), autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM schema_migrations").fetchone() != (0,)
        for statement in (
            "CREATE TABLE intruder (id int)",
            "DROP TABLE documents",
            "INSERT INTO embeddings DEFAULT VALUES",
            "UPDATE embeddings SET chunk_text = ''",
            "UPDATE schema_migrations SET version = 99",
            "TRUNCATE embeddings",
            "SET ROLE homelab_owner",
            "CREATE ROLE intruder",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_postgres_lets_nobody_in_without_a_password(stack: Deployment) -> None:
    address = stack.postgres_url("admin").rpartition("@")[2]
    for user in ("postgres", "homelab_query"):
        for url in (f"postgresql://{user}@{address}", f"postgresql://{user}:guessed@{address}"):
            with pytest.raises(psycopg.OperationalError, match=r"password"):
                psycopg.connect(url)
