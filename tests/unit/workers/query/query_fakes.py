# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports with scripted answers, for exact results and for faults that a real server does not have on demand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Literal
from uuid import UUID, uuid5

from homelab_workers.contracts import DOC_NAMESPACE
from homelab_workers.ports import Message
from homelab_workers.query.ports import Hit


def hit(text: str, *, n: int = 0, page: int | None = 3, cosine: float | None = 0.8, coverage: float = 0.0) -> Hit:
    doc_id = uuid5(DOC_NAMESPACE, "hand")
    return Hit(
        chunk_id=uuid5(doc_id, str(n)),
        document_id=doc_id,
        version="0" * 16,
        index=n,
        name="handbook.pdf",
        title="Handbook",
        source_id="upload:default/handbook.pdf",
        metadata={"name": "handbook.pdf"},
        page=page,
        heading="Power",
        text=text,
        rrf=2 / 61,
        cosine=cosine,
        coverage=coverage,
    )


class Index:
    def __init__(self, hits: Sequence[Hit]) -> None:
        self.hits = list(hits)
        self.asked: list[dict[str, Any]] = []

    async def search(
        self,
        collection: str,
        *,
        text: str | None,
        vector: Sequence[float] | None,
        limit: int,
        per_document: int,
        filters: Sequence[Mapping[str, Any]] = (),
    ) -> list[Hit]:
        self.asked.append({"collection": collection, "text": text, "vector": vector, "limit": limit})
        return self.hits[:limit]

    async def collections(self) -> list[str]:
        return ["default"]


class Embedder:
    model = "scripted"
    dimension = 3

    def __init__(self, error: Exception | None = None, *, hangs: bool = False) -> None:
        self.error = error
        self.hangs = hangs
        self.texts: list[str] = []

    async def embed(self, texts: Sequence[str], *, kind: Literal["document", "query"]) -> list[list[float]]:
        self.texts += texts
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        return [[1.0, 0.0, 0.0] for _unused in texts]


class Chat:
    """One token a word. Says `pieces`, then raises or hangs."""

    model = "scripted-chat"

    def __init__(self, *pieces: str, error: Exception | None = None, hangs: bool = False) -> None:
        self.pieces = pieces
        self.error = error
        self.hangs = hangs
        self.prompts: list[list[Message]] = []
        self.max_tokens: list[int] = []
        self.closed = False

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content.split()) for message in messages)

    async def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncIterator[str]:
        self.prompts.append(list(messages))
        self.max_tokens.append(max_tokens)
        try:
            for piece in self.pieces:
                yield piece
            if self.error is not None:
                raise self.error
            if self.hangs:
                await asyncio.Event().wait()
        finally:
            self.closed = True


class Graph:
    def __init__(self, error: Exception | None = None, rows: Sequence[Mapping[str, str]] = ()) -> None:
        self.error = error
        self.rows = rows
        self.asked: list[str] = []

    async def read(self, sparql: str, *, accept: str, seconds: float, max_bytes: int) -> bytes:
        self.asked.append(sparql)
        if self.error is not None:
            raise self.error
        bindings = [{name: {"type": "literal", "value": value} for name, value in row.items()} for row in self.rows]
        return json.dumps({"head": {"vars": []}, "results": {"bindings": bindings}}).encode()


def titled(chunk: UUID, title: str) -> dict[str, str]:
    return {"chunk": f"urn:homelab:chunk:{chunk}", "title": title}
