# SPDX-License-Identifier: GPL-3.0-or-later
"""From a request to a graph through the real catalog, a directory store and Oxigraph.

The extractor and the embedder are scripted here to give exact answers; the whole path with the
real ones is the end-to-end suite's work.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import UUID

import httpx
import psycopg
import pytest
from conftest import DIMENSION, Postgres

from homelab_workers.adapters.objects import DirectoryObjects
from homelab_workers.adapters.oxigraph import OxigraphStore
from homelab_workers.adapters.postgres import PostgresCatalog
from homelab_workers.contracts import (
    Block,
    Chunked,
    DocDeleted,
    EmbedCompleted,
    EmbedRequested,
    Event,
    Extracted,
    IngestRequested,
    KgUpsertCompleted,
    Location,
    Pipeline,
    Section,
    Structure,
    graph_iri,
    raw_location,
)
from homelab_workers.errors import Crashed, Rejected, TextRefused
from homelab_workers.ports import Extraction, ExtractLimits
from homelab_workers.stages.base import Context, Outgoing
from homelab_workers.stages.chunk import ChunkStage
from homelab_workers.stages.delete import Delete
from homelab_workers.stages.embed import Embed, EmbedPlan
from homelab_workers.stages.extract import Extract
from homelab_workers.stages.graph import Graph

_numbers = itertools.count(1)
CONTEXT = Context(request_id="1@now", deliveries=1)
PIPELINE = Pipeline(engine="scripted", chunk_size=32, chunk_overlap=8, embedding_model="scripted")


class ScriptedExtractor:
    """Each line of the source is a block; `#` starts a section; `!crash` dies."""

    engine = "scripted"

    def __init__(self) -> None:
        self.slices: list[int] = []

    async def extract(
        self, source: Path, *, name: str, mime_type: str | None, folder: Path, limits: ExtractLimits
    ) -> Extraction:
        self.slices.append(limits.page_slice)
        structure = Structure(title="A title", mime_type="text/plain", engine=self.engine, pages=1)
        for line in source.read_text().splitlines():
            if line == "!crash":
                raise Crashed("killed", f"{name}: the parser died")
            if line.startswith("# "):
                structure.sections.append(Section(heading=line[2:], path=[line[2:]], page=1))
            else:
                structure.sections[-1].blocks.append(Block(text=line, page=1))
        path = folder / "structure.json"
        path.write_text(structure.model_dump_json())
        return Extraction(structure, {"structure.json": path})

    async def close(self) -> None:
        pass


class ScriptedEmbedder:
    model = "scripted"
    dimension = DIMENSION

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    async def embed(self, texts: Sequence[str], *, kind: Literal["document", "query"]) -> list[list[float]]:
        self.batches.append(list(texts))
        for index, text in enumerate(texts):
            if "unembeddable" in text:
                raise TextRefused(index, "the model refuses this text.")
        return [[math.sin(len(text) + i) for i in range(DIMENSION)] for text in texts]


class Words:
    """One token a word."""

    def spans(self, text: str) -> list[tuple[int, int]]:
        import re

        return [(m.start(), m.end()) for m in re.finditer(r"\S+", text)]

    def count(self, text: str) -> int:
        return len(text.split())


@dataclass
class Rig:
    """The stages over real stores, pumped by hand."""

    postgres: Postgres
    objects: DirectoryObjects
    catalog: PostgresCatalog
    extractor: ScriptedExtractor
    embedder: ScriptedEmbedder
    store: OxigraphStore
    work: Path

    def __post_init__(self) -> None:
        limits = ExtractLimits(page_slice=32)
        self.extract = Extract(
            self.catalog, self.objects, self.extractor, pipeline=PIPELINE, limits=limits, work_dir=self.work
        )
        self.chunk = ChunkStage(
            self.catalog, self.objects, Words(), window=32, overlap=8, embedding_model=self.embedder.model
        )
        self.plan = EmbedPlan(self.catalog, model=self.embedder.model)
        self.embed = Embed(self.catalog, self.embedder, batch=8)
        self.graph = Graph(self.catalog, self.objects, self.store)

    async def step(self, event: Event) -> list[Outgoing]:
        if isinstance(event, IngestRequested):
            return await self.extract.handle(event, CONTEXT)
        if isinstance(event, Extracted):
            return await self.chunk.handle(event, CONTEXT)
        if isinstance(event, Chunked):
            return await self.plan.handle(event, CONTEXT)
        if isinstance(event, EmbedRequested):
            (result,) = await self.embed.handle_batch([event], [CONTEXT])
            if isinstance(result, Exception):
                raise result
            return result
        if isinstance(event, EmbedCompleted):
            return await self.graph.handle(event, CONTEXT)
        return []

    async def pump(self, *events: Event) -> list[Event]:
        """Every event that passed, in order."""
        queue, passed = list(events), []
        while queue:
            event = queue.pop(0)
            passed.append(event)
            queue.extend(item.event for item in await self.step(event))
        return passed

    async def put(self, name: str, text: str) -> IngestRequested:
        await self.objects.put(Location("raw-documents", name), text.encode())
        return IngestRequested(source_uri=f"s3://raw-documents/{name}")

    def sql(self, statement: str, *parameters: object) -> list[tuple[object, ...]]:
        with psycopg.connect(self.postgres.url()) as connection:
            return connection.execute(statement, parameters).fetchall()


@pytest.fixture
async def rig(postgres: Postgres, oxigraph: str, tmp_path: Path) -> AsyncIterator[Rig]:
    catalog = await PostgresCatalog.open(postgres.url(), name="test")
    store = OxigraphStore(oxigraph)
    work = tmp_path / "work"
    work.mkdir()
    yield Rig(
        postgres, DirectoryObjects(tmp_path / "objects"), catalog, ScriptedExtractor(), ScriptedEmbedder(), store, work
    )
    await catalog.close()
    await store.close()


def fresh() -> str:
    return f"stages-{next(_numbers)}.txt"


LONG = "# One\n" + "\n".join(f"word{i} and more of it" for i in range(40)) + "\n# Two\nshort"


def triples(oxigraph: str, doc_id: object) -> int:
    query = f"SELECT (COUNT(*) AS ?n) WHERE {{ GRAPH <{graph_iri(UUID(str(doc_id)))}> {{ ?s ?p ?o }} }}"
    answer = httpx.get(f"{oxigraph}/query", params={"query": query}, headers={"Accept": "application/json"})
    return int(answer.json()["results"]["bindings"][0]["n"]["value"])


async def test_a_document_passes_all_stages(rig: Rig, oxigraph: str) -> None:
    passed = await rig.pump(await rig.put(fresh(), LONG))
    done = passed[-1]
    assert isinstance(done, KgUpsertCompleted)
    assert triples(oxigraph, done.doc_id) == done.triples_count
    (state,) = rig.sql(
        "SELECT state, chunks_total, chunks_pending FROM document_versions WHERE document_id = %s", done.doc_id
    )
    stored = rig.sql("SELECT count(*) FROM embeddings WHERE document_id = %s", done.doc_id)
    assert state == ("graphed", stored[0][0], 0) and isinstance(stored[0][0], int) and stored[0][0] > 8
    keys = [key async for key in rig.objects.keys("processed", f"{done.doc_id}/{done.version}")]
    assert sorted(key.rpartition("/")[2] for key in keys) == ["chunks.jsonl", "graph.nq", "structure.json"]


async def test_every_event_twice_changes_nothing(rig: Rig) -> None:
    passed = await rig.pump(await rig.put(fresh(), LONG))
    done = passed[-1]
    assert isinstance(done, KgUpsertCompleted)
    before = rig.sql("SELECT id FROM embeddings WHERE document_id = %s ORDER BY id", done.doc_id)
    calls = len(rig.embedder.batches)
    for event in passed[1:]:
        await rig.pump(event)
    assert rig.sql("SELECT id FROM embeddings WHERE document_id = %s ORDER BY id", done.doc_id) == before
    assert len(rig.embedder.batches) == calls, "no text is embedded twice"


async def test_an_empty_document_is_done_with_zero_chunks(rig: Rig) -> None:
    passed = await rig.pump(await rig.put(fresh(), ""))
    done = passed[-1]
    assert isinstance(done, KgUpsertCompleted)
    assert rig.sql("SELECT state, chunks_total FROM document_versions WHERE document_id = %s", done.doc_id) == [
        ("graphed", 0)
    ]


async def test_an_edited_object_is_a_new_version_of_the_same_document(rig: Rig) -> None:
    name = fresh()
    first = (await rig.pump(await rig.put(name, "# H\nthe old text")))[-1]
    rig.embedder.batches.clear()
    edited = await rig.put(name, "# H\nthe new text")
    second = (await rig.pump(edited.model_copy(update={"metadata": {"note": "edit"}})))[-1]
    assert isinstance(first, KgUpsertCompleted) and isinstance(second, KgUpsertCompleted)
    assert first.doc_id == second.doc_id and first.version != second.version
    assert rig.sql("SELECT chunk_text FROM embeddings WHERE document_id = %s", first.doc_id) == [("the new text",)]


async def test_batches_mix_documents_and_sort_by_length(rig: Rig) -> None:
    spans: list[EmbedRequested] = []
    for text in ("# H\n" + "long " * 30, "# H\nshort"):
        event: Event = await rig.put(fresh(), text)
        for _unused in range(3):
            following = [item.event for item in await rig.step(event)]
            event = following[0]
        assert isinstance(event, EmbedRequested)
        spans.append(event)
    results = await rig.embed.handle_batch(spans, [CONTEXT, CONTEXT])
    assert [len(r) for r in results if isinstance(r, list)] == [1, 1]
    (batch,) = rig.embedder.batches
    assert len(batch) == 2 and len(batch[0]) < len(batch[1])


async def test_one_refused_text_does_not_harm_its_neighbours(rig: Rig) -> None:
    spans: list[EmbedRequested] = []
    for text in ("# H\nfine", "# H\nunembeddable"):
        event: Event = await rig.put(fresh(), text)
        for _unused in range(3):
            event = next(item.event for item in await rig.step(event))
        assert isinstance(event, EmbedRequested)
        spans.append(event)
    fine, refused = await rig.embed.handle_batch(spans, [CONTEXT, CONTEXT])
    assert isinstance(fine, list) and isinstance(fine[0].event, EmbedCompleted)
    assert isinstance(refused, Rejected) and refused.code == "text_refused"


async def test_the_last_attempt_takes_smaller_slices_then_the_document_is_given_up(rig: Rig) -> None:
    event = await rig.put(fresh(), "!crash")
    for _unused in range(5):
        with pytest.raises(Crashed):
            await rig.step(event)
    assert rig.extractor.slices == [32, 32, 32, 32, 8]
    with pytest.raises(Rejected, match="5 attempts") as caught:
        await rig.step(event)
    assert caught.value.code == "worker_killed"


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (IngestRequested(source_uri="s3://raw-documents/nothing-here"), "object_missing"),
        (IngestRequested(source_uri="s3://processed/a/b/structure.json"), "source_not_allowed"),
    ],
)
async def test_a_source_that_cannot_be_read_is_named(rig: Rig, event: IngestRequested, code: str) -> None:
    with pytest.raises(Rejected, match=event.source_uri) as caught:
        await rig.step(event)
    assert caught.value.code == code


async def test_deletion_takes_rows_objects_and_graph(rig: Rig, oxigraph: str) -> None:
    done = (await rig.pump(await rig.put(fresh(), LONG)))[-1]
    assert isinstance(done, KgUpsertCompleted)
    async with rig.catalog.unit(done.doc_id) as unit:
        seq = await unit.request_delete(done.doc_id)
    assert seq is not None
    stage = Delete(rig.catalog, rig.objects, rig.store)
    for _unused in range(2):
        await stage.handle(DocDeleted(doc_id=done.doc_id, wanted_seq=seq), CONTEXT)
    assert rig.sql("SELECT count(*) FROM embeddings WHERE document_id = %s", done.doc_id) == [(0,)]
    assert rig.sql("SELECT count(*) FROM document_versions WHERE document_id = %s", done.doc_id) == [(0,)]
    assert [key async for key in rig.objects.keys("processed", f"{done.doc_id}")] == []
    assert triples(oxigraph, done.doc_id) == 0


async def test_a_raw_object_goes_with_its_last_document(rig: Rig) -> None:
    content = f"# Shared\n{fresh()}".encode()
    raw = raw_location(hashlib.sha256(content).hexdigest())
    await rig.objects.put(raw, content)
    stage = Delete(rig.catalog, rig.objects, rig.store)
    left: list[bool] = []
    documents = [
        (await rig.pump(IngestRequested(source_uri=str(raw), metadata={"source_id": f"shared:{n}:{raw.key}"})))[-1]
        for n in (1, 2)
    ]
    for done in documents:
        assert isinstance(done, KgUpsertCompleted)
        async with rig.catalog.unit(done.doc_id) as unit:
            seq = await unit.request_delete(done.doc_id)
        assert seq is not None
        await stage.handle(DocDeleted(doc_id=done.doc_id, wanted_seq=seq), CONTEXT)
        left.append(await rig.objects.exists(raw))
    assert left == [True, False]


async def test_a_late_graph_of_an_old_version_does_not_replace_the_new_one(rig: Rig, oxigraph: str) -> None:
    name = fresh()
    passed = await rig.pump(await rig.put(name, "# H\nold"))
    late = next(event for event in passed if isinstance(event, EmbedCompleted))
    edited = await rig.put(name, "# H\nnew")
    new = (await rig.pump(edited))[-1]
    assert isinstance(new, KgUpsertCompleted)
    assert await rig.graph.handle(late, CONTEXT) == []
    query = f'ASK {{ GRAPH <{graph_iri(new.doc_id)}> {{ ?d <http://purl.org/dc/terms/hasVersion> "{new.version}" }} }}'
    answer = httpx.get(f"{oxigraph}/query", params={"query": query}, headers={"Accept": "application/json"})
    assert answer.json()["boolean"] is True
