# SPDX-License-Identifier: Apache-2.0
"""What the stages and the query service need from the world, as structural types.

`stages` and `query` import this module and `contracts`, never an adapter; `runtime` wires them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol
from uuid import UUID

from .contracts import Chunk, ChunkSpan, Event, Location, State, Structure

# ---------------------------------------------------------------- objects


class ObjectStore(Protocol):
    """Bytes by location. Missing objects raise FileNotFoundError, a store that does not answer Unavailable."""

    async def get(self, location: Location) -> bytes: ...

    async def download(self, location: Location, path: Path) -> str:
        """Streams into `path`; returns the content's sha256 as hex."""

    async def put(self, location: Location, data: bytes) -> None: ...

    async def upload(self, path: Path, location: Location) -> None: ...

    async def exists(self, location: Location) -> bool: ...

    async def delete(self, location: Location) -> None:
        """Deleting what is not there is fine."""

    def keys(self, bucket: str, prefix: str = "") -> AsyncIterator[str]: ...


# ---------------------------------------------------------------- bus


class EventBus(Protocol):
    async def publish(self, event: Event, *, msg_id: str | None, subject: str | None = None) -> None:
        """Returns when the stream has stored it; a full stream or a dead server raises Unavailable."""


# ---------------------------------------------------------------- extraction


@dataclass(frozen=True, slots=True)
class ExtractLimits:
    """Bounds of one conversion; breaking one is Rejected (input) or Crashed (the child died)."""

    max_bytes: int = 512 * 1024 * 1024
    max_pages: int = 5_000
    max_seconds: float = 1_800.0
    max_rss_mib: int = 1_024
    page_slice: int = 32


@dataclass(frozen=True, slots=True)
class Extraction:
    """Files that the extractor wrote into the given folder, and the structure read back from one of them."""

    structure: Structure
    files: dict[str, Path] = field(default_factory=dict)
    """Object name below the version's prefix (`document.json`, `text.md`, `structure.json`) -> file."""


class Extractor(Protocol):
    engine: str
    """Name and version; part of the pipeline's fingerprint."""

    async def extract(
        self, source: Path, *, name: str, mime_type: str | None, folder: Path, limits: ExtractLimits
    ) -> Extraction: ...

    async def close(self) -> None: ...


# ---------------------------------------------------------------- models


class Tokenizer(Protocol):
    def spans(self, text: str) -> list[tuple[int, int]]:
        """Character offsets of each token of `text`, without special tokens."""

    def count(self, text: str) -> int:
        """Tokens of `text` as the model sees it: prefix and special tokens included."""


class Embedder(Protocol):
    model: str
    dimension: int

    async def embed(self, texts: Sequence[str], *, kind: Literal["document", "query"]) -> list[list[float]]:
        """One unit-length vector per text, in order. Prefixes are the embedder's business.

        Raises TextRefused for the first text that the model refuses by itself.
        """


@dataclass(frozen=True, slots=True)
class Message:
    role: Literal["system", "user", "assistant"]
    content: str


class Chat(Protocol):
    model: str

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """Prompt tokens with the chat template; an upper bound where the server cannot count."""

    def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncIterator[str]: ...


# ---------------------------------------------------------------- graph


class GraphStore(Protocol):
    async def replace(self, graph: str, nquads: bytes) -> None:
        """The named graph holds exactly these triples afterwards."""

    async def drop(self, graph: str) -> None: ...


# ---------------------------------------------------------------- catalog


@dataclass(frozen=True, slots=True)
class Request:
    """Somebody wants these bytes under this name."""

    source_id: str
    source_uri: str
    content_sha256: str
    version: str
    collection: str = "default"
    title: str | None = None
    mime_type: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    request_id: str | None = None
    """The bus's own id of an event from outside: a redelivery is not a new request."""


