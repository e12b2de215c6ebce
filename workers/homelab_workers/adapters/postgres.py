# SPDX-License-Identifier: Apache-2.0
"""The catalog on Postgres with pgvector: documents, versions, chunks, vectors and stage state.

Every unit is one transaction that holds the document's advisory lock from its first statement, so
transactions on one document never deadlock and the counter, the flip and the tombstone agree.
Graph writers take a lock of their own, outermost.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import psycopg
from opentelemetry import propagate
from pgvector import HalfVector, Vector
from pgvector.psycopg import register_vector_async
from psycopg import AsyncConnection
from psycopg.rows import dict_row, tuple_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from ..contracts import Chunk, ChunkSpan, State, Structure, doc_id_for
from ..errors import AuthRefused, Unavailable
from ..ports import Accepted, Progress, Request, Unfinished

Connection = AsyncConnection[Any]

_FINISHED = ("embedded", "graphed")
_DEAD = ("failed", "superseded", "deleting", "deleted", "raw_expired")


class PostgresCatalog:
    """Use `open()`; `close()` returns the connections."""

    def __init__(self, pool: AsyncConnectionPool[Connection]) -> None:
        self.pool = pool

    @classmethod
    async def open(cls, url: str, *, name: str, min_size: int = 1, max_size: int = 4) -> PostgresCatalog:
        """Raises AuthRefused or Unavailable; `name` shows in pg_stat_activity."""
        await _probe(url)
        pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            min_size=min_size,
            max_size=max_size,
            open=False,
            timeout=10.0,
            kwargs={"application_name": f"homelab-{name}", "connect_timeout": 5},
            configure=_configure,
            check=AsyncConnectionPool.check_connection,
        )
        await pool.open()
        return cls(pool)

    async def close(self) -> None:
        await self.pool.close()

    async def schema_version(self) -> int | None:
        """The newest migration that is applied, None where the schema is missing."""
        async with self._connection() as connection:
            cursor = await connection.execute("SELECT to_regclass('public.schema_migrations') IS NOT NULL")
            (there,) = await _one(cursor)
            if not there:
                return None
            cursor = await connection.execute("SELECT max(version) FROM schema_migrations")
            (version,) = await _one(cursor)
            return None if version is None else int(version)

    @asynccontextmanager
    async def unit(self, doc_id: UUID) -> AsyncIterator[PostgresUnit]:
        async with self._connection() as connection, connection.transaction():
            await _lock(connection, f"doc:{doc_id}")
            yield PostgresUnit(connection)

    @asynccontextmanager
    async def graph_lock(self, doc_id: UUID) -> AsyncIterator[None]:
        async with self._connection() as connection, connection.transaction():
            await _lock(connection, f"graph:{doc_id}")
            yield

    @asynccontextmanager
    async def content_lock(self, content_sha256: str) -> AsyncIterator[None]:
        """Held while a raw object is written or its last reference removed."""
        async with self._connection() as connection, connection.transaction():
            await _lock(connection, f"content:{content_sha256}")
            yield

    @asynccontextmanager
    async def staging(self, doc_id: UUID, vectors: dict[UUID, list[float]]) -> AsyncIterator[PostgresUnit]:
        """A unit whose vectors were copied to the server before the document's lock was taken."""
        async with self._connection() as connection, connection.transaction():
            await _copy_vectors(connection, vectors)
            await _lock(connection, f"doc:{doc_id}")
            yield PostgresUnit(connection)

    async def ensure_collection(self, name: str) -> None:
        async with self._connection() as connection:
            await connection.execute("INSERT INTO collections (name) VALUES (%s) ON CONFLICT DO NOTHING", (name,))

    async def unfinished(self, *, older_than: datetime, limit: int = 500) -> list[Unfinished]:
        """Versions that are not done and were not touched since, oldest first."""
        async with self._connection() as connection:
            cursor = await connection.execute(
                """
                SELECT document_id, version, state, wanted_seq, source_uri, content_sha256, chunks_total, updated_at
                FROM document_versions
                WHERE state IN ('received', 'extracted', 'chunked', 'embedded', 'deleting') AND updated_at < %s
                ORDER BY updated_at LIMIT %s
                """,
                (older_than, limit),
            )
            return [Unfinished(*row) for row in await cursor.fetchall()]

    async def requested(self, request_id: str) -> tuple[UUID, str] | tuple[None, None]:
        async with self._connection() as connection:
            cursor = await connection.execute(
                "SELECT document_id, version FROM document_versions WHERE request_id = %s", (request_id,)
            )
            row = await cursor.fetchone()
        return (None, None) if row is None else (row[0], row[1])

    async def source_awaited(self, source_uri: str) -> bool:
        """True while a version still has to be extracted from this object."""
        async with self._connection() as connection:
            cursor = await connection.execute(
                "SELECT EXISTS (SELECT FROM document_versions WHERE source_uri = %s AND state = 'received')",
                (source_uri,),
            )
            (awaited,) = await _one(cursor)
        return bool(awaited)

    async def content_in_use(self, content_sha256: str, *, apart_from: UUID) -> bool:
        async with self._connection() as connection:
            cursor = await connection.execute(
                """
                SELECT EXISTS (SELECT FROM document_versions v JOIN documents d ON d.id = v.document_id
                    WHERE v.content_sha256 = %s AND (v.document_id <> %s OR v.wanted_seq > d.deleted_seq)
                        AND v.state NOT IN ('deleting', 'deleted'))
                """,
                (content_sha256, apart_from),
            )
            (used,) = await _one(cursor)
        return bool(used)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        try:
            async with self.pool.connection() as connection:
                yield connection
        except PoolTimeout as error:
            raise Unavailable("postgres", "no connection within 10 s") from error
        except psycopg.OperationalError as error:
            raise Unavailable("postgres", str(error).strip() or type(error).__name__) from error


