# SPDX-License-Identifier: Apache-2.0
"""Embeddings and chat from any OpenAI-compatible endpoint (ports.Embedder, ports.Chat); here LiteLLM."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Literal, NoReturn, Self

import httpx

from ..errors import AuthRefused, Rejected, TextRefused, Unavailable
from ..model_registry import EmbeddingModel
from ..ports import Message

TARGET = "models"

_REFUSED_INPUT = {400, 413, 422}
_TOO_LARGE = "too large to process"
"""llama.cpp answers 500 with these words to a text over its physical batch: the text's fault, not an outage."""

_AUTH = {401, 403}

MESSAGE_TOKENS = 16
"""Role markers of one message: ChatML takes 5, Llama 3 takes 6, Harmony and GLM less than 16."""
TEMPLATE_TOKENS = 64
"""What a chat template adds once: begin marker, a default system prompt, the assistant's opening."""


class _Client:
    """One connection pool to one endpoint, with the failure classes of the failure policy."""

    def __init__(
        self, base_url: str, api_key: str, *, read_timeout: float, transport: httpx.AsyncBaseTransport | None
    ) -> None:
        self._http = httpx.AsyncClient(
            base_url=_v1(base_url),
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=httpx.Timeout(read_timeout, connect=5.0),
            transport=transport,
            # The address is explicit; a proxy from the environment would see keys and break loopback.
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _post(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        """The response, if it is 2xx or says that the input is refused (400, 413, 422)."""
        try:
            response = await self._http.post(path, json=body)
        except httpx.HTTPError as error:
            raise Unavailable(TARGET, f"POST {path}: {type(error).__name__} {error}".rstrip()) from error
        if response.is_success or _refused(response):
            return response
        raise_for_status(response)


class OpenAIEmbedder(_Client):
    """`POST /embeddings` of the model alias `alias`, in requests of at most `batch` texts."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        model: EmbeddingModel,
        *,
        alias: str = "embed",
        batch: int = 32,
        timeout: float = 120.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`base_url` with or without `/v1`; `timeout` in seconds bounds one request."""
        super().__init__(base_url, api_key, read_timeout=timeout, transport=transport)
        self._registered = model
        self._alias = alias
        self._batch = batch
        self.model = model.name
        self.dimension = model.dimension

    async def embed(self, texts: Sequence[str], *, kind: Literal["document", "query"]) -> list[list[float]]:
        """One unit-length vector of `dimension` floats per text, in order.

        Raises TextRefused for the first text that the server refuses by itself, Unavailable for an
        outage and for an answer that breaks a rule (the message stays, the breaker opens),
        AuthRefused for 401 and 403.
        """
        prefix = self._registered.document_prefix if kind == "document" else self._registered.query_prefix
        inputs = [prefix + text for text in texts]
        vectors: list[list[float]] = []
        for start in range(0, len(inputs), self._batch):
            vectors += await self._bisect(inputs[start : start + self._batch], start)
        return vectors

    async def _bisect(self, inputs: Sequence[str], offset: int) -> list[list[float]]:
        """A refused request is halved until the text is found that is at fault."""
        response = await self._post("embeddings", self._body(inputs))
        if response.is_success:
            return _vectors(response, len(inputs), self._registered)
        if len(inputs) > 1:
            half = len(inputs) // 2
            return await self._bisect(inputs[:half], offset) + await self._bisect(inputs[half:], offset + half)
        # A wrong alias or model is a 400 as well: a text is only at fault where a harmless one passes.
        probe = await self._post("embeddings", self._body(["ok"]))
        if not probe.is_success:
            raise Unavailable(TARGET, f"model alias {self._alias!r} refuses every text: {_detail(probe)}")
        raise TextRefused(
            offset, f"text {offset} ({len(inputs[0])} characters) is refused by {self.model}: {_detail(response)}"
        )

    def _body(self, inputs: Sequence[str]) -> dict[str, Any]:
        return {"model": self._alias, "input": list(inputs), "encoding_format": "float"}


def _vectors(response: httpx.Response, count: int, model: EmbeddingModel) -> list[list[float]]:
    """Checked and scaled to length 1, ordered by `index`. Raises Unavailable naming the broken rule."""

    def broken(rule: str) -> Unavailable:
        return Unavailable(TARGET, f"embedding answer of {model.name} is unusable: {rule}")

    try:
        items = response.json()["data"]
        indexed = {item["index"]: [float(x) for x in item["embedding"]] for item in items}
    except (ValueError, KeyError, TypeError) as error:
        raise broken(f"not an OpenAI embedding list ({type(error).__name__}: {error})") from error
    if len(items) != count:
        raise broken(f"{len(items)} vectors for {count} texts")
    if set(indexed) != set(range(count)):
        raise broken(f"`index` must run from 0 to {count - 1} without repeats, got {sorted(map(str, indexed))[:8]}")
    return [_unit(indexed[index], model.dimension, broken) for index in range(count)]


def _unit(vector: list[float], dimension: int, broken: Any) -> list[float]:
    if len(vector) != dimension:
        raise broken(f"{len(vector)} dimensions instead of {dimension}; is another model served under this alias?")
    # A finite sum of squares also rules out values whose square overflows.
    length = math.sqrt(math.fsum(x * x for x in vector))
    if not math.isfinite(length):
        raise broken("a value is NaN or infinite")
    if length < 1e-9:
        raise broken("a vector is zero")
    return [x / length for x in vector]


class OpenAIChat(_Client):
    """`POST /chat/completions` of the model alias `alias`, streamed."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        model: str,
        *,
        alias: str = "chat",
        options: Mapping[str, Any] | None = None,
        timeout: float = 120.0,
        tokenize_url: str | None = None,
        tokenize_key: str = "",
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`model` is a label for people; `options` are sampling fields of the request over `temperature` 0.

        `timeout` in seconds bounds the wait for the next piece of an answer. `tokenize_url` is a
        llama.cpp server (root, without `/v1`) that serves the same model, for exact counts.
        """
        super().__init__(base_url, api_key, read_timeout=timeout, transport=transport)
        self.model = model
        self._alias = alias
        self._options = {"temperature": 0.0, **(options or {})}
        self._counter = (
            httpx.AsyncClient(
                base_url=tokenize_url.rstrip("/") + "/",
                headers={"Authorization": f"Bearer {tokenize_key}"},
                timeout=httpx.Timeout(10.0, connect=5.0),
                transport=transport,
                trust_env=False,
            )
            if tokenize_url
            else None
        )

    async def aclose(self) -> None:
        await super().aclose()
        if self._counter is not None:
            await self._counter.aclose()

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """Prompt tokens with the chat template: exact from llama.cpp, else `token_bound`."""
        if self._counter is None:
            return token_bound(messages)
        prompt = (await self._ask("apply-template", {"messages": _dumped(messages)}))["prompt"]
        # As llama.cpp's own chat route: template markers are special tokens, BOS comes where the model wants it.
        tokens = await self._ask("tokenize", {"content": prompt, "add_special": True, "parse_special": True})
        return len(tokens["tokens"])

    async def _ask(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        assert self._counter is not None
        try:
            response = await self._counter.post(path, json=body)
        except httpx.HTTPError as error:
            raise Unavailable(TARGET, f"POST {path}: {type(error).__name__} {error}".rstrip()) from error
        if not response.is_success:
            raise_for_status(response)
        answer: dict[str, Any] = response.json()
        return answer

    async def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncIterator[str]:
        """Pieces of the answer as they come.

        Raises Rejected('prompt_refused') when the server refuses the request, Unavailable for an
        outage or a stream that ends before its end marker, AuthRefused for 401 and 403.
        """
        body = {
            **self._options,
            "model": self._alias,
            "messages": _dumped(messages),
            "max_tokens": max_tokens,
            "stream": True,
        }
        try:
            async with self._http.stream("POST", "chat/completions", json=body) as response:
                if not response.is_success:
                    await response.aread()
                    if _refused(response):
                        raise Rejected(
                            "prompt_refused",
                            f"the chat model {self.model} refuses the prompt: {_detail(response)}",
                            "shorten the question or raise the context of the chat server",
                        )
                    raise_for_status(response)
                async for piece in _pieces(response):
                    yield piece
        except httpx.HTTPError as error:
            raise Unavailable(TARGET, f"POST chat/completions: {type(error).__name__} {error}".rstrip()) from error


async def _pieces(response: httpx.Response) -> AsyncIterator[str]:
    """Content of a server-sent event stream of chat completion chunks."""
    finished = False
    async for line in response.aiter_lines():
        field, _unused, data = line.partition(":")
        if field != "data":
            continue  # blank lines, comments (keep-alive) and other fields carry no text
        data = data.strip()
        if data == "[DONE]":
            return
        try:
            event = json.loads(data)
            if "error" in event:
                raise Unavailable(TARGET, f"the chat model failed within its answer: {str(event['error'])[:500]}")
            for choice in event.get("choices", []):
                finished = finished or choice.get("finish_reason") is not None
                if content := (choice.get("delta") or {}).get("content"):
                    yield content
        except (ValueError, TypeError, AttributeError) as error:
            raise Unavailable(TARGET, f"not a chat completion event: {data[:200]!r}") from error
    if not finished:
        raise Unavailable(TARGET, "the answer ended before its end marker")


def token_bound(messages: Sequence[Message]) -> int:
    """At least as many tokens as any byte-level or byte-fallback tokenizer makes of the prompt.

    Every such token covers at least one byte of UTF-8. Four bytes a token is usual for English
    prose, but digits, code and other scripts reach one, so a smaller divisor would be no bound.
    """
    content = sum(len(message.content.encode("utf-8", "replace")) for message in messages)
    return content + MESSAGE_TOKENS * len(messages) + TEMPLATE_TOKENS


def _refused(response: httpx.Response) -> bool:
    return response.status_code in _REFUSED_INPUT or (response.status_code == 500 and _TOO_LARGE in response.text)


def _dumped(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]


def _v1(base_url: str) -> str:
    url = base_url.rstrip("/")
    return f"{url}/" if url.endswith("/v1") else f"{url}/v1/"


def raise_for_status(response: httpx.Response) -> NoReturn:
    """AuthRefused for 401 and 403, else Unavailable; 429 is marked as a rate limit."""
    status, detail = response.status_code, _detail(response)
    if status in _AUTH:
        raise AuthRefused(TARGET, f"the key is refused: {detail}")
    raise Unavailable(TARGET, detail, retry_after=_retry_after(response), limited=status == 429)


def _detail(response: httpx.Response) -> str:
    """`HTTP 400 POST /v1/embeddings: message`, with at most 500 characters of the server's message."""
    try:
        error = response.json()["error"]
        message = error["message"] if isinstance(error, dict) else error
    except (ValueError, KeyError, TypeError):
        message = response.text
    return f"HTTP {response.status_code} {response.request.method} {response.request.url.path}: {str(message)[:500]}"


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds from a Retry-After header, which holds seconds or a date (RFC 9110, 10.2.3)."""
    value = response.headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (moment - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None
