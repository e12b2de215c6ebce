# SPDX-License-Identifier: Apache-2.0
"""`doc.ingest.requested` -> structure, text and document in the store -> `doc.ingest.extracted`."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import tempfile
from pathlib import Path
from uuid import UUID

from ..contracts import (
    COLLECTION_PATTERN,
    RAW_BUCKET,
    Extracted,
    IngestRequested,
    Location,
    Pipeline,
    Structure,
    StructureSummary,
    doc_id_for,
    processed_location,
    version_for,
)
from ..errors import Rejected
from ..ports import Catalog, ExtractLimits, Extractor, ObjectStore, Progress, Request
from .base import DEAD, Context, Outgoing, outgoing

SLICE_RETRIES = 4
"""Attempts with the normal page slice: the first, and one after each of 30, 60 and 120 s."""
MAX_ATTEMPTS = SLICE_RETRIES + 1
"""The last attempt takes a quarter of the page slice; then the document is given up."""

_METADATA_READ = ("source_id", "collection", "title", "mime_type", "name")


class Extract:
    def __init__(
        self,
        catalog: Catalog,
        objects: ObjectStore,
        extractor: Extractor,
        *,
        pipeline: Pipeline,
        limits: ExtractLimits,
        work_dir: Path,
    ) -> None:
        self._catalog = catalog
        self._objects = objects
        self._extractor = extractor
        self._fingerprint = pipeline.fingerprint()
        self._limits = limits
        self._work_dir = work_dir

    async def handle(self, event: IngestRequested, context: Context) -> list[Outgoing]:
        location = Location.parse(event.source_uri)
        if location.bucket != RAW_BUCKET:
            raise Rejected(
                "source_not_allowed",
                f"{event.source_uri} is not in bucket {RAW_BUCKET}: documents are read from there only.",
                f"put the object into s3://{RAW_BUCKET}/ and send the event again",
            )
        with tempfile.TemporaryDirectory(dir=self._work_dir) as name:
            folder = Path(name)
            source = folder / "source"
            try:
                sha256 = await self._objects.download(location, source)
            except FileNotFoundError:
                raise Rejected(
                    "object_missing",
                    f"{event.source_uri} is not in the object store.",
                    "put the object first, then send the event",
                ) from None
            if event.doc_id is None or event.version is None:
                doc_id, version = await self._accept(event, sha256, context)
            else:
                doc_id, version = event.doc_id, event.version
            async with self._catalog.unit(doc_id) as unit:
                progress = await unit.begin(doc_id, version)
                if progress is not None and not progress.current:
                    await unit.superseded(doc_id, version)
            if progress is None or not progress.current or progress.state in DEAD:
                return []
            if progress.state != "received":
                # A redelivery after the effect: the next event is published again, its id makes that harmless.
                return await self._again(doc_id, version, progress) if progress.state == "extracted" else []
            structure = await self._convert(doc_id, version, progress, source, folder)
        async with self._catalog.unit(doc_id) as unit:
            latest = await unit.progress(doc_id, version)
            if latest is None or not latest.current or latest.state != "received":
                return []
            await unit.extracted(doc_id, version, structure)
        return [self._next(doc_id, version, latest, structure)]

    async def _accept(self, event: IngestRequested, sha256: str, context: Context) -> tuple[UUID, str]:
        """An event from outside: the catalog learns of it here."""
        metadata = event.metadata
        for key in _METADATA_READ:
            if not isinstance(metadata.get(key, ""), str):
                raise Rejected(
                    "malformed_event",
                    f"metadata.{key} is {metadata[key]!r}: it must be a string.",
                    f"send metadata.{key} as a string or leave it out",
                )
        if event.content_sha256 is not None and event.content_sha256 != sha256:
            raise Rejected(
                "checksum_mismatch",
                f"{event.source_uri} has sha256 {sha256}, the event says {event.content_sha256}.",
                "send the event after the object is complete, with its own checksum",
            )
        collection = metadata.get("collection", "default")
        if re.fullmatch(COLLECTION_PATTERN, collection) is None:
            raise Rejected(
                "malformed_event",
                f"metadata.collection is {collection!r}: it must match {COLLECTION_PATTERN}.",
                "use letters, digits, '.', '_' and '-'",
            )
        request = Request(
            source_id=metadata.get("source_id") or event.source_uri,
            source_uri=event.source_uri,
            content_sha256=sha256,
            version=version_for(sha256, self._fingerprint),
            collection=collection,
            title=metadata.get("title"),
            mime_type=metadata.get("mime_type"),
            metadata={"name": event.source_uri.rpartition("/")[2], **metadata},
            request_id=context.request_id,
        )
        await self._catalog.ensure_collection(collection)
        async with self._catalog.unit(doc_id_for(request.source_id)) as unit:
            accepted = await unit.accept(request)
        return accepted.doc_id, accepted.version

    async def _convert(self, doc_id: UUID, version: str, progress: Progress, source: Path, folder: Path) -> Structure:
        if progress.attempts > MAX_ATTEMPTS:
            raise Rejected(
                "worker_killed",
                f"{progress.name}: {progress.attempts - 1} attempts ended with the worker or its parser dead.",
                "split the document, or raise the extractor's memory in homelab_tuning",
            )
        limits = self._limits
        if progress.attempts == MAX_ATTEMPTS:
            limits = dataclasses.replace(limits, page_slice=max(1, limits.page_slice // 4))
        out = folder / "out"
        await asyncio.to_thread(out.mkdir)
        extraction = await self._extractor.extract(
            source, name=progress.name, mime_type=progress.mime_type, folder=out, limits=limits
        )
        for name, path in extraction.files.items():
            await self._objects.upload(path, processed_location(doc_id, version, name))
        return extraction.structure

    async def _again(self, doc_id: UUID, version: str, progress: Progress) -> list[Outgoing]:
        data = await self._objects.get(processed_location(doc_id, version, "structure.json"))
        return [self._next(doc_id, version, progress, Structure.model_validate_json(data))]

    def _next(self, doc_id: UUID, version: str, progress: Progress, structure: Structure) -> Outgoing:
        event = Extracted(
            doc_id=doc_id,
            version=version,
            wanted_seq=progress.wanted_seq,
            garage_key=str(processed_location(doc_id, version, "document.json")),
            structure=summary(structure),
        )
        return outgoing(event, doc_id, progress.wanted_seq, attempt=progress.reissues)


def summary(structure: Structure) -> StructureSummary:
    blocks = [block for section in structure.sections for block in section.blocks]
    return StructureSummary(
        title=structure.title,
        pages=structure.pages,
        sections=len(structure.sections),
        blocks=len(blocks),
        characters=sum(len(block.text) for block in blocks),
    )
