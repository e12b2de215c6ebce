# SPDX-License-Identifier: Apache-2.0
"""/healthz, /readyz and /metrics of one service, on its own loopback port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from .settings import SettingsError
from .telemetry import metrics_page

Check = Callable[[], Awaitable[str | None]]
"""Returns None when well, else what is wrong."""


def health_routes(checks: dict[str, Check]) -> list[BaseRoute]:
    async def alive(_unused: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_unused: Request) -> Response:
        problems = {name: problem for name, check in checks.items() if (problem := await check()) is not None}
        return JSONResponse(
            {"status": "not ready" if problems else "ok", "problems": problems}, status_code=503 if problems else 200
        )

    async def measured(_unused: Request) -> Response:
        body, content_type = metrics_page()
        return Response(body, media_type=content_type)

    return [Route("/healthz", alive), Route("/readyz", ready), Route("/metrics", measured)]


def health_app(checks: dict[str, Check], more: Sequence[BaseRoute] = ()) -> ASGIApp:
    return Starlette(routes=[*health_routes(checks), *more])


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The service handles signals itself and drains before it stops the server."""
        yield


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, host: str, port: int) -> AsyncIterator[None]:
    """Serves `app` while the block runs."""
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")
    server = _Server(config)
    # asyncio sets TCP_NODELAY only where the protocol is named. Without it a reply on a kept connection, whose head and
    # body are two writes, waits 40 ms for the client's delayed acknowledgement.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # from here on a client may connect; it is answered once the server runs
    except OSError as error:
        listener.close()
        raise SettingsError(f"HOMELAB_HTTP_PORT {host}:{port} cannot be opened: {error.strerror}") from error
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await task
