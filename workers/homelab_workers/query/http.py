# SPDX-License-Identifier: Apache-2.0
"""The HTTP application: keys, bounds, errors in OpenAI's shape; the routes are in their own files."""

from __future__ import annotations

import math

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from ..errors import AuthRefused, Rejected, Unavailable
from .bounds import BoundedBodies
from .deps import Deps, QuerySettings
from .openai_shapes import error_body
from .routes_chat import chat_routes
from .routes_documents import document_routes
from .routes_health import health_routes
from .routes_search import search_routes
from .service import QueryService
from .telemetry import Traced

__all__ = ["Deps", "QuerySettings", "create_app"]

UPLOADS = "/v1/documents"
RETRY_AFTER = 5.0
"""Seconds, where the service that failed did not say."""

# Reasons that are not the generic 400.
_STATUS = {
    "unknown_collection": 404,
    "unknown_document": 404,
    "no_content": 404,
    "bad_link": 403,
    "too_large": 413,
    "query_too_large": 413,
    "result_too_large": 413,
    "field_too_large": 413,
    "not_multipart": 415,
}


def create_app(deps: Deps) -> FastAPI:
    app = FastAPI(title="homelab query", docs_url=None, redoc_url=None, openapi_url=None)
    settings = deps.settings
    service = QueryService(deps.search, deps.embedder, deps.chat, deps.graph, settings, deps.tokenizer)
    app.include_router(health_routes(deps))
    app.include_router(search_routes(deps, service))
    app.include_router(chat_routes(deps, service))
    app.include_router(document_routes(deps))
    app.add_exception_handler(Rejected, _rejected)
    app.add_exception_handler(Unavailable, _unavailable)
    app.add_exception_handler(AuthRefused, _refused)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_middleware(BoundedBodies, unbounded=frozenset({UPLOADS}))
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type"],
        )
    app.add_middleware(Traced)
    return app


async def _rejected(_unused: Request, error: Exception) -> Response:
    assert isinstance(error, Rejected)
    return JSONResponse(error_body(str(error), code=error.code), _STATUS.get(error.code, 400))


async def _unavailable(_unused: Request, error: Exception) -> Response:
    assert isinstance(error, Unavailable)
    after = math.ceil(error.retry_after or RETRY_AFTER)
    body = error_body(f"{error}. Fix: try again in {after} s; /readyz says what is down", kind="server_error")
    return JSONResponse(body, 503, headers={"Retry-After": str(after)})


async def _refused(_unused: Request, error: Exception) -> Response:
    message = f"{error}. Fix: the service's own credentials are wrong; provision it again"
    return JSONResponse(error_body(message, kind="server_error"), 503)


async def _http_error(_unused: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = "authentication_error" if error.status_code == 401 else "invalid_request_error"
    return JSONResponse(error_body(str(error.detail), kind=kind), error.status_code, headers=error.headers)


async def _invalid(_unused: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems = [f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors()[:5]]
    return JSONResponse(error_body("; ".join(problems), code="invalid_body"), 400)