class PostgresUnit:
    """One transaction on one document. See `ports.CatalogUnit`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def accept(self, request: Request) -> Accepted:
        doc_id = doc_id_for(request.source_id)
        known = await self._progress(doc_id, request.version)
        if known is not None and request.request_id is not None and known.request_id == request.request_id:
            return Accepted(
                doc_id, request.version, known.progress.wanted_seq, known.progress.state, known.progress.active
            )
        execute = self._connection.execute
        cursor = await execute(
            """
            INSERT INTO documents AS d (id, source_id, collection, title, mime_type, metadata, wanted_seq)
            VALUES (%(id)s, %(source_id)s, %(collection)s, %(title)s, %(mime_type)s, %(metadata)s, 1)
            ON CONFLICT (id) DO UPDATE SET wanted_seq = d.wanted_seq + 1,
                metadata = d.metadata || excluded.metadata, collection = excluded.collection
            RETURNING wanted_seq
            """,
            {
                "id": doc_id,
                "source_id": request.source_id,
                "collection": request.collection,
                "title": request.title,
                "mime_type": request.mime_type,
                "metadata": Jsonb(request.metadata),
            },
        )
        (wanted_seq,) = await _one(cursor)
        # A version that died starts again; one that is served or under way only takes the new number.
        cursor = await execute(
            """
            INSERT INTO document_versions AS v (document_id, version, wanted_seq, source_uri, content_sha256,
                title, mime_type, request_id, traceparent)
            VALUES (%(id)s, %(version)s, %(seq)s, %(uri)s, %(sha)s, %(title)s, %(mime)s, %(request)s, %(trace)s)
            ON CONFLICT (document_id, version) DO UPDATE SET
                wanted_seq = excluded.wanted_seq, source_uri = excluded.source_uri, request_id = excluded.request_id,
                traceparent = excluded.traceparent,
                state = CASE WHEN v.state = ANY(%(dead)s) THEN 'received' ELSE v.state END,
                attempts = CASE WHEN v.state = ANY(%(dead)s) THEN 0 ELSE v.attempts END,
                error = CASE WHEN v.state = ANY(%(dead)s) THEN NULL ELSE v.error END,
                updated_at = now()
            RETURNING state
            """,
            {
                "id": doc_id,
                "version": request.version,
                "seq": wanted_seq,
                "uri": request.source_uri,
                "sha": request.content_sha256,
                "title": request.title,
                "mime": request.mime_type,
                "request": request.request_id,
                "trace": _traceparent(),
                "dead": list(_DEAD),
            },
        )
        (state,) = await _one(cursor)
        unchanged = known is not None and known.progress.active and state in _FINISHED
        return Accepted(doc_id, request.version, wanted_seq, state, unchanged)

    async def begin(self, doc_id: UUID, version: str) -> Progress | None:
        await self._connection.execute(
            "UPDATE document_versions SET attempts = attempts + 1, updated_at = now()"
            " WHERE document_id = %s AND version = %s",
            (doc_id, version),
        )
        return await self.progress(doc_id, version)

    async def progress(self, doc_id: UUID, version: str) -> Progress | None:
        known = await self._progress(doc_id, version)
        return None if known is None else known.progress

    async def extracted(self, doc_id: UUID, version: str, structure: Structure) -> None:
        await self._connection.execute(
            """
            UPDATE document_versions SET state = 'extracted', attempts = 0, engine = %s, pages = %s,
                title = coalesce(%s, title), mime_type = %s, warnings = %s, updated_at = now()
            WHERE document_id = %s AND version = %s
            """,
            (
                structure.engine,
                structure.pages,
                structure.title,
                structure.mime_type,
                Jsonb([warning.model_dump() for warning in structure.warnings]),
                doc_id,
                version,
            ),
        )

    async def stage_chunks(self, doc_id: UUID, version: str, chunks: Sequence[Chunk]) -> None:
        async with self._connection.cursor() as cursor:
            await cursor.executemany(
                """
                INSERT INTO chunks_staged
                    (id, document_id, version, chunk_index, chunk_text, heading, section, page, token_count)
                VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
                ON CONFLICT (id) DO UPDATE SET chunk_text = excluded.chunk_text, heading = excluded.heading,
                    section = excluded.section, page = excluded.page, token_count = excluded.token_count,
                    embedding = NULL
                """,
                [
                    (c.chunk_id, doc_id, version, c.index, c.text, c.heading, c.section, c.page, c.tokens)
                    for c in chunks
                ],
            )
        await self._connection.execute(
            """
            UPDATE document_versions
            SET state = 'chunked', attempts = 0, chunks_total = %s, chunks_pending = %s, updated_at = now()
            WHERE document_id = %s AND version = %s
            """,
            (len(chunks), len(chunks), doc_id, version),
        )

    async def staged_texts(self, doc_id: UUID, version: str, span: ChunkSpan) -> list[tuple[UUID, str, str]]:
        cursor = await self._connection.execute(
            """
            SELECT id, heading, chunk_text FROM chunks_staged
            WHERE document_id = %s AND version = %s AND embedding IS NULL AND chunk_index >= %s AND chunk_index < %s
            ORDER BY chunk_index
            """,
            (doc_id, version, span.start, span.start + span.count),
        )
        return [(row[0], row[1], row[2]) for row in await cursor.fetchall()]

    async def store_vectors(self, doc_id: UUID, version: str) -> tuple[int, int]:
        """Moves what `staging` copied into the staged rows; (rows that were NULL before, rows still pending)."""
        cursor = await self._connection.execute(
            """
            UPDATE chunks_staged s SET embedding = n.embedding FROM new_vectors n
            WHERE s.id = n.id AND s.document_id = %s AND s.version = %s AND s.embedding IS NULL
            """,
            (doc_id, version),
        )
        changed = cursor.rowcount
        cursor = await self._connection.execute(
            """
            UPDATE document_versions SET chunks_pending = chunks_pending - %s, updated_at = now()
            WHERE document_id = %s AND version = %s RETURNING chunks_pending
            """,
            (changed, doc_id, version),
        )
        row = await cursor.fetchone()
        return changed, 0 if row is None or row[0] is None else int(row[0])

    async def flip(self, doc_id: UUID, version: str, model: str) -> Literal["flipped", "superseded", "already"]:
        cursor = await self._connection.execute("SELECT homelab_flip(%s, %s, %s)", (doc_id, version, model))
        (outcome,) = await _one(cursor)
        return outcome  # type: ignore[no-any-return]  # the function returns one of the three words

    async def graphed(self, doc_id: UUID, version: str) -> None:
        await self._connection.execute(
            "UPDATE document_versions SET state = 'graphed', attempts = 0, updated_at = now()"
            " WHERE document_id = %s AND version = %s AND state = 'embedded'",
            (doc_id, version),
        )

    async def reissue(self, doc_id: UUID, version: str) -> int | None:
        """Counts a repeat of the version's event; its number makes the message id new."""
        cursor = await self._connection.execute(
            "UPDATE document_versions SET reissues = reissues + 1, updated_at = now()"
            " WHERE document_id = %s AND version = %s RETURNING reissues",
            (doc_id, version),
        )
        row = await cursor.fetchone()
        return None if row is None else int(row[0])

    async def revive(self, doc_id: UUID, version: str, state: State) -> int | None:
        """A failed version goes back to `state`, as if its stage had not run; returns its repeat number."""
        cursor = await self._connection.execute(
            "UPDATE document_versions SET state = %s, attempts = 0, error = NULL, reissues = reissues + 1,"
            " updated_at = now() WHERE document_id = %s AND version = %s AND state = 'failed' RETURNING reissues",
            (state, doc_id, version),
        )
        row = await cursor.fetchone()
        return None if row is None else int(row[0])

    async def superseded(self, doc_id: UUID, version: str) -> None:
        """An older request's version stops where it is; its staged rows go with the next flip or delete."""
        await self._connection.execute(
            "UPDATE document_versions SET state = 'superseded', updated_at = now()"
            " WHERE document_id = %s AND version = %s AND state <> ALL(%s)",
            (doc_id, version, list(_DEAD)),
        )

    async def request_delete(self, doc_id: UUID) -> int | None:
        cursor = await self._connection.execute(
            """
            UPDATE documents d SET active_version = NULL,
                wanted_seq = CASE WHEN d.deleted_seq = d.wanted_seq THEN d.wanted_seq ELSE d.wanted_seq + 1 END,
                deleted_seq = CASE WHEN d.deleted_seq = d.wanted_seq THEN d.wanted_seq ELSE d.wanted_seq + 1 END
            WHERE d.id = %s AND EXISTS (SELECT FROM document_versions v WHERE v.document_id = d.id)
            RETURNING deleted_seq
            """,
            (doc_id,),
        )
        row = await cursor.fetchone()
        if row is None:
            return None
        await self._connection.execute(
            "UPDATE document_versions SET state = 'deleting', attempts = 0, updated_at = now()"
            " WHERE document_id = %s AND state <> 'deleting'",
            (doc_id,),
        )
        return int(row[0])

    async def condemned(self, doc_id: UUID) -> tuple[list[tuple[str, str]], bool]:
        cursor = await self._connection.execute(
            """
            SELECT v.version, v.content_sha256, d.active_version IS NOT NULL
            FROM documents d LEFT JOIN document_versions v ON v.document_id = d.id AND v.wanted_seq <= d.deleted_seq
            WHERE d.id = %s
            """,
            (doc_id,),
        )
        rows = await cursor.fetchall()
        return [(version, sha256) for version, sha256, _unused in rows if version is not None], any(
            row[2] for row in rows
        )

    async def remove(self, doc_id: UUID, versions: Sequence[str]) -> None:
        parameters = (doc_id, list(versions))
        await self._connection.execute(
            "DELETE FROM embeddings WHERE document_id = %s AND version = ANY(%s)", parameters
        )
        await self._connection.execute(
            "DELETE FROM chunks_staged WHERE document_id = %s AND version = ANY(%s)", parameters
        )
        await self._connection.execute(
            "DELETE FROM document_versions v USING documents d WHERE v.document_id = %s AND v.version = ANY(%s)"
            " AND d.id = v.document_id AND v.wanted_seq <= d.deleted_seq",
            parameters,
        )
        await self._connection.execute(
            "UPDATE documents SET content = NULL, title = NULL, metadata = '{}'"
            " WHERE id = %s AND wanted_seq = deleted_seq",
            (doc_id,),
        )

    async def fail(self, doc_id: UUID, version: str, *, code: str, message: str, fix: str, stage: str) -> None:
        await self._connection.execute(
            "UPDATE document_versions SET state = 'failed', error = %s, updated_at = now()"
            " WHERE document_id = %s AND version = %s",
            (Jsonb({"code": code, "message": message, "fix": fix, "stage": stage}), doc_id, version),
        )

    async def _progress(self, doc_id: UUID, version: str) -> _Known | None:
        async with self._connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(
                """
                SELECT v.*, d.source_id, d.collection, d.metadata ->> 'name' AS name,
                    v.wanted_seq = d.wanted_seq AND v.wanted_seq > d.deleted_seq AS current,
                    d.active_version IS NOT DISTINCT FROM v.version AS active
                FROM document_versions v JOIN documents d ON d.id = v.document_id
                WHERE v.document_id = %s AND v.version = %s
                """,
                (doc_id, version),
            )
            row = await cursor.fetchone()
        if row is None:
            return None
        progress = Progress(
            state=row["state"],
            attempts=row["attempts"],
            wanted_seq=row["wanted_seq"],
            current=row["current"],
            source_uri=row["source_uri"],
            content_sha256=row["content_sha256"],
            collection=row["collection"],
            title=row["title"],
            mime_type=row["mime_type"],
            name=row["name"] or row["source_id"].rpartition("/")[2],
            chunks_total=row["chunks_total"],
            chunks_pending=row["chunks_pending"],
            reissues=row["reissues"],
            active=row["active"],
        )
        return _Known(progress, row["request_id"])


