# SPDX-License-Identifier: Apache-2.0
"""/healthz, /readyz and /metrics."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from .deps import Check, Deps

CHECK_SECONDS = 3.0


def health_routes(deps: Deps) -> APIRouter:
    router = APIRouter()

    @router.get("/healthz")
    async def alive() -> Response:
        return JSONResponse({"status": "ok"})

    @router.get("/readyz")
    async def ready() -> Response:
        """503 when a required check fails; what only degrades answers is named and does not take us out of service."""
        names = list(deps.checks)
        results = await asyncio.gather(*(_bounded(deps.checks[name]) for name in names))
        problems = {name: problem for name, problem in zip(names, results, strict=True) if problem is not None}
        down = sorted(deps.required_checks & problems.keys())
        status = "not ready" if down else "degraded" if problems else "ok"
        body = {
            "status": status,
            "checks": {name: problems.get(name, "ok") for name in names},
            "problems": problems,
        }
        return JSONResponse(body, 503 if down else 200)

    @router.get("/metrics")
    async def measured() -> Response:
        body, content_type = deps.metrics()
        return Response(body, media_type=content_type)

    return router


async def _bounded(check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS:g} s"
    except Exception as error:  # whatever a check raises is its finding
        return f"{type(error).__name__}: {error}"
