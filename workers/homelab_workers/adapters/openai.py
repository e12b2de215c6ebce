# SPDX-License-Identifier: Apache-2.0
"""Chat and embeddings of an OpenAI-compatible endpoint (LiteLLM in front of llama.cpp) over HTTP.

A wrong answer of the server counts as the server being unavailable: the message stays and the
breaker opens. Only a text that the server refuses by itself is the document's fault.
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal

import httpx

from ..errors import AuthRefused, HomelabError, Rejected, Unavailable
from ..model_registry import EmbeddingModel
from ..ports import Message

_TIMEOUT = httpx.Timeout(300.0, connect=5.0)
"""Seconds; 32 chunks take a single core half a minute, and the server may be busy with another caller."""

EMBED_ALIAS = "embed"
CHAT_ALIAS = "chat"


class _Endpoint:
    def __init__(self, base_url: str, api_key: str) -> None:
        self._http = httpx.AsyncClient(
            base_url=base_url, timeout=_TIMEOUT, headers={"Authorization": f"Bearer {api_key}"}
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        try:
            response = await self._http.post(path, json=body)
        except httpx.HTTPError as error:
            raise Unavailable("models", f"{type(error).__name__} at {path}") from error
        if response.is_error:
            raise _refusal(response.status_code, response.text, response.headers)
        try:
            return response.json()
        except ValueError as error:
            raise Unavailable("models", f"{path} answered something that is not JSON") from error


class OpenAIEmbedder(_Endpoint):
    """See `ports.Embedder`."""

    def __init__(self, base_url: str, api_key: str, model: EmbeddingModel) -> None:
        super().__init__(base_url, api_key)
        self._entry = model
        self.model = model.name
        self.dimension = model.dimension

    async def embed(self, texts: Sequence[str], *, kind: Literal["document", "query"]) -> list[list[float]]:
        if not texts:
            return []
        prefix = self._entry.document_prefix if kind == "document" else self._entry.query_prefix
        body = {"model": EMBED_ALIAS, "input": [prefix + text for text in texts], "encoding_format": "float"}
        answer = await self._post("/v1/embeddings", body)
        return _checked_vectors(answer, len(texts), self.dimension)


class OpenAIChat(_Endpoint):
    """See `ports.Chat`."""

    def __init__(self, base_url: str, api_key: str, model: str) -> None:
        super().__init__(base_url, api_key)
        self.model = model

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """An upper bound: byte-level tokenizers never give more tokens than bytes, and text averages four bytes a
        token; two is safe for European languages and code, plus eight tokens of template a message."""
        return sum(math.ceil(len(message.content.encode()) / 2) + 8 for message in messages)

    async def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncIterator[str]:
        body = {
            "model": CHAT_ALIAS,
            "messages": [{"role": m.role, "content": m.content} for m in messages],
            "max_tokens": max_tokens,
            "temperature": 0.0,
            "stream": True,
        }
        try:
            async with self._http.stream("POST", "/v1/chat/completions", json=body) as response:
                if response.is_error:
                    text = (await response.aread()).decode(errors="replace")
                    raise _refusal(response.status_code, text, response.headers)
                async for line in response.aiter_lines():
                    if line.startswith("data:") and (piece := _delta(line[5:].strip())):
                        yield piece
        except httpx.HTTPError as error:
            raise Unavailable("models", f"{type(error).__name__} in the middle of an answer") from error


def _delta(data: str) -> str:
    if not data or data == "[DONE]":
        return ""
    try:
        event = json.loads(data)
        if "error" in event:
            raise Unavailable("models", f"error in the stream: {str(event['error'])[:200]}")
        choices = event["choices"]
        return (choices[0]["delta"].get("content") or "") if choices else ""
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unavailable("models", f"the stream holds {data[:100]!r}") from error


def _checked_vectors(answer: Any, count: int, dimension: int) -> list[list[float]]:
    """In the order of the inputs; a server that answers short, shuffled without index, or with NaN is refused."""
    try:
        items = sorted(answer["data"], key=lambda item: item["index"])
        indexes = [item["index"] for item in items]
        vectors = [[float(x) for x in item["embedding"]] for item in items]
    except (KeyError, TypeError, ValueError) as error:
        raise Unavailable("models", "the embeddings answer does not follow the OpenAI schema") from error
    if indexes != list(range(count)):
        raise Unavailable("models", f"{count} texts were sent, vectors came for {indexes[:5]} ({len(indexes)})")
    for index, vector in enumerate(vectors):
        if len(vector) != dimension:
            raise Unavailable("models", f"vector {index} has {len(vector)} dimensions, the model has {dimension}")
        norm = math.sqrt(sum(x * x for x in vector))
        if not math.isfinite(norm) or norm == 0.0:
            raise Unavailable("models", f"vector {index} is zero or not finite")
    return vectors


def _refusal(status: int, text: str, headers: httpx.Headers) -> HomelabError:
    detail = text[:300]
    if status in (401, 403):
        return AuthRefused("models", f"HTTP {status}: {detail}")
    if status in (400, 413, 422):
        return Rejected("text_refused", f"the model server refuses the text: {detail}", "see the server's limits")
    if status == 429:
        try:
            retry_after: float | None = float(headers.get("retry-after", ""))
        except ValueError:
            retry_after = None
        return Unavailable("models", f"HTTP 429: {detail}", retry_after=retry_after, limited=True)
    return Unavailable("models", f"HTTP {status}: {detail}")
