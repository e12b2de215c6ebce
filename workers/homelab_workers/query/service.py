# SPDX-License-Identifier: Apache-2.0
"""Search, graph context and answer over ports; the HTTP application is one way to it.

What fails is left out and named (`degraded`); only a catalog that does not answer fails the request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from ..errors import AuthRefused, Rejected, Unavailable
from ..ports import Chat, Embedder, Message, Tokenizer
from . import citations, prompt
from .attribution import Attribution
from .citations import Citation, Cleaner
from .deps import QuerySettings
from .graph import Context, context_of
from .ports import GraphReader, Hit, Retrieval, SearchIndex
from .text import clean, shortened

MAX_QUERY_BYTES = 8 * 1024
MAX_RESULTS = 50
CHARACTERS_A_TOKEN = 3
"""Without a tokenizer: English averages more than four, so this cuts a little early."""
PASSAGE_PREVIEW = 400


@dataclass(frozen=True, slots=True)
class Found:
    """`found` is false when even the best hit stays below the floor."""

    hits: list[Hit]
    retrieval: Retrieval
    found: bool
    degraded: list[str]


@dataclass(slots=True)
class Answer:
    """Filled while the text is streamed; complete behind the last piece."""

    retrieval: Retrieval
    found: bool
    model: str
    degraded: list[str]
    graph: bool = False
    synthesis: bool = False
    text: str = ""
    prompt_tokens: int = 0
    attributed: frozenset[int] = frozenset()
    """Numbers in `text` that the model did not write (query.attribution)."""
    citations: list[Citation] = field(default_factory=list)
    passages: list[prompt.Passage] = field(default_factory=list)
    context: Mapping[UUID, Context] = field(default_factory=dict)


class QueryService:
    def __init__(
        self,
        index: SearchIndex,
        embedder: Embedder,
        chat: Chat,
        graph: GraphReader,
        settings: QuerySettings,
        tokenizer: Tokenizer | None = None,
    ) -> None:
        self._index = index
        self._embedder = embedder
        self._chat = chat
        self._graph = graph
        self._settings = settings
        self._tokenizer = tokenizer

    async def search(
        self,
        collection: str,
        query: str,
        *,
        limit: int,
        filters: Sequence[Mapping[str, Any]] = (),
        mode: Retrieval = "hybrid",
    ) -> Found:
        """`mode` names the legs to run; without an embedding it is the lexical one, whatever was asked for.

        Raises Rejected for a query outside the bounds, or an unknown collection; Unavailable("postgres").
        """
        text = _checked(query)
        if not 1 <= limit <= MAX_RESULTS:
            raise Rejected(
                "too_many_results", f"{limit} results were asked for.", f"ask for 1 to {MAX_RESULTS} results"
            )
        degraded: list[str] = []
        vector = None if mode == "lexical" else await self._vector(text, degraded)
        retrieval: Retrieval = "lexical" if vector is None else mode
        hits = await self._index.search(
            collection,
            text=None if retrieval == "vector" else text,
            vector=vector,
            limit=limit,
            per_document=self._settings.per_document,
            filters=filters,
        )
        if not hits and collection not in (known := await self._index.collections()):
            raise Rejected(
                "unknown_collection",
                f"there is no collection {collection!r}.",
                f"use one of {', '.join(known)}, or ingest into it first",
            )
        return Found(hits, retrieval, self._settings.floor.reached(hits, vector=vector is not None), degraded)

    async def answer(
        self, collection: str, question: str, history: Sequence[Message] = (), *, max_tokens: int | None = None
    ) -> tuple[Answer, AsyncGenerator[str, None]]:
        """Searches at once; the text comes from the iterator, and `Answer` is complete at its end.

        Closing the iterator cancels the model's work.
        """
        found = await self.search(collection, question, limit=self._settings.passages)
        answer = Answer(found.retrieval, found.found, self._chat.model, found.degraded)
        if not found.found:
            return answer, _remembered(answer, _one(f"I found nothing about that in the collection {collection!r}."))
        answer.context = await self._context(found.hits, answer)
        answer.passages = [
            prompt.Passage(n, hit, _place(hit, answer.context.get(hit.chunk_id)), hit.text)
            for n, hit in enumerate(found.hits, 1)
        ]
        tokens = min(max_tokens or self._settings.answer_tokens, self._settings.answer_tokens)
        return answer, _remembered(answer, self._synthesis(answer, clean(question), history, tokens))

    async def _vector(self, text: str, degraded: list[str]) -> list[float] | None:
        try:
            async with asyncio.timeout(self._settings.embed_seconds):
                return (await self._embedder.embed([self._cut(text)], kind="query"))[0]
        except TimeoutError:
            degraded.append(f"lexical search only: no embedding within {self._settings.embed_seconds:g} s")
        except (Unavailable, AuthRefused, Rejected) as error:
            degraded.append(f"lexical search only: {error}")
        return None

    def _cut(self, text: str) -> str:
        """What the embedding model reads of a long question: its beginning."""
        limit = self._settings.query_tokens
        if self._tokenizer is None:
            return text[: limit * CHARACTERS_A_TOKEN]
        spans = self._tokenizer.spans(text)
        room = limit - self._tokenizer.count("")
        return text if len(spans) <= room else text[: spans[room - 1][1]]

    async def _context(self, hits: Sequence[Hit], answer: Answer) -> dict[UUID, Context]:
        try:
            context = await context_of(
                self._graph, [hit.chunk_id for hit in hits], seconds=self._settings.graph_seconds
            )
        except (Unavailable, Rejected, ValueError, KeyError) as error:
            answer.degraded.append(f"no graph context: {error}")
            return {}
        answer.graph = bool(context)
        if not context:
            answer.degraded.append("no graph context: the graph of these documents is not written yet")
        return context

    async def _synthesis(
        self, answer: Answer, question: str, history: Sequence[Message], max_tokens: int
    ) -> AsyncGenerator[str, None]:
        written = ""
        try:
            built = await prompt.build(
                self._chat,
                question,
                history,
                answer.passages,
                context_tokens=self._settings.chat_context,
                answer_tokens=max_tokens,
            )
            answer.passages, answer.prompt_tokens = built.passages, built.tokens
            cleaner = Cleaner(frozenset(passage.n for passage in built.passages))
            attribution = Attribution(built.passages, question)
            async with aclosing(self._patient(built.messages, max_tokens)) as pieces:
                async for piece in pieces:
                    if ready := attribution.feed(cleaner.feed(piece)):
                        written += ready
                        yield ready
            if rest := attribution.feed(cleaner.rest()) + attribution.rest():
                written += rest
                yield rest
            answer.attributed = attribution.added
            answer.synthesis = bool(written.strip())
            if not answer.synthesis:
                answer.degraded.append("no synthesis: the model wrote nothing")
        except (Unavailable, AuthRefused) as error:
            answer.degraded.append(f"no synthesis: {error}" if not written else f"the answer broke off: {error}")
        if not answer.synthesis:
            yield ("\n\n" if written else "") + _passages_only(answer.passages)

    async def _patient(self, messages: Sequence[Message], max_tokens: int) -> AsyncGenerator[str, None]:
        """The model's pieces; Unavailable when it stalls."""
        limit = self._settings.first_token_seconds
        stream = self._chat.stream(messages, max_tokens=max_tokens)
        try:
            while True:
                async with asyncio.timeout(limit):
                    piece = await anext(stream, None)
                if piece is None:
                    return
                yield piece
                limit = self._settings.stall_seconds
        except TimeoutError as error:
            raise Unavailable("models", f"the chat model wrote nothing for {limit:g} s") from error
        finally:
            if (close := getattr(stream, "aclose", None)) is not None:
                await close()


