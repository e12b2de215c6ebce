# SPDX-License-Identifier: Apache-2.0
"""What the HTTP application needs from whoever starts it (runtime, or a test)."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..ports import Catalog, Chat, Embedder, EventBus, ObjectStore, Tokenizer
from .auth import Keys
from .floor import Floor
from .ports import Documents, GraphReader, SearchIndex

Check = Callable[[], Awaitable[str | None]]
"""Returns None when well, else what is wrong (as runtime.health)."""


@dataclass(frozen=True, slots=True)
class QuerySettings:
    """Sizes in bytes or tokens, times in seconds."""

    work_dir: Path
    floor: Floor = field(default_factory=Floor)
    chat_context: int = 4096
    """Tokens of one slot of the chat server: prompt, passages and answer together (CHAT_CONTEXT)."""
    answer_tokens: int = 512
    passages: int = 8
    per_document: int = 3
    query_tokens: int = 256
    """What the embedding model reads of a question (its trained length, prefix and special tokens included)."""
    embed_seconds: float = 10.0
    graph_seconds: float = 1.0
    first_token_seconds: float = 120.0
    stall_seconds: float = 30.0
    sparql_seconds: float = 10.0
    sparql_max_bytes: int = 4 << 20
    max_upload_bytes: int = 512 << 20
    cors_origins: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Deps:
    settings: QuerySettings
    search: SearchIndex
    documents: Documents
    catalog: Catalog
    objects: ObjectStore
    bus: EventBus
    embedder: Embedder
    chat: Chat
    graph: GraphReader
    keys: Keys
    fingerprint: str
    """`Pipeline.fingerprint()` with the settings that extract, chunk and embed run with."""
    metrics: Callable[[], tuple[bytes, str]]
    """(body, content type) of /metrics."""
    tokenizer: Tokenizer | None = None
    """The embedding model's, to cut a long question; without it a question is cut by characters."""
    checks: Mapping[str, Check] = field(default_factory=dict)
    required_checks: frozenset[str] = frozenset({"postgres"})
    """Without these the service is not ready; the others only degrade its answers."""
    signing_key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    """Several replicas must share one (CONTENT_SIGNING_KEY); a random one ends its links with the process."""
