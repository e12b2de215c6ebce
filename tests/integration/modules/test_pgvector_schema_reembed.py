# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Another dimension or type: what pgvector_schema does to the catalog, and that the workers carry on from there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast
from uuid import UUID

import pytest
from module_runner import CANARY, Postgres, Runner
from pgvector_rig import everything, vectors

from homelab_workers.adapters.jetstream import JetStream
from homelab_workers.adapters.postgres import PostgresCatalog
from homelab_workers.adapters.search_postgres import PostgresSearch
from homelab_workers.contracts import Chunked, EmbedRequested, Event, chunk_id_for, doc_id_for
from homelab_workers.runtime.reconciler import Reconciler
from homelab_workers.stages.base import Context
from homelab_workers.stages.embed import Embed, EmbedPlan

SERVICES = ("embed", "reconcile", "query")
OPTIONS: dict[str, Any] = {
    "dimension": 8,
    "index": {"method": "hnsw"},
    "roles": [{"service": service, "password": f"{CANARY}-{service}"} for service in SERVICES],
}
CHUNKS = 3
V1, V2 = "1" * 16, "2" * 16


class Model:
    """Stands for the new embedding model."""

    model = "new-model"

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension

    async def embed(self, texts: Sequence[str], *, kind: Literal["document", "query"]) -> list[list[float]]:
        return [[1.0, *[0.0] * (self.dimension - 1)] for _unused in texts]


