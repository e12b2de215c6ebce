# SPDX-License-Identifier: Apache-2.0
"""`doc.ingest.extracted` -> rows in chunks_staged and chunks.jsonl -> `doc.chunked`."""

from __future__ import annotations

import asyncio

from ..contracts import Chunk, Chunked, ChunkSpan, Extracted, Structure, processed_location
from ..ports import Catalog, ObjectStore, Progress, Tokenizer
from .base import DEAD, Context, Outgoing, outgoing
from .chunking import chunk_structure

SPAN = 16
"""Chunks that one embed.requested names: small enough to mix documents in a batch."""


class ChunkStage:
    def __init__(
        self,
        catalog: Catalog,
        objects: ObjectStore,
        tokenizer: Tokenizer,
        *,
        window: int,
        overlap: int,
        embedding_model: str,
    ) -> None:
        self._catalog = catalog
        self._objects = objects
        self._tokenizer = tokenizer
        self._window = window
        self._overlap = overlap
        self._model = embedding_model

    async def handle(self, event: Extracted, context: Context) -> list[Outgoing]:
        doc_id, version = event.doc_id, event.version
        async with self._catalog.unit(doc_id) as unit:
            progress = await unit.begin(doc_id, version)
            if progress is not None and not progress.current:
                await unit.superseded(doc_id, version)
        if progress is None or not progress.current or progress.state in DEAD or progress.state == "received":
            return []
        if progress.state != "extracted":
            return [chunked(event, progress)]
        data = await self._objects.get(processed_location(doc_id, version, "structure.json"))
        structure = Structure.model_validate_json(data)
        chunks = await asyncio.to_thread(
            chunk_structure,
            structure,
            self._tokenizer,
            window=self._window,
            overlap=self._overlap,
            doc_id=doc_id,
            version=version,
        )
        lines = "".join(chunk.model_dump_json() + "\n" for chunk in chunks)
        await self._objects.put(processed_location(doc_id, version, "chunks.jsonl"), lines.encode())
        async with self._catalog.unit(doc_id) as unit:
            latest = await unit.progress(doc_id, version)
            if latest is None or not latest.current or latest.state != "extracted":
                return []
            await unit.stage_chunks(doc_id, version, chunks)
            if not chunks:
                await unit.flip(doc_id, version, self._model)
            latest = await unit.progress(doc_id, version)
        return [] if latest is None else [chunked(event, latest)]


def chunked(event: Extracted, progress: Progress) -> Outgoing:
    spans = spans_of(progress.chunks_total or 0)
    after = Chunked(doc_id=event.doc_id, version=event.version, wanted_seq=progress.wanted_seq, chunks=spans)
    return outgoing(after, event.doc_id, progress.wanted_seq, attempt=progress.reissues)


def spans_of(total: int) -> list[ChunkSpan]:
    return [ChunkSpan(start=start, count=min(SPAN, total - start)) for start in range(0, total, SPAN)]


def read_chunks(data: bytes) -> list[Chunk]:
    """The lines of chunks.jsonl."""
    return [Chunk.model_validate_json(line) for line in data.splitlines()]
