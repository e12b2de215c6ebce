# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog on a real Postgres: versions, the flip, the tombstone and least privilege.

State is read back with psycopg directly, never through the adapter under test.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import psycopg
import pytest
from conftest import DIMENSION, Postgres

from homelab_workers.adapters import postgres as adapter
from homelab_workers.adapters.postgres import PostgresCatalog
from homelab_workers.contracts import Chunk, ChunkSpan, Structure, chunk_id_for, doc_id_for
from homelab_workers.errors import AuthRefused
from homelab_workers.ports import Accepted, Request

_names = itertools.count()

MODEL = "test-model"
STRUCTURE = Structure(mime_type="text/plain", engine="test")


def request(source_id: str, content: str) -> Request:
    return Request(
        source_id=source_id,
        source_uri="s3://raw-documents/x",
        content_sha256=(content * 64)[:64],
        version=(content * 16)[:16],
    )


def chunks(doc_id: UUID, version: str, count: int, text: str = "text") -> list[Chunk]:
    return [
        Chunk(chunk_id=chunk_id_for(doc_id, version, i), index=i, text=f"{text} {i}", section=0, tokens=3)
        for i in range(count)
    ]


def vector() -> list[float]:
    return [random.random() for _unused in range(DIMENSION)]


@asynccontextmanager
async def catalog_of(postgres: Postgres, service: str) -> AsyncIterator[PostgresCatalog]:
    catalog = await PostgresCatalog.open(postgres.url(f"homelab_{service}"), name=service)
    try:
        yield catalog
    finally:
        await catalog.close()


async def accept(postgres: Postgres, source_id: str, content: str) -> Accepted:
    async with catalog_of(postgres, "extract") as catalog:
        async with catalog.unit(doc_id_for(source_id)) as unit:
            accepted = await unit.accept(request(source_id, content))
        async with catalog.unit(accepted.doc_id) as unit:
            if accepted.state == "received":
                await unit.extracted(accepted.doc_id, accepted.version, STRUCTURE)
    return accepted


async def stage(postgres: Postgres, accepted: Accepted, count: int, text: str = "text") -> None:
    async with catalog_of(postgres, "chunk") as catalog, catalog.unit(accepted.doc_id) as unit:
        await unit.stage_chunks(
            accepted.doc_id, accepted.version, chunks(accepted.doc_id, accepted.version, count, text)
        )
        if count == 0:
            await unit.flip(accepted.doc_id, accepted.version, MODEL)


async def embed(catalog: PostgresCatalog, accepted: Accepted, indexes: range) -> str:
    """What the embed stage does with one batch; returns what became of the version."""
    vectors = {chunk_id_for(accepted.doc_id, accepted.version, i): vector() for i in indexes}
    async with catalog.staging(accepted.doc_id, vectors) as unit:
        changed, pending = await unit.store_vectors(accepted.doc_id, accepted.version)
        if changed == 0 or pending > 0:
            return "pending"
        return await unit.flip(accepted.doc_id, accepted.version, MODEL)


def rows(postgres: Postgres, sql: str, *parameters: object) -> list[tuple[object, ...]]:
    with psycopg.connect(postgres.url()) as connection:
        return connection.execute(sql, parameters).fetchall()


def served(postgres: Postgres, doc_id: UUID) -> set[tuple[object, ...]]:
    return set(rows(postgres, "SELECT version, chunk_text FROM embeddings WHERE document_id = %s", doc_id))


def fresh(name: str) -> str:
    return f"upload:default/{name}-{next(_names)}"


