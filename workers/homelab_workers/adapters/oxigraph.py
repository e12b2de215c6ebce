# SPDX-License-Identifier: Apache-2.0
"""A SPARQL 1.1 server with the Graph Store protocol (Oxigraph) over HTTP."""

from __future__ import annotations

import httpx

from ..errors import Unavailable

_READ_TIMEOUT = 120.0
"""Seconds. Replacing a graph of 100,000 triples takes Oxigraph 4.7 s, a start after a crash up to 22 s."""


class OxigraphStore:
    def __init__(self, endpoint: str) -> None:
        self._http = httpx.AsyncClient(base_url=endpoint, timeout=httpx.Timeout(_READ_TIMEOUT, connect=5.0))

    async def replace(self, graph: str, nquads: bytes) -> None:
        """PUT replaces one named graph; the body is N-Triples (the graph is named by the URL)."""
        await self._send(
            "PUT", "/store", params={"graph": graph}, content=nquads, headers={"Content-Type": "application/n-triples"}
        )

    async def drop(self, graph: str) -> None:
        await self._send("DELETE", "/store", params={"graph": graph}, missing_is_fine=True)

    async def close(self) -> None:
        await self._http.aclose()

    async def _send(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
        missing_is_fine: bool = False,
    ) -> httpx.Response:
        try:
            response = await self._http.request(method, path, params=params, content=content, headers=headers)
        except httpx.HTTPError as error:
            raise Unavailable("graph", f"{type(error).__name__} at {method} {path}") from error
        if response.status_code == 404 and missing_is_fine:
            return response
        if response.status_code == 400:
            raise ValueError(f"the triple store refused the request: {response.text[:500]}")
        if response.is_error:
            raise Unavailable("graph", f"HTTP {response.status_code} at {method} {path}: {response.text[:200]}")
        return response