async def _remembered(answer: Answer, pieces: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    """Passes the text on and completes `answer` at its end."""
    async with aclosing(pieces):
        async for piece in pieces:
            answer.text += piece
            yield piece
    answer.citations = citations.check(answer.text, answer.passages, attributed=answer.attributed)


async def _one(text: str) -> AsyncGenerator[str, None]:
    yield text


def _checked(query: str) -> str:
    text = clean(query).strip()
    if not text:
        raise Rejected("empty_query", "the query is empty.", "write what you are looking for")
    if (size := len(text.encode())) > MAX_QUERY_BYTES:
        raise Rejected("query_too_large", f"the query has {size} bytes of {MAX_QUERY_BYTES}.", "shorten it")
    return text


def _place(hit: Hit, context: Context | None) -> str:
    """`handbook.pdf, page 3, Setup > Power`."""
    headings = context.headings if context is not None and context.headings else [hit.heading] if hit.heading else []
    parts = [hit.name]
    if hit.page is not None:
        parts.append(f"page {hit.page}")
    if headings:
        parts.append(" > ".join(headings))
    return ", ".join(parts)


def _passages_only(passages: Sequence[prompt.Passage]) -> str:
    lines = ["No language model answered. These passages are nearest to the question:"]
    known = frozenset(passage.n for passage in passages)
    lines += [
        citations.harmless(f"- {p.place}: {shortened(_unnumbered(p.text), PASSAGE_PREVIEW)} [{p.n}]", known)
        for p in passages
    ]
    return "\n".join(lines)


def _unnumbered(text: str) -> str:
    """A document's own [7] must not look like a citation of ours."""
    return text.replace("[", "(").replace("]", ")")