class Bus:
    """Stands for a broker with nothing waiting; keeps what is published."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def consumer_state(self, stream: str, durable: str) -> tuple[int, int]:
        return 0, 0

    async def publish(self, event: Event, *, msg_id: str) -> None:
        self.events.append(event)


class Rows:
    """Documents in the states that a change can meet."""

    def __init__(self, admin: Any) -> None:
        self.admin = admin

    def document(self, name: str, wanted_seq: int, active: str | None, deleted_seq: int = 0) -> UUID:
        doc_id = doc_id_for(name)
        self.admin.execute(
            "INSERT INTO documents (id, source_id, collection, wanted_seq, deleted_seq, active_version) "
            "VALUES (%s, %s, 'default', %s, %s, %s)",
            [doc_id, name, wanted_seq, deleted_seq, active],
        )
        return doc_id

    def version(self, doc_id: UUID, version: str, seq: int, state: str, total: int | None, pending: int | None) -> None:
        self.admin.execute(
            "INSERT INTO document_versions (document_id, version, wanted_seq, state, source_uri, content_sha256, "
            "chunks_total, chunks_pending, attempts, error) "
            "VALUES (%s, %s, %s, %s, 's3://raw-documents/x', %s, %s, %s, 2, %s)",
            [doc_id, version, seq, state, "a" * 64, total, pending, "{}" if state == "failed" else None],
        )

    def served(self, doc_id: UUID, version: str) -> None:
        for index in range(CHUNKS):
            self.admin.execute(
                "INSERT INTO embeddings (id, document_id, version, chunk_index, chunk_text, heading, section, page, "
                "token_count, embedding, embedding_model, chunk_tsv) "
                "VALUES (%s, %s, %s, %s, %s, 'Heading', 4, 5, 6, array_fill(1, ARRAY[8])::vector, 'old-model', '')",
                [chunk_id_for(doc_id, version, index), doc_id, version, index, f"text {index}"],
            )

    def staged(self, doc_id: UUID, version: str) -> None:
        """The first chunk has its vector, the others wait."""
        for index in range(CHUNKS):
            self.admin.execute(
                "INSERT INTO chunks_staged (id, document_id, version, chunk_index, chunk_text, token_count, embedding) "
                "VALUES (%s, %s, %s, %s, 'staged', 1, CASE WHEN %s = 0 THEN array_fill(1, ARRAY[8])::vector END)",
                [chunk_id_for(doc_id, version, index), doc_id, version, index, index],
            )


def plant(admin: Any) -> None:
    rows = Rows(admin)
    plain = rows.document("plain", 1, V1)
    rows.version(plain, V1, 1, "graphed", CHUNKS, 0)
    rows.served(plain, V1)
    # Served, although a later stage gave up.
    graph = rows.document("graph-failed", 1, V1)
    rows.version(graph, V1, 1, "failed", CHUNKS, 0)
    rows.served(graph, V1)
    # The old version is all that this document has.
    failed = rows.document("new-failed", 2, V1)
    rows.version(failed, V1, 1, "embedded", CHUNKS, 0)
    rows.served(failed, V1)
    rows.version(failed, V2, 2, "failed", None, None)
    # A new version has one vector of three.
    under_way = rows.document("new-under-way", 2, V1)
    rows.version(under_way, V1, 1, "graphed", CHUNKS, 0)
    rows.served(under_way, V1)
    rows.version(under_way, V2, 2, "chunked", CHUNKS, CHUNKS - 1)
    rows.staged(under_way, V2)
    deleted = rows.document("deleted", 2, None, deleted_seq=2)
    rows.version(deleted, V1, 1, "deleting", CHUNKS, 0)
    rows.served(deleted, V1)
    empty = rows.document("empty", 1, V1)
    rows.version(empty, V1, 1, "graphed", 0, 0)
    received = rows.document("received", 1, None)
    rows.version(received, V1, 1, "received", None, None)
    # Gave up while embedding; a retry goes on with what is staged.
    first = rows.document("failed-first", 1, None)
    rows.version(first, V1, 1, "failed", CHUNKS, CHUNKS - 1)
    rows.staged(first, V1)


def versions(admin: Any) -> dict[tuple[str, str], Any]:
    """Document and version -> state, chunks pending, served?, newest?"""
    return {
        (name, version): tuple(rest)
        for name, version, *rest in admin.execute(
            "SELECT d.source_id, v.version, v.state, v.chunks_pending, "
            "coalesce(d.active_version = v.version, false), v.wanted_seq = d.wanted_seq "
            "FROM document_versions v JOIN documents d ON d.id = v.document_id"
        )
    }


@pytest.mark.parametrize(("dimension", "kind"), [(16, "vector"), (8, "halfvec"), (4096, "halfvec")])
async def test_workers_embed_everything_again(
    schema: Runner, bare_postgres: Postgres, database: str, dimension: int, kind: str
) -> None:
    def snapshot() -> Any:
        return everything(bare_postgres, database), vectors(bare_postgres, database)

    schema(OPTIONS)
    with bare_postgres.connect(database=database) as admin:
        plant(admin)
    change = {
        **OPTIONS,
        "dimension": dimension,
        "vector_type": kind,
        "on_dimension_change": "reembed",
        "index": {"method": "hnsw" if dimension == 16 else "auto"},
    }
    result = schema.cycle(change, snapshot)
    assert result["statements"][0].startswith("LOCK TABLE public.documents")
    assert 'DROP INDEX public."embeddings_hnsw_m16_ef64"' in result["statements"]
    assert result["index_method"] == ("hnsw" if dimension == 16 else "none")
    storage = "EXTERNAL" if dimension == 4096 else "PLAIN"
    assert result["diff"]["after"]["vectors"]["embeddings"] == f"{kind}({dimension}) {storage}"

    found = vectors(bare_postgres, database)
    letter = storage[0].lower()
    assert found["columns"] == [
        ("chunks_staged", f"{kind}({dimension})", letter, False),
        ("embeddings", f"{kind}({dimension})", letter, True),
    ]
    with bare_postgres.connect(database=database) as admin:
        assert admin.execute("SELECT count(*) FROM embeddings").fetchone() == (0,)
        assert admin.execute("SELECT count(*), count(embedding) FROM chunks_staged").fetchone() == (6 * CHUNKS, 0)
        assert admin.execute(
            "SELECT chunk_text, heading, section, page, token_count FROM chunks_staged WHERE id = %s",
            [chunk_id_for(doc_id_for("plain"), V1, 1)],
        ).fetchone() == ("text 1", "Heading", 4, 5, 6)
        (recorded,) = admin.execute("SELECT DISTINCT settings FROM schema_migrations").fetchone()
        assert recorded == {"dimension": dimension, "type": kind}
        assert versions(admin) == {
            ("plain", V1): ("chunked", CHUNKS, False, True),
            ("graph-failed", V1): ("chunked", CHUNKS, False, True),
            ("new-failed", V1): ("chunked", CHUNKS, False, True),
            ("new-failed", V2): ("failed", None, False, False),
            ("new-under-way", V1): ("chunked", CHUNKS, False, False),
            ("new-under-way", V2): ("chunked", CHUNKS, False, True),
            ("deleted", V1): ("deleting", 0, False, False),
            ("empty", V1): ("graphed", 0, True, True),
            ("received", V1): ("received", None, False, True),
            ("failed-first", V1): ("failed", CHUNKS, False, True),
        }

    model = Model(dimension)
    await carry_on(bare_postgres, database, model)
    with bare_postgres.connect(database=database) as admin:
        assert {key: rest[:3] for key, rest in versions(admin).items()} == {
            ("plain", V1): ("embedded", 0, True),
            ("graph-failed", V1): ("embedded", 0, True),
            ("new-failed", V1): ("embedded", 0, True),
            ("new-failed", V2): ("failed", None, False),
            ("new-under-way", V1): ("superseded", CHUNKS, False),
            ("new-under-way", V2): ("embedded", 0, True),
            ("deleted", V1): ("deleting", 0, False),
            ("empty", V1): ("graphed", 0, True),
            ("received", V1): ("received", None, False),
            ("failed-first", V1): ("failed", CHUNKS, False),
        }
        assert admin.execute("SELECT count(*), min(embedding_model) FROM embeddings").fetchone() == (
            4 * CHUNKS,
            model.model,
        )
    # With documents served anew there is nothing left to do.
    schema.cycle(change, snapshot, changes=False)


def test_what_was_dropped_comes_back_and_its_documents_are_chunked_again(
    schema: Runner, bare_postgres: Postgres, database: str
) -> None:
    def snapshot() -> Any:
        return everything(bare_postgres, database), vectors(bare_postgres, database)

    def structure() -> Any:
        return [everything(bare_postgres, database), *(snapshot()[1][key] for key in ("columns", "indexes"))]

    schema(OPTIONS)
    whole = structure()
    with bare_postgres.connect(database=database) as admin:
        plant(admin)
        admin.execute("DROP TABLE embeddings; DROP FUNCTION homelab_flip")
    result = schema.cycle(OPTIONS, snapshot)
    assert result["diff"]["before"]["missing"] == ["embeddings", "homelab_flip(uuid, text, text)"]
    assert structure() == whole
    served_again = ("extracted", None, False, True)
    with bare_postgres.connect(database=database) as admin:
        assert versions(admin) == {
            ("plain", V1): served_again,
            ("graph-failed", V1): served_again,
            ("new-failed", V1): served_again,
            ("new-failed", V2): ("failed", None, False, False),
            # The version under way is the newer one, and lost nothing.
            ("new-under-way", V1): ("extracted", None, False, False),
            ("new-under-way", V2): ("chunked", CHUNKS - 1, False, True),
            ("deleted", V1): ("deleting", 0, False, False),
            ("empty", V1): served_again,
            ("received", V1): ("received", None, False, True),
            ("failed-first", V1): ("failed", CHUNKS - 1, False, True),
        }
        admin.execute("DROP TABLE chunks_staged")
    schema.cycle(OPTIONS, snapshot)
    assert structure() == whole
    with bare_postgres.connect(database=database) as admin:
        assert versions(admin)["new-under-way", V2] == ("extracted", None, False, True)


def test_a_dropped_catalog_is_not_replaced_by_an_empty_one(
    schema: Runner, bare_postgres: Postgres, database: str
) -> None:
    schema(OPTIONS)
    with bare_postgres.connect(database=database) as admin:
        admin.execute("DROP TABLE documents CASCADE")
    found = everything(bare_postgres, database)
    message = schema.failure(**OPTIONS)
    assert f"documents of the catalog were dropped from database {database}" in message
    assert "restore the database from a backup, or run DROP OWNED BY homelab_owner" in message
    assert everything(bare_postgres, database) == found


async def carry_on(server: Postgres, database: str, model: Model) -> None:
    """The reconciler sends events, the embedding stages take them, and search finds the documents again."""

    async def catalog(service: str) -> PostgresCatalog:
        login = f"homelab_{service}:{CANARY}-{service}"
        return await PostgresCatalog.open(f"postgresql://{login}@127.0.0.1:{server.port}/{database}", name=service)

    bus, context = Bus(), Context("test", 1)
    embed, reconcile, query = [await catalog(service) for service in SERVICES]
    try:
        reconciler = Reconciler(reconcile, cast(JetStream, bus), model=model.model, grace_seconds=0)
        await reconciler.sweep()
        plan = EmbedPlan(embed, model=model.model)
        requests = [
            outgoing.event
            for event in bus.events
            if isinstance(event, Chunked)
            for outgoing in await plan.handle(event, context)
        ]
        spans = [event for event in requests if isinstance(event, EmbedRequested)]
        assert len(spans) == len(requests) == 4
        await Embed(embed, model, batch=8).handle_batch(spans, [context] * len(spans))
        (vector,) = await model.embed(["question"], kind="query")
        hits = await PostgresSearch(query.pool).search(
            "default", text=None, vector=vector, limit=50, per_document=CHUNKS
        )
        assert len(hits) == 4 * CHUNKS
    finally:
        for one in (reconcile, embed, query):
            await one.close()


def test_a_change_that_fails_leaves_everything_as_it_was(
    schema: Runner, bare_postgres: Postgres, database: str
) -> None:
    """A view holds the column fast, which shows after rows have been moved."""

    def snapshot() -> Any:
        return everything(bare_postgres, database), vectors(bare_postgres, database)

    schema(OPTIONS)
    with bare_postgres.connect(database=database) as admin:
        plant(admin)
        admin.execute("CREATE SCHEMA mine; CREATE VIEW mine.vectors AS SELECT embedding FROM embeddings")
    before = snapshot()
    change = {**OPTIONS, "dimension": 16, "on_dimension_change": "reembed"}
    message = schema.failure(**change)
    assert "ALTER TABLE public.embeddings" in message and "rolled back" in message and "view" in message
    assert snapshot() == before
    assert "15 chunks, not searchable until then" in schema.failure(**{**change, "on_dimension_change": "refuse"})
    assert snapshot() == before
