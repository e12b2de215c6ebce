# SPDX-License-Identifier: Apache-2.0
"""`embed.completed` -> the structural graph, in the store and as one named graph -> `kg.upsert.completed`."""

from __future__ import annotations

from collections.abc import Iterator

import pyoxigraph as rdf

from ..contracts import (
    Chunk,
    EmbedCompleted,
    KgUpsertCompleted,
    Structure,
    graph_iri,
    processed_location,
)
from ..ports import Catalog, GraphStore, ObjectStore, Progress
from .base import FINISHED, Context, Outgoing, outgoing
from .chunk import read_chunks

_DCTERMS = "http://purl.org/dc/terms/"
_PROV = "http://www.w3.org/ns/prov#"
_VOCAB = "urn:homelab:vocab#"
_TYPE = rdf.NamedNode("http://www.w3.org/1999/02/22-rdf-syntax-ns#type")

Triples = list[rdf.Triple]


class Graph:
    def __init__(self, catalog: Catalog, objects: ObjectStore, store: GraphStore) -> None:
        self._catalog = catalog
        self._objects = objects
        self._store = store

    async def handle(self, event: EmbedCompleted, context: Context) -> list[Outgoing]:
        doc_id, version = event.doc_id, event.version
        async with self._catalog.unit(doc_id) as unit:
            progress = await unit.begin(doc_id, version)
        if progress is None or not progress.active or progress.state not in FINISHED:
            return []
        structure = Structure.model_validate_json(
            await self._objects.get(processed_location(doc_id, version, "structure.json"))
        )
        chunks = read_chunks(await self._objects.get(processed_location(doc_id, version, "chunks.jsonl")))
        triples = list(structural_triples(event, progress, structure, chunks))
        name = rdf.NamedNode(graph_iri(doc_id))
        quads = [rdf.Quad(t.subject, t.predicate, t.object, name) for t in triples]
        await self._objects.put(
            processed_location(doc_id, version, "graph.nq"), _bytes(rdf.serialize(quads, format=rdf.RdfFormat.N_QUADS))
        )
        async with self._catalog.graph_lock(doc_id):
            # Only the served version's graph may stand; a newer one waits for this lock and comes after.
            async with self._catalog.unit(doc_id) as unit:
                latest = await unit.progress(doc_id, version)
            if latest is None or not latest.active:
                return []
            await self._store.replace(name.value, _bytes(rdf.serialize(triples, format=rdf.RdfFormat.N_TRIPLES)))
            async with self._catalog.unit(doc_id) as unit:
                await unit.graphed(doc_id, version)
        after = KgUpsertCompleted(
            doc_id=doc_id, version=version, wanted_seq=latest.wanted_seq, triples_count=len(triples)
        )
        return [outgoing(after, doc_id, latest.wanted_seq, attempt=latest.reissues)]


def structural_triples(
    event: EmbedCompleted, progress: Progress, structure: Structure, chunks: list[Chunk]
) -> Iterator[rdf.Triple]:
    """Document, sections and chunks with their provenance; complete without any language model."""
    iri = graph_iri(event.doc_id)
    document = rdf.NamedNode(iri)

    def say(subject: rdf.NamedNode, predicate: str, value: rdf.NamedNode | rdf.Literal) -> rdf.Triple:
        return rdf.Triple(subject, rdf.NamedNode(predicate), value)

    yield rdf.Triple(document, _TYPE, rdf.NamedNode(_VOCAB + "Document"))
    yield say(document, _DCTERMS + "title", rdf.Literal(structure.title or progress.title or progress.name))
    yield say(document, _DCTERMS + "source", rdf.Literal(progress.source_uri))
    yield say(document, _DCTERMS + "identifier", rdf.Literal(progress.name))
    yield say(document, _DCTERMS + "hasVersion", rdf.Literal(event.version))
    yield say(document, _VOCAB + "collection", rdf.Literal(progress.collection))
    if structure.pages is not None:
        yield say(document, _VOCAB + "pages", rdf.Literal(structure.pages))
    for number, section in enumerate(structure.sections):
        node = rdf.NamedNode(f"{iri}#s{number}")
        yield rdf.Triple(node, _TYPE, rdf.NamedNode(_VOCAB + "Section"))
        yield say(document, _DCTERMS + "hasPart", node)
        yield say(node, _DCTERMS + "isPartOf", document)
        yield say(node, _VOCAB + "level", rdf.Literal(len(section.path)))
        yield say(node, _VOCAB + "index", rdf.Literal(number))
        if section.heading:
            yield say(node, _DCTERMS + "title", rdf.Literal(section.heading))
        if section.page is not None:
            yield say(node, _VOCAB + "page", rdf.Literal(section.page))
    for chunk in chunks:
        node = rdf.NamedNode(f"urn:homelab:chunk:{chunk.chunk_id}")
        yield rdf.Triple(node, _TYPE, rdf.NamedNode(_VOCAB + "Chunk"))
        yield say(node, _DCTERMS + "isPartOf", rdf.NamedNode(f"{iri}#s{chunk.section}"))
        yield say(node, _PROV + "wasDerivedFrom", document)
        yield say(node, _VOCAB + "index", rdf.Literal(chunk.index))
        if chunk.page is not None:
            yield say(node, _VOCAB + "page", rdf.Literal(chunk.page))


def _bytes(serialized: bytes | None) -> bytes:
    return serialized or b""
