# SPDX-License-Identifier: Apache-2.0
"""`POST /v1/vector_stores/{collection}/search` and `POST /v1/sparql`."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import Rejected
from . import sparql
from .access import key_needed
from .deps import Deps
from .openai_shapes import SearchRequest, flat_filters, search_page
from .service import QueryService

ACCEPT: dict[sparql.Form, str] = {
    "SELECT": "application/sparql-results+json",
    "ASK": "application/sparql-results+json",
    "CONSTRUCT": "application/n-triples",
    "DESCRIBE": "application/n-triples",
}


class SparqlRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    query: str


def search_routes(deps: Deps, service: QueryService) -> APIRouter:
    router = APIRouter(dependencies=[Depends(key_needed(deps.keys))])

    @router.post("/v1/vector_stores/{collection}/search")
    async def search(collection: str, body: SearchRequest) -> Response:
        found = await service.search(
            collection,
            body.text(),
            limit=body.max_num_results,
            filters=flat_filters(body.filters),
            mode=body.ranking_options.mode,
        )
        return JSONResponse(search_page(body, found))

    @router.post("/v1/sparql")
    async def graph(request: Request) -> Response:
        """The query as application/sparql-query, or as JSON {"query": …}. JSON results, or N-Triples for graphs."""
        query = await _query_text(request)
        form = sparql.check(query)
        result = await deps.graph.read(
            query,
            accept=ACCEPT[form],
            seconds=deps.settings.sparql_seconds,
            max_bytes=deps.settings.sparql_max_bytes,
        )
        return Response(result, media_type=ACCEPT[form])

    return router


async def _query_text(request: Request) -> str:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if kind == "application/sparql-query":
        try:
            return body.decode()
        except UnicodeDecodeError as error:
            raise Rejected("malformed_query", "the SPARQL query is not UTF-8.", "encode it as UTF-8") from error
    if kind == "application/json":
        try:
            return SparqlRequest.model_validate_json(body).query
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(map(str, problem["loc"])) or "body"
            raise Rejected("invalid_body", f"{where}: {problem['msg']}.", 'send {"query": "SELECT …"}') from error
    raise Rejected(
        "wrong_content_type",
        f"the content type is {kind!r}.",
        'send application/sparql-query with the query as body, or application/json with {"query": "SELECT …"}',
    )
