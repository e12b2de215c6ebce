# SPDX-License-Identifier: Apache-2.0
"""Identity, events and stored records: the single source of what passes between the parts.

The prose is docs/contracts.md; JSON Schemas in workers/schemas are generated from here
(`python -m homelab_workers.schemas FOLDER`) and a test fails when they are stale.
Fields that the specification names keep their names.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

SCHEMA_VERSION = 1

DOC_NAMESPACE = uuid5(NAMESPACE_URL, "urn:homelab:doc")

Stage = Literal["extract", "chunk", "embed", "graph", "enrich", "delete", "reconcile"]
State = Literal[
    "received",
    "extracted",
    "chunked",
    "embedded",
    "graphed",
    "failed",
    "superseded",
    "deleting",
    "deleted",
    "raw_expired",
]

# ---------------------------------------------------------------- identity


def doc_id_for(source_id: str) -> UUID:
    """The document's id: the same owner's name for it always gives the same id."""
    return uuid5(DOC_NAMESPACE, source_id)


def version_for(content_sha256: str, fingerprint: str) -> str:
    """16 hex digits that change when the bytes or the pipeline's settings change."""
    return hashlib.sha256((content_sha256 + fingerprint).encode()).hexdigest()[:16]


def chunk_id_for(doc_id: UUID, version: str, index: int) -> UUID:
    return uuid5(doc_id, f"{version}:{index}")


def upload_source_id(collection: str, name: str) -> str:
    """`source_id` of what comes in through HTTP or the CLI; `name` is `<base name>/<relative path>`."""
    return f"upload:{collection}/{name}"


def graph_iri(doc_id: UUID) -> str:
    return f"urn:homelab:doc:{doc_id}"


