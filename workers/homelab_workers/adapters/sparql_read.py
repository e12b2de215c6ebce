# SPDX-License-Identifier: Apache-2.0
"""The query service's way to the triple store: the query operation and nothing else (query.ports.GraphReader)."""

from __future__ import annotations

import asyncio
import json

import httpx

from ..errors import Rejected, Unavailable

JSON_RESULTS = "application/sparql-results+json"


class SparqlReader:
    def __init__(self, endpoint: str) -> None:
        self._http = httpx.AsyncClient(base_url=endpoint, timeout=httpx.Timeout(60.0, connect=2.0), trust_env=False)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def read(self, sparql: str, *, accept: str, seconds: float, max_bytes: int) -> bytes:
        try:
            async with asyncio.timeout(seconds):
                body = await self._read(sparql, accept, max_bytes)
        except TimeoutError as error:
            raise Unavailable("graph", f"no complete result within {seconds:g} s") from error
        except httpx.HTTPError as error:
            raise Unavailable("graph", f"{type(error).__name__} at /query") from error
        if accept == JSON_RESULTS:
            # An error after the first byte arrives as HTTP 200 with its text inside the JSON.
            try:
                json.loads(body)
            except ValueError as error:
                tail = body[-200:].decode(errors="replace")
                raise Unavailable("graph", f"the triple store broke off its answer: {tail!r}") from error
        return body

    async def _read(self, sparql: str, accept: str, max_bytes: int) -> bytes:
        headers = {"Content-Type": "application/sparql-query", "Accept": accept}
        async with self._http.stream("POST", "/query", content=sparql.encode(), headers=headers) as response:
            body = bytearray()
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > max_bytes:
                    raise Rejected(
                        "result_too_large",
                        f"the result is larger than {max_bytes} bytes.",
                        "add LIMIT, or ask for fewer variables",
                    )
        if response.status_code == 400:
            reason = body[:500].decode(errors="replace")
            raise Rejected("query_refused", f"the triple store refused the query: {reason}.", "correct it")
        if response.is_error:
            raise Unavailable("graph", f"HTTP {response.status_code}: {body[:200].decode(errors='replace')}")
        return bytes(body)