@dataclass(frozen=True, slots=True)
class Accepted:
    doc_id: UUID
    version: str
    wanted_seq: int
    state: State
    unchanged: bool
    """True when this version is already the served one."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One version as a stage finds it. `current` is false when a newer request or a delete overtook it."""

    state: State
    attempts: int
    wanted_seq: int
    current: bool
    source_uri: str
    content_sha256: str
    collection: str
    title: str | None
    mime_type: str | None
    name: str
    chunks_total: int | None
    chunks_pending: int | None
    reissues: int
    active: bool


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A version that waits for its next stage, as the reconciler finds it."""

    doc_id: UUID
    version: str
    state: State
    wanted_seq: int
    source_uri: str
    content_sha256: str
    chunks_total: int | None
    updated_at: datetime


class CatalogUnit(Protocol):
    """One transaction on one document; every method checks the tombstone through `Progress.current`."""

    async def accept(self, request: Request) -> Accepted: ...

    async def begin(self, doc_id: UUID, version: str) -> Progress | None:
        """Counts an attempt. None when the catalog does not know the version."""

    async def progress(self, doc_id: UUID, version: str) -> Progress | None: ...

    async def extracted(self, doc_id: UUID, version: str, structure: Structure) -> None: ...

    async def stage_chunks(self, doc_id: UUID, version: str, chunks: Sequence[Chunk]) -> None: ...

    async def staged_texts(self, doc_id: UUID, version: str, span: ChunkSpan) -> list[tuple[UUID, str, str]]:
        """(chunk id, heading, text) of the staged rows of `span` that have no vector yet, by index."""

    async def store_vectors(self, doc_id: UUID, version: str) -> tuple[int, int]:
        """In a unit from `Catalog.staging`: (rows that changed from NULL, rows still pending)."""

    async def flip(self, doc_id: UUID, version: str, model: str) -> Literal["flipped", "superseded", "already"]: ...

    async def graphed(self, doc_id: UUID, version: str) -> None: ...

    async def request_delete(self, doc_id: UUID) -> int | None:
        """Sets the tombstone: the document is served no longer. Returns its wanted_seq, None when unknown.

        A repeat on a document that is still being deleted returns the same number.
        """

    async def superseded(self, doc_id: UUID, version: str) -> None: ...

    async def fail(self, doc_id: UUID, version: str, *, code: str, message: str, fix: str, stage: str) -> None: ...


class Catalog(Protocol):
    def unit(self, doc_id: UUID) -> AbstractAsyncContextManager[CatalogUnit]:
        """A transaction that holds the document's lock."""

    def staging(self, doc_id: UUID, vectors: dict[UUID, list[float]]) -> AbstractAsyncContextManager[CatalogUnit]:
        """A unit with the vectors copied to the server before the lock, for `store_vectors`."""

    def graph_lock(self, doc_id: UUID) -> AbstractAsyncContextManager[None]:
        """Serialises writers of one named graph; taken before any unit."""

    def content_lock(self, content_sha256: str) -> AbstractAsyncContextManager[None]:
        """Held while a raw object is written or its last reference removed."""

    async def ensure_collection(self, name: str) -> None: ...

    async def requested(self, request_id: str) -> tuple[UUID, str] | tuple[None, None]:
        """The version that an event from outside became, if it was accepted."""


class DeletionUnit(Protocol):
    async def condemned(self, doc_id: UUID) -> tuple[list[tuple[str, str]], bool]:
        """((version, content sha256) of each version at or below the tombstone, is another version served?)."""

    async def remove(self, doc_id: UUID, versions: Sequence[str]) -> None:
        """The rows of these versions; the document's row stays, so that `wanted_seq` only ever grows."""


class DeletionCatalog(Protocol):
    """What the delete stage needs: no other stage holds the right."""

    def unit(self, doc_id: UUID) -> AbstractAsyncContextManager[DeletionUnit]: ...

    def graph_lock(self, doc_id: UUID) -> AbstractAsyncContextManager[None]: ...

    def content_lock(self, content_sha256: str) -> AbstractAsyncContextManager[None]: ...

    async def content_in_use(self, content_sha256: str, *, apart_from: UUID) -> bool:
        """True while a version that is not condemned refers to these bytes."""