class _Known:
    def __init__(self, progress: Progress, request_id: str | None) -> None:
        self.progress = progress
        self.request_id = request_id


async def _probe(url: str) -> None:
    """One connection before the pool starts: the pool itself would hide a refused password behind a timeout."""
    try:
        async with await AsyncConnection.connect(url, connect_timeout=5):
            return
    except psycopg.OperationalError as error:
        text = str(error).strip()
        if "password authentication failed" in text or "no password supplied" in text:
            raise AuthRefused("postgres", text) from error
        raise Unavailable("postgres", text) from error


async def _configure(connection: Connection) -> None:
    await connection.set_autocommit(True)
    connection.row_factory = tuple_row
    await register_vector_async(connection)


async def _lock(connection: Connection, name: str) -> None:
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (name,))


async def _copy_vectors(connection: Connection, vectors: dict[UUID, list[float]]) -> None:
    cursor = await connection.execute(
        "SELECT atttypid::regtype::text FROM pg_attribute"
        " WHERE attrelid = 'chunks_staged'::regclass AND attname = 'embedding'"
    )
    (kind,) = await _one(cursor)
    make = HalfVector if kind == "halfvec" else Vector
    await connection.execute(f"CREATE TEMPORARY TABLE new_vectors (id uuid, embedding {kind}) ON COMMIT DROP")
    async with (
        connection.cursor() as copying,
        copying.copy("COPY new_vectors (id, embedding) FROM STDIN WITH (FORMAT BINARY)") as copy,
    ):
        copy.set_types(["uuid", kind])
        for chunk_id, vector in vectors.items():
            await copy.write_row((chunk_id, make(vector)))


async def _one(cursor: Any) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = await cursor.fetchone()
    if row is None:
        raise RuntimeError("the statement returned no row")
    return row


def _traceparent() -> str | None:
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent")
