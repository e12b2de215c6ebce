# SPDX-License-Identifier: Apache-2.0
"""A bound on request bodies that are read whole; uploads have their own (query/upload.py)."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 1 << 20


class BoundedBodies:
    def __init__(self, app: ASGIApp, *, unbounded: frozenset[str]) -> None:
        self._app = app
        self._unbounded = unbounded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._unbounded:
            await self._app(scope, receive, send)
            return
        size = 0

        async def bounded() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > MAX_BODY_BYTES:
                raise HTTPException(413, f"the request body has more than {MAX_BODY_BYTES} bytes. Fix: send less")
            return message

        await self._app(scope, bounded, send)