async def test_two_workers_with_the_last_two_batches_flip_once(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = await accept(postgres, fresh("race"), "a")
    await stage(postgres, accepted, 4)
    gate = asyncio.Barrier(2)
    lock = adapter._lock

    async def after_both_are_open(connection: adapter.Connection, name: str) -> None:
        await gate.wait()
        await lock(connection, name)

    async with catalog_of(postgres, "embed") as one, catalog_of(postgres, "embed") as two:
        monkeypatch.setattr(adapter, "_lock", after_both_are_open)
        outcomes = await asyncio.gather(embed(one, accepted, range(2)), embed(two, accepted, range(2, 4)))
    assert sorted(outcomes) == ["flipped", "pending"]
    assert len(served(postgres, accepted.doc_id)) == 4
    assert rows(postgres, "SELECT count(*) FROM chunks_staged WHERE document_id = %s", accepted.doc_id) == [(0,)]


async def test_the_same_batch_twice_counts_once(postgres: Postgres) -> None:
    accepted = await accept(postgres, fresh("twice"), "a")
    await stage(postgres, accepted, 4)
    async with catalog_of(postgres, "embed") as catalog:
        assert await embed(catalog, accepted, range(2)) == "pending"
        assert await embed(catalog, accepted, range(2)) == "pending"
        assert served(postgres, accepted.doc_id) == set()
        assert await embed(catalog, accepted, range(2, 4)) == "flipped"
        async with catalog.unit(accepted.doc_id) as unit:
            assert await unit.staged_texts(accepted.doc_id, accepted.version, ChunkSpan(start=0, count=4)) == []
            assert await unit.flip(accepted.doc_id, accepted.version, MODEL) == "already"
    assert len(served(postgres, accepted.doc_id)) == 4


async def test_a_slow_old_version_never_flips_over_a_newer_one(postgres: Postgres) -> None:
    name = fresh("edited")
    old = await accept(postgres, name, "a")
    await stage(postgres, old, 2, "old")
    new = await accept(postgres, name, "b")
    assert new.doc_id == old.doc_id and new.wanted_seq == old.wanted_seq + 1
    await stage(postgres, new, 2, "new")
    async with catalog_of(postgres, "embed") as catalog:
        assert await embed(catalog, new, range(2)) == "flipped"
        assert await embed(catalog, old, range(2)) == "pending", "its rows went with the flip of the newer version"
    assert {text for _unused, text in served(postgres, new.doc_id)} == {"new 0", "new 1"}
    states = dict(rows(postgres, "SELECT version, state FROM document_versions WHERE document_id = %s", new.doc_id))
    assert states == {old.version: "superseded", new.version: "embedded"}


async def test_an_old_version_that_is_ready_first_still_yields(postgres: Postgres) -> None:
    name = fresh("edited")
    old = await accept(postgres, name, "a")
    await stage(postgres, old, 1, "old")
    await accept(postgres, name, "b")
    async with catalog_of(postgres, "embed") as catalog:
        assert await embed(catalog, old, range(1)) == "superseded"
    assert served(postgres, old.doc_id) == set()


async def test_until_the_flip_the_old_version_is_served_whole(postgres: Postgres) -> None:
    name = fresh("edited")
    old = await accept(postgres, name, "a")
    await stage(postgres, old, 2, "old")
    async with catalog_of(postgres, "embed") as catalog:
        await embed(catalog, old, range(2))
        new = await accept(postgres, name, "b")
        await stage(postgres, new, 2, "new")
        assert await embed(catalog, new, range(1)) == "pending"
        assert {text for _unused, text in served(postgres, old.doc_id)} == {"old 0", "old 1"}
        assert await embed(catalog, new, range(1, 2)) == "flipped"
    assert {text for _unused, text in served(postgres, old.doc_id)} == {"new 0", "new 1"}


async def test_an_edited_file_that_became_empty_stops_serving_its_old_text(postgres: Postgres) -> None:
    name = fresh("emptied")
    old = await accept(postgres, name, "a")
    await stage(postgres, old, 1, "old")
    async with catalog_of(postgres, "embed") as catalog:
        await embed(catalog, old, range(1))
    empty = await accept(postgres, name, "b")
    await stage(postgres, empty, 0)
    assert served(postgres, old.doc_id) == set()
    active = rows(postgres, "SELECT active_version FROM documents WHERE id = %s", old.doc_id)
    assert active == [(empty.version,)]


async def test_unchanged_compares_with_the_active_version(postgres: Postgres) -> None:
    name = fresh("back")
    first = await accept(postgres, name, "a")
    await stage(postgres, first, 1, "first")
    async with catalog_of(postgres, "embed") as catalog:
        await embed(catalog, first, range(1))
        second = await accept(postgres, name, "b")
        await stage(postgres, second, 1, "second")
        again = await accept(postgres, name, "a")
        assert again.unchanged and again.wanted_seq > second.wanted_seq
        assert await embed(catalog, second, range(1)) == "superseded", "the first version is wanted again"
    assert {text for _unused, text in served(postgres, first.doc_id)} == {"first 0"}


async def test_a_redelivered_event_is_not_a_new_request(postgres: Postgres) -> None:
    name = fresh("redelivered")
    asked = dataclasses.replace(request(name, "a"), request_id=f"7@{name}")
    async with catalog_of(postgres, "extract") as catalog:
        async with catalog.unit(doc_id_for(name)) as unit:
            first = await unit.accept(asked)
        async with catalog.unit(doc_id_for(name)) as unit:
            second = await unit.accept(asked)
        assert second.wanted_seq == first.wanted_seq
        assert await catalog.requested(f"7@{name}") == (first.doc_id, first.version)


async def test_a_deleted_document_is_gone_and_can_come_back(postgres: Postgres) -> None:
    name = fresh("deleted")
    accepted = await accept(postgres, name, "a")
    await stage(postgres, accepted, 1)
    async with catalog_of(postgres, "embed") as catalog:
        await embed(catalog, accepted, range(1))
    async with catalog_of(postgres, "query") as catalog, catalog.unit(accepted.doc_id) as unit:
        assert await unit.request_delete(accepted.doc_id) == accepted.wanted_seq + 1
    assert rows(postgres, "SELECT active_version FROM documents WHERE id = %s", accepted.doc_id) == [(None,)]
    late = await accept(postgres, name, "b")
    async with catalog_of(postgres, "delete") as catalog:
        async with catalog.unit(accepted.doc_id) as unit:
            dead, still_served = await unit.condemned(accepted.doc_id)
            assert [version for version, _unused in dead] == [accepted.version] and not still_served
        async with catalog.unit(accepted.doc_id) as unit:
            await unit.remove(accepted.doc_id, [accepted.version])
    left = rows(postgres, "SELECT version FROM document_versions WHERE document_id = %s", accepted.doc_id)
    assert left == [(late.version,)], "a request after the deletion survives it"
    assert served(postgres, accepted.doc_id) == set()
    assert late.wanted_seq > accepted.wanted_seq


async def test_a_stage_that_works_on_a_deleted_document_cannot_serve_it(postgres: Postgres) -> None:
    accepted = await accept(postgres, fresh("tombstone"), "a")
    await stage(postgres, accepted, 1)
    async with catalog_of(postgres, "query") as catalog, catalog.unit(accepted.doc_id) as unit:
        await unit.request_delete(accepted.doc_id)
    async with catalog_of(postgres, "embed") as catalog:
        assert await embed(catalog, accepted, range(1)) == "superseded"
    assert served(postgres, accepted.doc_id) == set()


async def test_raw_content_is_in_use_until_its_last_document_goes(postgres: Postgres) -> None:
    first = await accept(postgres, fresh("shared"), "c")
    second = await accept(postgres, fresh("shared"), "c")
    async with catalog_of(postgres, "query") as catalog, catalog.unit(first.doc_id) as unit:
        await unit.request_delete(first.doc_id)
    async with catalog_of(postgres, "delete") as catalog:
        assert await catalog.content_in_use("c" * 64, apart_from=first.doc_id)
    async with catalog_of(postgres, "query") as catalog, catalog.unit(second.doc_id) as unit:
        await unit.request_delete(second.doc_id)
    async with catalog_of(postgres, "delete") as catalog:
        assert not await catalog.content_in_use("c" * 64, apart_from=second.doc_id)


FORBIDDEN = {
    "extract": ["DELETE FROM documents", "SELECT FROM embeddings", "UPDATE documents SET active_version = 'x'"],
    "chunk": [
        "DELETE FROM chunks_staged",
        "INSERT INTO embeddings (id) VALUES (NULL)",
        "UPDATE documents SET title = ''",
    ],
    "embed": ["DELETE FROM chunks_staged", "UPDATE chunks_staged SET chunk_text = ''", "DELETE FROM embeddings"],
    "graph": ["DELETE FROM embeddings", "UPDATE documents SET title = ''", "SELECT FROM chunks_staged"],
    "delete": ["INSERT INTO documents (source_id) VALUES ('x')", "UPDATE embeddings SET chunk_text = ''"],
    "query": ["DELETE FROM documents", "DELETE FROM embeddings", "UPDATE embeddings SET chunk_text = ''"],
    "reconcile": ["DELETE FROM document_versions", "UPDATE documents SET title = ''", "DELETE FROM embeddings"],
}


@pytest.mark.parametrize("service", FORBIDDEN)
def test_each_role_is_refused_what_is_not_its_work(postgres: Postgres, service: str) -> None:
    for statement in [*FORBIDDEN[service], "CREATE TABLE intruder ()", "DROP TABLE embeddings"]:
        with (
            psycopg.connect(postgres.url(f"homelab_{service}")) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(statement)


@pytest.mark.parametrize("service", ["extract", "graph", "delete", "query", "reconcile"])
def test_only_embed_and_chunk_may_flip(postgres: Postgres, service: str) -> None:
    with (
        psycopg.connect(postgres.url(f"homelab_{service}")) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("SELECT homelab_flip(gen_random_uuid(), '', '')")


async def test_a_wrong_password_is_named_as_such(postgres: Postgres) -> None:
    url = postgres.url("homelab_embed").replace(postgres.password, "wrong")
    with pytest.raises(AuthRefused, match="homelab_embed"):
        await PostgresCatalog.open(url, name="embed")