class Pipeline(BaseModel):
    """The settings that decide what a version contains; equal settings give an equal fingerprint."""

    model_config = ConfigDict(frozen=True)

    engine: str
    chunk_size: int
    chunk_overlap: int
    embedding_model: str

    def fingerprint(self) -> str:
        canonical = json.dumps(self.model_dump(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


# ---------------------------------------------------------------- object locations

RAW_BUCKET = "raw-documents"
PROCESSED_BUCKET = "processed"
MODELS_BUCKET = "models"

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_MAX_SEGMENT_BYTES = 200


class Location(NamedTuple):
    """An object's place: `s3://<bucket>/<key>`, whatever store is behind."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @classmethod
    def parse(cls, uri: str) -> Location:
        """Raises ValueError naming the value and the rule that it breaks."""
        scheme, separator, rest = uri.partition("://")
        if not separator or scheme != "s3":
            raise ValueError(f"{uri!r}: only s3://<bucket>/<key> names an object")
        bucket, _unused, key = rest.partition("/")
        if not _BUCKET.fullmatch(bucket):
            raise ValueError(f"{uri!r}: {bucket!r} is not a bucket name")
        return cls(bucket, check_key(key))


def check_key(key: str) -> str:
    """The subset of keys that a directory and S3 both accept; raises ValueError."""
    if not key:
        raise ValueError("an object key may not be empty")
    if any(ord(c) < 0x20 or 0xD800 <= ord(c) <= 0xDFFF for c in key):
        raise ValueError(f"{key!r}: an object key may not hold control characters")
    for segment in key.split("/"):
        if segment in ("", ".", ".."):
            raise ValueError(f"{key!r}: an object key may not hold empty, '.' or '..' segments")
        if len(segment.encode()) > _MAX_SEGMENT_BYTES:
            raise ValueError(f"{key!r}: a segment of an object key has at most {_MAX_SEGMENT_BYTES} bytes")
    return key


def raw_location(content_sha256: str) -> Location:
    return Location(RAW_BUCKET, f"{content_sha256[:2]}/{content_sha256}")


def processed_location(doc_id: UUID, version: str, name: str) -> Location:
    return Location(PROCESSED_BUCKET, f"{doc_id}/{version}/{name}")


def _checked_uri(uri: str) -> str:
    Location.parse(uri)
    return uri


SourceUri = Annotated[str, AfterValidator(_checked_uri)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Version = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
COLLECTION_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
Collection = Annotated[str, Field(pattern=COLLECTION_PATTERN)]


# ---------------------------------------------------------------- what extraction yields


class Block(BaseModel):
    """One paragraph, list item, table or code block, in reading order; `page` counts from 1."""

    kind: Literal["text", "list_item", "table", "code", "caption", "formula"] = "text"
    text: str
    page: int | None = None


class Section(BaseModel):
    """Blocks under one heading. `path` holds the headings above and including this one."""

    heading: str = ""
    path: list[str] = Field(default_factory=list)
    page: int | None = None
    blocks: list[Block] = Field(default_factory=list)


class Warned(BaseModel):
    code: str
    message: str


class Structure(BaseModel):
    """`processed/<doc_id>/<version>/structure.json`: what chunk and graph read."""

    title: str | None = None
    mime_type: str
    engine: str
    pages: int | None = None
    sections: list[Section] = Field(default_factory=list)
    warnings: list[Warned] = Field(default_factory=list)


class StructureSummary(BaseModel):
    """The `structure` field of `doc.ingest.extracted`: counts only, the rest is in the store."""

    title: str | None = None
    pages: int | None = None
    sections: int = 0
    blocks: int = 0
    characters: int = 0


class Chunk(BaseModel):
    """One line of chunks.jsonl and one row of chunks_staged; `tokens` counts prefix and specials."""

    chunk_id: UUID
    index: int
    text: str
    heading: str = ""
    section: int
    page: int | None = None
    tokens: int


# ---------------------------------------------------------------- events


class Event(BaseModel):
    """Every payload. Unknown fields are ignored, an unknown major version is refused."""

    model_config = ConfigDict(extra="ignore")
    subject: ClassVar[str]

    schema_version: int = SCHEMA_VERSION

    @field_validator("schema_version")
    @classmethod
    def _known(cls, value: int) -> int:
        if value != SCHEMA_VERSION:
            raise ValueError(f"schema_version {value} is not supported, this release reads {SCHEMA_VERSION}")
        return value


class IngestRequested(Event):
    """`metadata` keys that are read: source_id, collection, title, mime_type, name.

    `doc_id`, `version` and `wanted_seq` are set together by whoever accepted the request in the
    catalog already (query, reconciler); events from outside leave them out.
    """

    subject: ClassVar[str] = "doc.ingest.requested"

    source_uri: SourceUri
    metadata: dict[str, Any] = Field(default_factory=dict)
    content_sha256: Sha256 | None = None
    doc_id: UUID | None = None
    version: Version | None = None
    wanted_seq: int | None = None


class VersionEvent(Event):
    """Everything behind the catalog's acceptance is about one version of one document."""

    doc_id: UUID
    version: Version
    wanted_seq: int


class Extracted(VersionEvent):
    subject: ClassVar[str] = "doc.ingest.extracted"

    garage_key: str
    structure: StructureSummary


class ChunkSpan(BaseModel):
    """A reference to `count` consecutive chunks from index `start`; ids follow from the index."""

    start: int = Field(ge=0)
    count: int = Field(ge=1)


class Chunked(VersionEvent):
    """`chunks` are spans, never text: 10,000 chunks stay far below the payload limit."""

    subject: ClassVar[str] = "doc.chunked"

    chunks: list[ChunkSpan]


class DocDeleted(Event):
    subject: ClassVar[str] = "doc.deleted"

    doc_id: UUID
    wanted_seq: int


class EmbedRequested(VersionEvent):
    """One span; `chunk_id` is its first chunk. The texts are in chunks_staged."""

    subject: ClassVar[str] = "embed.requested"

    chunk_id: UUID
    span: ChunkSpan


class EmbedCompleted(VersionEvent):
    """Once per version, when its last vector is stored; the vector itself stays in Postgres."""

    subject: ClassVar[str] = "embed.completed"

    chunk_id: UUID | None = None
    vector: list[float] | None = None
    model: str
    last: bool = True


class KgUpsertRequested(VersionEvent):
    subject: ClassVar[str] = "kg.upsert.requested"

    chunk_id: UUID
    entities: list[dict[str, Any]]
    relations: list[dict[str, Any]]


class KgUpsertCompleted(VersionEvent):
    subject: ClassVar[str] = "kg.upsert.completed"

    triples_count: int


class DeadLetter(Event):
    """On `dlq.<original subject>`: `original` is the payload as JSON, or base64 where it was not JSON."""

    subject: ClassVar[str] = "dlq"

    original_subject: str
    original: Any
    original_encoding: Literal["json", "base64"] = "json"
    headers: dict[str, str] = Field(default_factory=dict)
    reason: str
    message: str
    fix: str
    stage: str
    deliveries: int
    first_seen: datetime
    doc_id: UUID | None = None
    version: str | None = None


EVENTS: tuple[type[Event], ...] = (
    IngestRequested,
    Extracted,
    Chunked,
    DocDeleted,
    EmbedRequested,
    EmbedCompleted,
    KgUpsertRequested,
    KgUpsertCompleted,
    DeadLetter,
)


def message_id(subject: str, doc_id: UUID, wanted_seq: int, *, index: int | None = None, attempt: int = 0) -> str:
    """`Nats-Msg-Id`: equal for a repeat of the same step, different for the reconciler's re-issue."""
    middle = "" if index is None else f":{index}"
    return f"{subject}:{doc_id}:{wanted_seq}{middle}:{attempt}"
