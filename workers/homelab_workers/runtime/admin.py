# SPDX-License-Identifier: Apache-2.0
"""`/admin/…` on the reconciler: dead letters, foreign objects, a sweep now. Operators' keys only."""

from __future__ import annotations

import base64
import functools
import json
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..adapters.jetstream import JetStream
from ..adapters.postgres import PostgresCatalog
from ..contracts import DeadLetter, Location, State
from ..errors import AuthRefused, Unavailable
from ..ports import ObjectStore
from ..query.auth import Keys
from .reconciler import Reconciler

STREAM = "DLQ"
PAGE = 100

RESUMES_AT: dict[str, State] = {
    "extract": "received",
    "chunk": "extracted",
    "embed-plan": "chunked",
    "embed": "chunked",
    "graph": "embedded",
    "delete": "deleting",
}
"""Where a version stood before the stage whose dead letter is replayed."""

Endpoint = Callable[[Request], Awaitable[Response]]


def admin_routes(
    catalog: PostgresCatalog, bus: JetStream, objects: ObjectStore, reconciler: Reconciler, keys: str
) -> list[Route]:
    """`keys` is the JSON of QUERY_KEYS; only entries with `admin: true` open these routes."""
    known = Keys.parse(keys)
    admin = _Admin(catalog, bus, objects, reconciler)

    def guarded(endpoint: Endpoint) -> Endpoint:
        @functools.wraps(endpoint)
        async def check(request: Request) -> Response:
            caller = known.caller(request.headers.get("authorization"))
            if caller is None or not caller.admin:
                return _error(401, "an admin key is needed: Authorization: Bearer <admin key>")
            try:
                return await endpoint(request)
            except (Unavailable, AuthRefused) as error:
                return _error(503, str(error))

        return check

    def route(path: str, method: str, endpoint: Endpoint) -> Route:
        return Route(f"/admin{path}", guarded(endpoint), methods=[method])

    return [
        route("/dlq", "GET", admin.letters),
        route("/dlq/{sequence:int}", "GET", admin.letter),
        route("/dlq/{sequence:int}", "DELETE", admin.drop),
        route("/dlq/{sequence:int}/replay", "POST", admin.replay),
        route("/reconcile", "POST", admin.reconcile),
        route("/objects", "PUT", admin.put_object),
    ]


class _Admin:
    def __init__(self, catalog: PostgresCatalog, bus: JetStream, objects: ObjectStore, reconciler: Reconciler) -> None:
        self._catalog = catalog
        self._bus = bus
        self._objects = objects
        self._reconciler = reconciler

    async def letters(self, request: Request) -> Response:
        """Newest first, at most `limit` (100), below sequence `before`."""
        first, last, _unused = await self._bus.stream_bounds(STREAM)
        try:
            limit = min(int(request.query_params.get("limit", PAGE)), PAGE)
            sequence = min(int(request.query_params.get("before", last + 1)) - 1, last)
        except ValueError:
            return _error(400, "limit and before must be whole numbers")
        found: list[dict[str, Any]] = []
        while sequence >= max(first, 1) and len(found) < limit:
            if (entry := await self._read(sequence)) is not None:
                found.append(entry)
            sequence -= 1
        return JSONResponse({"data": found, "next_before": sequence + 1 if sequence >= max(first, 1) else None})

    async def letter(self, request: Request) -> Response:
        entry = await self._read(request.path_params["sequence"])
        return _missing(request) if entry is None else JSONResponse(entry)

    async def drop(self, request: Request) -> Response:
        sequence = request.path_params["sequence"]
        if await self._read(sequence) is None:
            return _missing(request)
        await self._bus.drop_stored(STREAM, sequence)
        return JSONResponse({"sequence": sequence, "dropped": True})

    async def replay(self, request: Request) -> Response:
        """The original message goes out again, and the version returns to where it stood before."""
        sequence = request.path_params["sequence"]
        stored = await self._bus.stored(STREAM, sequence)
        if stored is None:
            return _missing(request)
        try:
            letter = DeadLetter.model_validate_json(stored[1])
        except ValidationError as error:
            return _error(409, f"dead letter {sequence} cannot be read: {error.errors()[0]['msg']}")
        if letter.original_encoding == "base64":
            payload = base64.b64decode(letter.original)
        else:
            payload = json.dumps(letter.original).encode()
        await self._revive(letter)
        headers = {k: v for k, v in letter.headers.items() if k.lower() == "traceparent"}
        headers["Nats-Msg-Id"] = f"replay:{sequence}:{letter.first_seen.isoformat()}"
        await self._bus.publish_raw(letter.original_subject, payload, headers)
        await self._bus.drop_stored(STREAM, sequence)
        return JSONResponse({"sequence": sequence, "replayed": letter.original_subject})

    async def reconcile(self, request: Request) -> Response:
        return JSONResponse({"sent_again": await self._reconciler.sweep()})

    async def put_object(self, request: Request) -> Response:
        """The door for objects of others in directory mode: PUT ?uri=s3://bucket/key with the bytes as body."""
        try:
            location = Location.parse(request.query_params.get("uri", ""))
        except ValueError as error:
            return _error(400, str(error))
        with tempfile.NamedTemporaryFile() as file:
            size = 0
            async for piece in request.stream():
                size += len(piece)
                await run_in_threadpool(file.write, piece)
            file.flush()
            await self._objects.upload(Path(file.name), location)
        return JSONResponse({"uri": str(location), "bytes": size}, status_code=201)

    async def _revive(self, letter: DeadLetter) -> None:
        state = RESUMES_AT.get(letter.stage)
        if letter.doc_id is None or letter.version is None or state is None:
            return
        async with self._catalog.unit(letter.doc_id) as unit:
            await unit.revive(letter.doc_id, letter.version, state)

    async def _read(self, sequence: int) -> dict[str, Any] | None:
        stored = await self._bus.stored(STREAM, sequence)
        if stored is None:
            return None
        subject, data, _unused = stored
        try:
            body = json.loads(data)
        except ValueError:
            body = {"reason": "unreadable", "original": base64.b64encode(data).decode()}
        return {"sequence": sequence, "subject": subject, **body}


def _missing(request: Request) -> Response:
    return _error(404, f"there is no dead letter {request.path_params['sequence']}; `homelab dlq list` shows them")


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": {"message": message, "type": "invalid_request_error", "code": status}}, status)
