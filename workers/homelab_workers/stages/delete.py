# SPDX-License-Identifier: Apache-2.0
"""`doc.deleted` -> graph, objects and rows of the dead versions are gone. The only stage that may delete."""

from __future__ import annotations

from ..contracts import PROCESSED_BUCKET, DocDeleted, Location, graph_iri, raw_location
from ..ports import DeletionCatalog, GraphStore, ObjectStore
from .base import Context, Outgoing


class Delete:
    def __init__(self, catalog: DeletionCatalog, objects: ObjectStore, store: GraphStore) -> None:
        self._catalog = catalog
        self._objects = objects
        self._store = store

    async def handle(self, event: DocDeleted, context: Context) -> list[Outgoing]:
        """Rows go last, so that a stage killed half-way finds its work again."""
        doc_id = event.doc_id
        async with self._catalog.graph_lock(doc_id):
            async with self._catalog.unit(doc_id) as unit:
                dead, served = await unit.condemned(doc_id)
            if not served:
                await self._store.drop(graph_iri(doc_id))
            for version, _unused in dead:
                async for key in self._objects.keys(PROCESSED_BUCKET, f"{doc_id}/{version}"):
                    await self._objects.delete(Location(PROCESSED_BUCKET, key))
            for content_sha256 in sorted({sha256 for _unused, sha256 in dead}):
                async with self._catalog.content_lock(content_sha256):
                    if not await self._catalog.content_in_use(content_sha256, apart_from=doc_id):
                        await self._objects.delete(raw_location(content_sha256))
            async with self._catalog.unit(doc_id) as unit:
                await unit.remove(doc_id, [version for version, _unused in dead])
        return []
