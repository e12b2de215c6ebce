# SPDX-License-Identifier: Apache-2.0
"""Requests and responses in OpenAI's shapes, so that any OpenAI client is a client of ours.

Ours beside theirs: the `homelab` object, which says how an answer came about.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from ..errors import Rejected
from ..ports import Message
from .ports import Hit, Retrieval
from .service import Answer, Found
from .text import shortened

MODEL = "homelab-rag"
BEST_RRF: Mapping[Retrieval, float] = {"hybrid": 2 / 61, "vector": 1 / 61, "lexical": 1 / 61}
"""First in each leg that ran, with the whole question found; `score` is the share of it, 0..1."""
PREVIEW = 280


class RankingOptions(BaseModel):
    model_config = ConfigDict(extra="ignore")

    score_threshold: float = Field(default=0.0, ge=0.0, le=1.0)
    mode: Retrieval = "hybrid"
    """Ours: one leg alone, to compare or to look up an exact token."""


class SearchRequest(BaseModel):
    model_config = ConfigDict(extra="ignore")

    query: str | list[str]
    max_num_results: int = 10
    filters: dict[str, Any] | None = None
    ranking_options: RankingOptions = Field(default_factory=RankingOptions)

    def text(self) -> str:
        return self.query if isinstance(self.query, str) else "\n".join(self.query)


class TextPart(BaseModel):
    model_config = ConfigDict(extra="ignore")

    type: str
    text: str = ""


class ChatMessage(BaseModel):
    model_config = ConfigDict(extra="ignore")

    role: str
    content: str | list[TextPart] | None = None

    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if part.type == "text")
        return self.content or ""


class ChatRequest(BaseModel):
    model_config = ConfigDict(extra="ignore")

    model: str = MODEL
    messages: list[ChatMessage] = Field(min_length=1)
    stream: bool = False
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    collection: str | None = None
    metadata: dict[str, str] | None = None

    def where(self) -> str:
        return self.collection or (self.metadata or {}).get("collection") or "default"

    def question(self) -> tuple[str, list[Message]]:
        """The last user message, and what was said before it. A client's system messages are not ours to obey."""
        if self.messages[-1].role != "user":
            raise Rejected("no_question", f"the last message is from {self.messages[-1].role!r}.", "end with role user")
        roles: dict[str, Literal["user", "assistant"]] = {"user": "user", "assistant": "assistant"}
        history = [Message(roles[m.role], m.text()) for m in self.messages[:-1] if m.role in roles and m.text()]
        return self.messages[-1].text(), history


def flat_filters(filters: dict[str, Any] | None) -> list[dict[str, Any]]:
    """OpenAI's `eq`, alone or under `and`, as fragments of document metadata. Raises Rejected for the rest."""
    if filters is None:
        return []
    kind = filters.get("type")
    if kind == "and" and isinstance(filters.get("filters"), list):
        return [flat for part in filters["filters"] for flat in flat_filters(part if isinstance(part, dict) else {})]
    if kind == "eq" and isinstance(filters.get("key"), str) and "value" in filters:
        value = filters["value"]
        if isinstance(value, (str, int, float, bool)):
            return [{filters["key"]: value}]
    raise Rejected(
        "filter_not_supported",
        f"the filter of type {kind!r} is not supported.",
        'use {"type": "eq", "key": …, "value": …}, or several of them under {"type": "and", "filters": […]}',
    )


def score(hit: Hit, retrieval: Retrieval) -> float:
    return round(min(hit.rrf / BEST_RRF[retrieval], 1.0), 6)


def search_page(request: SearchRequest, found: Found) -> dict[str, Any]:
    threshold = request.ranking_options.score_threshold
    return {
        "object": "vector_store.search_results.page",
        "search_query": [request.text()],
        "data": [_search_hit(hit, found) for hit in found.hits if score(hit, found.retrieval) >= threshold],
        "has_more": False,
        "next_page": None,
        "homelab": {"retrieval": found.retrieval, "found": found.found, "degraded": found.degraded},
    }


def _search_hit(hit: Hit, found: Found) -> dict[str, Any]:
    attributes: Mapping[str, Any] = {
        **{key: value for key, value in hit.metadata.items() if isinstance(value, (str, int, float, bool))},
        "document_id": str(hit.document_id),
        "chunk_id": str(hit.chunk_id),
        "source_id": hit.source_id,
        "title": hit.title,
        "page": hit.page,
        "heading": hit.heading,
        "retrieval": found.retrieval,
        "rrf": hit.rrf,
        "cosine": hit.cosine,
        "text_rank": hit.text_rank,
        "coverage": hit.coverage,
    }
    return {
        "file_id": str(hit.document_id),
        "filename": hit.name,
        "score": score(hit, found.retrieval),
        "attributes": {key: value for key, value in attributes.items() if value is not None},
        "content": [{"type": "text", "text": hit.text}],
    }


def completion(completion_id: str, created: int, answer: Answer) -> dict[str, Any]:
    return {
        "id": completion_id,
        "object": "chat.completion",
        "created": created,
        "model": MODEL,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": answer.text},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ],
        "homelab": provenance(answer),
    }


def completion_chunk(
    completion_id: str, created: int, delta: dict[str, str], answer: Answer | None = None
) -> dict[str, Any]:
    """One event of the stream; the last one carries `answer`."""
    chunk: dict[str, Any] = {
        "id": completion_id,
        "object": "chat.completion.chunk",
        "created": created,
        "model": MODEL,
        "choices": [{"index": 0, "delta": delta, "finish_reason": None if answer is None else "stop"}],
    }
    if answer is not None:
        chunk["homelab"] = provenance(answer)
    return chunk


def provenance(answer: Answer) -> dict[str, Any]:
    """`sources` is what the model was given; `citations` is what the answer names, each checked.

    `attributed` is true where only the words of the passage, not the model, put its number there.
    """
    return {
        "retrieval": answer.retrieval,
        "graph": answer.graph,
        "synthesis": answer.synthesis,
        "found": answer.found,
        "degraded": answer.degraded,
        "model": answer.model,
        "citations": [
            {
                **_place(c.n, c.passage.hit),
                "quote": c.quote,
                "supported": c.supported,
                "attributed": c.attributed,
            }
            for c in answer.citations
        ],
        "sources": [
            {
                **_place(p.n, p.hit),
                "headings": context.headings if (context := answer.context.get(p.hit.chunk_id)) else [],
                "neighbours": [str(n) for n in context.neighbours] if context else [],
                "score": score(p.hit, answer.retrieval),
                "preview": shortened(p.hit.text, PREVIEW),
            }
            for p in answer.passages
        ],
    }


def _place(n: int, hit: Hit) -> dict[str, Any]:
    chunk_id: UUID = hit.chunk_id
    return {
        "n": n,
        "document_id": str(hit.document_id),
        "file": hit.name,
        "title": hit.title,
        "page": hit.page,
        "heading": hit.heading,
        "chunk_id": str(chunk_id),
    }


def error_body(message: str, *, kind: str = "invalid_request_error", code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
