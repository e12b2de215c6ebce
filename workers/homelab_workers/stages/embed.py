# SPDX-License-Identifier: Apache-2.0
"""`doc.chunked` -> `embed.requested` per span -> vectors in Postgres and the flip -> `embed.completed`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from ..contracts import Chunked, EmbedCompleted, EmbedRequested, chunk_id_for
from ..errors import HomelabError, Rejected, TextRefused
from ..ports import Catalog, Embedder, Progress
from .base import DEAD, FINISHED, Context, Outgoing, outgoing
from .chunking import embedding_text


class EmbedPlan:
    """Fans a version out into spans, so that a batch can mix documents."""

    def __init__(self, catalog: Catalog, *, model: str) -> None:
        self._catalog = catalog
        self._model = model

    async def handle(self, event: Chunked, context: Context) -> list[Outgoing]:
        doc_id, version = event.doc_id, event.version
        async with self._catalog.unit(doc_id) as unit:
            progress = await unit.progress(doc_id, version)
            if progress is not None and not progress.current:
                await unit.superseded(doc_id, version)
        if progress is None or not progress.current or progress.state in DEAD:
            return []
        if progress.state in FINISHED:
            return [completed(doc_id, version, progress, self._model)]
        return [
            outgoing(
                EmbedRequested(
                    doc_id=doc_id,
                    version=version,
                    wanted_seq=progress.wanted_seq,
                    chunk_id=chunk_id_for(doc_id, version, span.start),
                    span=span,
                ),
                doc_id,
                progress.wanted_seq,
                attempt=progress.reissues,
                index=span.start,
            )
            for span in event.chunks
        ]


@dataclass(slots=True)
class _Work:
    """The spans of one version in this batch, by position in the batch."""

    positions: list[int]
    texts: dict[UUID, str]


class Embed:
    """Works on a batch across documents: one transaction per document version."""

    def __init__(self, catalog: Catalog, embedder: Embedder, *, batch: int) -> None:
        self._catalog = catalog
        self._embedder = embedder
        self._batch = batch

    async def handle_batch(
        self, events: Sequence[EmbedRequested], contexts: Sequence[Context]
    ) -> list[list[Outgoing] | HomelabError]:
        """One result per event, in order."""
        results: list[list[Outgoing] | HomelabError] = [[] for _unused in events]
        works = await self._read(events, results)
        vectors = await self._vectors(works)
        for (doc_id, version), work in works.items():
            failure = next((vectors[c] for c in work.texts if isinstance(vectors[c], Rejected)), None)
            if isinstance(failure, Rejected):
                for position in work.positions:
                    results[position] = failure
                continue
            stored = {c: v for c in work.texts if not isinstance(v := vectors[c], Rejected)}
            results[work.positions[-1]] = await self._store(doc_id, version, stored)
        return results

    async def _read(
        self, events: Sequence[EmbedRequested], results: list[list[Outgoing] | HomelabError]
    ) -> dict[tuple[UUID, str], _Work]:
        works: dict[tuple[UUID, str], _Work] = defaultdict(lambda: _Work([], {}))
        for position, event in enumerate(events):
            doc_id, version = event.doc_id, event.version
            async with self._catalog.unit(doc_id) as unit:
                progress = await unit.progress(doc_id, version)
                if progress is not None and not progress.current:
                    await unit.superseded(doc_id, version)
                if progress is None or not progress.current or progress.state in DEAD:
                    continue
                if progress.state in FINISHED:
                    results[position] = [completed(doc_id, version, progress, self._embedder.model)]
                    continue
                rows = await unit.staged_texts(doc_id, version, event.span)
            if rows:
                work = works[doc_id, version]
                work.positions.append(position)
                work.texts.update((chunk_id, embedding_text(heading, text)) for chunk_id, heading, text in rows)
        return dict(works)

    async def _vectors(self, works: dict[tuple[UUID, str], _Work]) -> dict[UUID, list[float] | Rejected]:
        """Texts of like length share a request, so that no padding is computed."""
        texts = sorted(
            ((chunk_id, text) for work in works.values() for chunk_id, text in work.texts.items()),
            key=lambda pair: len(pair[1]),
        )
        vectors: dict[UUID, list[float] | Rejected] = {}
        for start in range(0, len(texts), self._batch):
            piece = texts[start : start + self._batch]
            while piece:
                try:
                    found = await self._embedder.embed([text for _unused, text in piece], kind="document")
                except TextRefused as error:
                    # Only the text at fault is left out: its neighbours get their vectors.
                    vectors[piece.pop(error.index)[0]] = error
                else:
                    vectors.update(zip((chunk_id for chunk_id, _unused in piece), found, strict=True))
                    break
        return vectors

    async def _store(self, doc_id: UUID, version: str, vectors: dict[UUID, list[float]]) -> list[Outgoing]:
        async with self._catalog.staging(doc_id, vectors) as unit:
            progress = await unit.progress(doc_id, version)
            if progress is None or not progress.current or progress.state != "chunked":
                return []
            _unused, pending = await unit.store_vectors(doc_id, version)
            if pending > 0:
                return []
            outcome = await unit.flip(doc_id, version, self._embedder.model)
        if outcome == "superseded":
            return []
        return [completed(doc_id, version, progress, self._embedder.model)]


def completed(doc_id: UUID, version: str, progress: Progress, model: str) -> Outgoing:
    event = EmbedCompleted(doc_id=doc_id, version=version, wanted_seq=progress.wanted_seq, model=model)
    return outgoing(event, doc_id, progress.wanted_seq, attempt=progress.reissues)
