# SPDX-License-Identifier: Apache-2.0
"""`/v1/documents`: upload, list, status, content, delete."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.background import BackgroundTask

from ..contracts import DocDeleted, Location, message_id
from ..errors import Rejected, Unavailable
from .access import key_needed
from .deps import Deps
from .ports import DocumentStatus, VersionStatus
from .scratch import discard, new_file
from .signing import LinkSigner
from .upload import Intake, receive

MAX_PAGE = 100


def document_routes(deps: Deps) -> APIRouter:
    router = APIRouter()
    guarded = APIRouter(dependencies=[Depends(key_needed(deps.keys))])
    signer = LinkSigner(deps.signing_key)
    intake = Intake(deps.catalog, deps.objects, deps.bus, deps.fingerprint)

    @guarded.post("/v1/documents")
    async def upload(request: Request) -> Response:
        """202 when the pipeline has work, 200 when these bytes are served already under this name."""
        received = await receive(request, work_dir=deps.settings.work_dir, max_bytes=deps.settings.max_upload_bytes)
        try:
            receipt = await intake.take(received)
        finally:
            discard(received.path)
        body = {
            "id": str(receipt.accepted.doc_id),
            "object": "homelab.document",
            "version": receipt.accepted.version,
            "status": receipt.status,
            "state": receipt.accepted.state,
            "collection": receipt.collection,
            "source_id": receipt.source_id,
            "name": receipt.name,
            "bytes": receipt.size,
            "degraded": receipt.degraded,
        }
        return JSONResponse(body, 200 if receipt.status == "unchanged" else 202)

    @guarded.get("/v1/documents")
    async def listing(
        collection: str | None = None,
        limit: int = Query(default=20, ge=1, le=MAX_PAGE),
        after: UUID | None = None,
    ) -> Response:
        """Newest first; `after` is the `last_id` of the page before."""
        found = await deps.documents.list(collection, limit=limit + 1, after=after)
        page = found[:limit]
        return JSONResponse(
            {
                "object": "list",
                "data": [_document(document) for document in page],
                "first_id": str(page[0].id) if page else None,
                "last_id": str(page[-1].id) if page else None,
                "has_more": len(found) > limit,
            }
        )

    @guarded.get("/v1/documents/{doc_id}")
    async def status(doc_id: UUID) -> Response:
        return JSONResponse(_document(await _known(deps, doc_id)))

    @guarded.get("/v1/documents/{doc_id}/content")
    async def content(doc_id: UUID) -> Response:
        """302 to a link that works without a key for a short time."""
        document = await _known(deps, doc_id)
        version = document.active or document.versions[0]
        if document.state in ("deleting", "deleted"):
            raise Rejected("no_content", f"document {doc_id} is being deleted.", "ingest it again")
        return RedirectResponse(signer.path(doc_id, version.version, now=time.time()), 302)

    @guarded.delete("/v1/documents/{doc_id}")
    async def delete(doc_id: UUID) -> Response:
        """202: it is served no longer from now on; its traces are removed behind that."""
        async with deps.catalog.unit(doc_id) as unit:
            wanted_seq = await unit.request_delete(doc_id)
        if wanted_seq is None:
            raise _unknown(doc_id)
        degraded: list[str] = []
        event = DocDeleted(doc_id=doc_id, wanted_seq=wanted_seq)
        try:
            await deps.bus.publish(event, msg_id=message_id(event.subject, doc_id, wanted_seq))
        except Unavailable as error:
            # The tombstone stands: the reconciler sends the event again.
            degraded.append(f"no longer served, but its traces are removed later: {error}")
        body = {"id": str(doc_id), "object": "homelab.document.deleted", "deleted": True, "state": "deleting"}
        return JSONResponse(body | {"degraded": degraded}, 202)

    @router.get("/content/{doc_id}/{version}")
    async def signed(doc_id: UUID, version: str, expires: int, signature: str) -> Response:
        if not signer.valid(doc_id, version, expires, signature, now=time.time()):
            raise Rejected(
                "bad_link", "this link is not valid, or no longer.", f"ask for /v1/documents/{doc_id}/content again"
            )
        document = await _known(deps, doc_id)
        wanted = next((v for v in document.versions if v.version == version), None)
        if wanted is None or wanted.state in ("deleting", "deleted"):
            raise Rejected("no_content", f"document {doc_id} has no version {version} any more.", "ask for a new link")
        return await _file(deps, document, wanted)

    router.include_router(guarded)
    return router


async def _file(deps: Deps, document: DocumentStatus, version: VersionStatus) -> Response:
    path = new_file(deps.settings.work_dir, "content-")
    try:
        await deps.objects.download(Location.parse(version.source_uri), path)
    except FileNotFoundError as error:
        discard(path)
        raise Rejected(
            "no_content", f"the bytes of document {document.id} have expired.", "its text is still served; ingest again"
        ) from error
    except BaseException:
        discard(path)
        raise
    return FileResponse(
        path,
        filename=document.name.rpartition("/")[2] or str(document.id),
        # Whatever the document says it is, a browser must save it and never run it.
        media_type="application/octet-stream",
        content_disposition_type="attachment",
        headers={
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "Cache-Control": "private, no-store",
        },
        background=BackgroundTask(discard, path),
    )


async def _known(deps: Deps, doc_id: UUID) -> DocumentStatus:
    document = await deps.documents.get(doc_id)
    if document is None:
        raise _unknown(doc_id)
    return document


def _unknown(doc_id: UUID) -> Rejected:
    return Rejected("unknown_document", f"there is no document {doc_id}.", "GET /v1/documents lists what there is")


def _document(document: DocumentStatus) -> dict[str, Any]:
    newest = document.versions[0]
    return {
        "id": str(document.id),
        "object": "homelab.document",
        "name": document.name,
        "title": document.title,
        "collection": document.collection,
        "source_id": document.source_id,
        "mime_type": document.mime_type,
        "metadata": document.metadata,
        "created_at": int(document.created_at.timestamp()),
        "state": document.state,
        "searchable": document.active_version is not None,
        "active_version": document.active_version,
        "version": newest.version,
        "pages": newest.pages,
        "chunks_total": newest.chunks_total,
        "chunks_pending": newest.chunks_pending,
        "warnings": newest.warnings,
        "error": newest.error,
        "versions": [_version(version) for version in document.versions],
    }


def _version(version: VersionStatus) -> dict[str, Any]:
    return {
        "version": version.version,
        "state": version.state,
        "wanted_seq": version.wanted_seq,
        "content_sha256": version.content_sha256,
        "pages": version.pages,
        "attempts": version.attempts,
        "chunks_total": version.chunks_total,
        "chunks_pending": version.chunks_pending,
        "warnings": version.warnings,
        "error": version.error,
        "updated_at": version.updated_at.isoformat(),
    }
