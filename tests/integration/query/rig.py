# SPDX-License-Identifier: GPL-3.0-or-later
"""The query service over real Postgres, Oxigraph, NATS and a directory store, on a real port.

The models are scripted: vectors are hashed bags of words, so that cosines mean something and are exact.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import psycopg
from conftest import DIMENSION, Nats, Postgres

from homelab_workers.adapters.jetstream import JetStream
from homelab_workers.adapters.objects import DirectoryObjects
from homelab_workers.adapters.oxigraph import OxigraphStore
from homelab_workers.adapters.postgres import PostgresCatalog
from homelab_workers.adapters.search_postgres import PostgresDocuments, PostgresSearch
from homelab_workers.adapters.sparql_read import SparqlReader
from homelab_workers.contracts import (
    Chunk,
    Section,
    Structure,
    chunk_id_for,
    doc_id_for,
    graph_iri,
    version_for,
)
from homelab_workers.ports import Message, Request
from homelab_workers.query.auth import Keys
from homelab_workers.query.floor import Floor
from homelab_workers.query.http import Deps, QuerySettings, create_app
from homelab_workers.query.text import content_words
from homelab_workers.runtime.health import serving
from homelab_workers.runtime.telemetry import metrics_page
from tests.ports import free_port

KEY = "hl-test-key"
FINGERPRINT = "test"
MODEL = "hashed"


def vector(text: str) -> list[float]:
    """The set of content words, unit length."""
    values = [0.0] * DIMENSION
    for word in sorted(content_words(text)):
        values[int(hashlib.sha256(word.encode()).hexdigest(), 16) % DIMENSION] += 1.0
    norm = math.sqrt(sum(v * v for v in values)) or 1.0
    return [v / norm for v in values]


class HashedEmbedder:
    model = MODEL
    dimension = DIMENSION

    def __init__(self) -> None:
        self.error: Exception | None = None

    async def embed(self, texts: Sequence[str], *, kind: Literal["document", "query"]) -> list[list[float]]:
        if self.error is not None:
            raise self.error
        return [vector(text) for text in texts]


class ScriptedChat:
    """Says `pieces`; with `endless` it goes on until it is cancelled."""

    model = "scripted"

    def __init__(self) -> None:
        self.pieces: list[str] = ["It is so [1]."]
        self.endless = False
        self.cancelled = asyncio.Event()
        self.started = asyncio.Event()

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(m.content) // 4 for m in messages)

    async def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncIterator[str]:
        self.started.set()
        try:
            for piece in self.pieces:
                yield piece
            while self.endless:
                await asyncio.sleep(0.01)
                yield "more "
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled.set()
            raise


@dataclass
class Doc:
    """What a test ingests: (heading, page, text) per chunk."""

    name: str
    chunks: list[tuple[str, int, str]]
    collection: str = "default"
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass
class QueryRig:
    url: str
    postgres: Postgres
    deps: Deps
    catalog: PostgresCatalog
    owner: PostgresCatalog
    objects: DirectoryObjects
    embedder: HashedEmbedder
    chat: ScriptedChat
    store: OxigraphStore
    index: PostgresSearch

    async def serve(self, doc: Doc, *, graph: bool = True) -> UUID:
        """The document as the pipeline leaves it: rows through the catalog's own steps, and the graph."""
        source_id = f"upload:{doc.collection}/{doc.name}"
        doc_id = doc_id_for(source_id)
        content = json.dumps(doc.chunks).encode()
        sha = hashlib.sha256(content).hexdigest()
        version = version_for(sha, FINGERPRINT)
        await self.owner.ensure_collection(doc.collection)
        request = Request(
            source_id=source_id,
            source_uri=f"s3://raw-documents/{sha[:2]}/{sha}",
            content_sha256=sha,
            version=version,
            collection=doc.collection,
            title=doc.name.rpartition(".")[0],
            metadata={"name": doc.name, **doc.metadata},
        )
        headings = list(dict.fromkeys(heading for heading, _unused, _unused in doc.chunks))
        structure = Structure(
            title=request.title,
            mime_type="text/plain",
            engine="test",
            pages=9,
            sections=[Section(heading=h, path=[h], page=1) for h in headings],
        )
        chunks = [
            Chunk(
                chunk_id=chunk_id_for(doc_id, version, n),
                index=n,
                text=text,
                heading=heading,
                section=headings.index(heading),
                page=page,
                tokens=len(text.split()),
            )
            for n, (heading, page, text) in enumerate(doc.chunks)
        ]
        async with self.owner.unit(doc_id) as unit:
            accepted = await unit.accept(request)
            if accepted.unchanged:
                return doc_id
            await unit.extracted(doc_id, version, structure)
            await unit.stage_chunks(doc_id, version, chunks)
        vectors = {chunk.chunk_id: vector(f"{chunk.heading} {chunk.text}") for chunk in chunks}
        async with self.owner.staging(doc_id, vectors) as unit:
            await unit.store_vectors(doc_id, version)
            assert await unit.flip(doc_id, version, MODEL) == "flipped"
        if graph:
            await self._graph(doc_id, version, accepted.wanted_seq, structure, chunks)
        return doc_id

    async def _graph(
        self, doc_id: UUID, version: str, wanted_seq: int, structure: Structure, chunks: list[Chunk]
    ) -> None:
        import pyoxigraph as rdf

        from homelab_workers.contracts import EmbedCompleted
        from homelab_workers.stages.graph import structural_triples

        event = EmbedCompleted(doc_id=doc_id, version=version, wanted_seq=wanted_seq, model=MODEL)
        async with self.owner.unit(doc_id) as unit:
            progress = await unit.progress(doc_id, version)
            assert progress is not None
            triples = structural_triples(event, progress, structure, chunks)
            data = rdf.serialize(triples, format=rdf.RdfFormat.N_TRIPLES)
            assert data is not None
            await self.store.replace(graph_iri(doc_id), data)
            await unit.graphed(doc_id, version)

    def sql(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.postgres.url(), autocommit=True) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []


@asynccontextmanager
async def running(
    postgres: Postgres, oxigraph: str, nats: Nats, folder: Path, **settings: Any
) -> AsyncIterator[QueryRig]:
    catalog = await PostgresCatalog.open(postgres.url("homelab_query"), name="query", max_size=8)
    owner = await PostgresCatalog.open(postgres.url(), name="owner")
    bus = await JetStream.connect(nats.url, name="query")
    reader, store = SparqlReader(oxigraph), OxigraphStore(oxigraph)
    objects = DirectoryObjects(folder / "objects")
    embedder, chat = HashedEmbedder(), ScriptedChat()
    work = folder / "work"
    work.mkdir(exist_ok=True)
    index = PostgresSearch(catalog.pool)

    async def well() -> str | None:
        return None

    async def graph_down() -> str | None:
        return "not started"

    deps = Deps(
        settings=QuerySettings(work_dir=work, floor=Floor(cosine=0.2, coverage=0.5), **settings),
        search=index,
        documents=PostgresDocuments(catalog.pool),
        catalog=catalog,
        objects=objects,
        bus=bus,
        embedder=embedder,
        chat=chat,
        graph=reader,
        keys=Keys.parse(json.dumps({hashlib.sha256(KEY.encode()).hexdigest(): {"name": "test"}})),
        fingerprint=FINGERPRINT,
        metrics=metrics_page,
        checks={"postgres": well, "graph": graph_down},
    )
    port = free_port()
    try:
        async with serving(create_app(deps), "127.0.0.1", port):
            yield QueryRig(
                f"http://127.0.0.1:{port}",
                postgres,
                deps,
                catalog,
                owner,
                objects,
                embedder,
                chat,
                store,
                index,
            )
    finally:
        await bus.close()
        await reader.aclose()
        await store.close()
        await catalog.close()
        await owner.close()
