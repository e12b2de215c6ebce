# SPDX-License-Identifier: Apache-2.0
"""The read side that only the query service needs; adapters in search_postgres and sparql_read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol
from uuid import UUID

from ..contracts import State

Retrieval = Literal["hybrid", "vector", "lexical"]


@dataclass(frozen=True, slots=True)
class Hit:
    """One served chunk. `cosine` is None where the vector leg did not run or find it, likewise `text_rank`.

    `coverage` (0..1) is the share of the question's lexemes, weighted by their rarity in the collection,
    that the chunk holds. `rrf` is 1/(60 + rank) of the vector leg plus coverage/(60 + rank) of the lexical one.
    """

    chunk_id: UUID
    document_id: UUID
    version: str
    index: int
    name: str
    title: str | None
    source_id: str
    metadata: Mapping[str, Any]
    page: int | None
    heading: str
    text: str
    rrf: float
    cosine: float | None = None
    text_rank: float | None = None
    coverage: float = 0.0


class SearchIndex(Protocol):
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
        """Best first. Without `text` the vector leg alone, without `vector` the lexical leg alone.

        `filters`: each must be contained in the document's metadata. Raises Unavailable("postgres").
        """

    async def collections(self) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class VersionStatus:
    version: str
    state: State
    wanted_seq: int
    source_uri: str
    content_sha256: str
    pages: int | None
    attempts: int
    chunks_total: int | None
    chunks_pending: int | None
    warnings: list[dict[str, Any]]
    error: dict[str, Any] | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class DocumentStatus:
    """`versions` newest wanted first; never empty (a document whose last version is gone is not reported)."""

    id: UUID
    source_id: str
    collection: str
    name: str
    title: str | None
    mime_type: str | None
    metadata: dict[str, Any]
    created_at: datetime
    active_version: str | None
    versions: list[VersionStatus] = field(default_factory=list)

    @property
    def state(self) -> State:
        return self.versions[0].state

    @property
    def active(self) -> VersionStatus | None:
        return next((v for v in self.versions if v.version == self.active_version), None)


class Documents(Protocol):
    async def get(self, doc_id: UUID) -> DocumentStatus | None: ...

    async def list(self, collection: str | None, *, limit: int, after: UUID | None) -> list[DocumentStatus]:
        """Newest first."""


class GraphReader(Protocol):
    """A triple store, read only. The caller has checked the query (query/sparql.py)."""

    async def read(self, sparql: str, *, accept: str, seconds: float, max_bytes: int) -> bytes:
        """Raises Rejected for what the store refuses or a result over `max_bytes`, Unavailable("graph") otherwise."""
