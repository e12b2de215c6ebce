# SPDX-License-Identifier: Apache-2.0
"""`POST /v1/chat/completions` and `GET /v1/models`: retrieval behind OpenAI's chat interface."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from ..errors import HomelabError, Rejected
from .access import key_needed
from .deps import Deps
from .openai_shapes import MODEL, ChatRequest, completion, completion_chunk, error_body
from .service import Answer, QueryService

_T = TypeVar("_T")
CLIENT_CLOSED = 499


def chat_routes(deps: Deps, service: QueryService) -> APIRouter:
    router = APIRouter(dependencies=[Depends(key_needed(deps.keys))])
    started = int(time.time())

    @router.get("/v1/models")
    async def models() -> Response:
        return JSONResponse(
            {
                "object": "list",
                "data": [{"id": MODEL, "object": "model", "created": started, "owned_by": "homelab"}],
            }
        )

    @router.post("/v1/chat/completions")
    async def chat(body: ChatRequest, request: Request) -> Response:
        if body.model != MODEL:
            raise Rejected("model_not_found", f"there is no model {body.model!r} here.", f"use {MODEL}")
        question, history = body.question()
        completion_id, created = f"chatcmpl-{uuid.uuid4().hex}", int(time.time())
        answer, pieces = await service.answer(
            body.where(), question, history, max_tokens=body.max_completion_tokens or body.max_tokens
        )
        if body.stream:
            events = _events(completion_id, created, answer, pieces)
            return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        if not await _while_connected(request, _consume(pieces)):
            return Response(status_code=CLIENT_CLOSED)
        return JSONResponse(completion(completion_id, created, answer))

    return router


async def _events(
    completion_id: str, created: int, answer: Answer, pieces: AsyncGenerator[str, None]
) -> AsyncIterator[str]:
    """Server-sent events. When the client goes, Starlette cancels this, which closes the model's stream."""
    try:
        async with aclosing(pieces):
            yield _event(completion_chunk(completion_id, created, {"role": "assistant", "content": ""}))
            async for piece in pieces:
                yield _event(completion_chunk(completion_id, created, {"content": piece}))
    except HomelabError as error:
        # The status line is gone already; OpenAI's clients read an error event.
        yield _event(error_body(str(error), code=getattr(error, "code", None)))
    else:
        yield _event(completion_chunk(completion_id, created, {}, answer))
    yield "data: [DONE]\n\n"


def _event(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


async def _consume(pieces: AsyncGenerator[str, None]) -> bool:
    async with aclosing(pieces):
        async for _unused in pieces:
            pass
    return True


async def _while_connected(request: Request, work: Coroutine[Any, Any, _T]) -> _T | None:
    """The result of `work`, or None when the client went before; then `work` is cancelled."""
    task = asyncio.create_task(work)
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        return await task if task.done() else None
    finally:
        for pending in (task, gone):
            pending.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
