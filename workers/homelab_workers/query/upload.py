# SPDX-License-Identifier: Apache-2.0
"""`POST /v1/documents`: multipart parsed as it arrives, the file straight into the work folder, hashed on the way."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from uuid import UUID

from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request as HttpRequest

from ..contracts import (
    COLLECTION_PATTERN,
    IngestRequested,
    doc_id_for,
    message_id,
    raw_location,
    upload_source_id,
    version_for,
)
from ..errors import Rejected, Unavailable
from ..ports import Accepted, Catalog, EventBus, ObjectStore, Request
from .scratch import discard, new_file, open_file

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_FIELD_BYTES = 64 * 1024
MAX_NAME_BYTES = 1024
MAX_FIELDS = 16
STORING_AT_ONCE = 2
"""Each holds two connections of the pool: the content's lock and the document's."""


@dataclass(slots=True)
class Upload:
    """`path` is removed by whoever asked for it."""

    path: Path
    sha256: str
    size: int
    filename: str
    fields: dict[str, str]


@dataclass(slots=True)
class _Part:
    name: str = ""
    filename: str | None = None
    data: bytearray = field(default_factory=bytearray)


class _Receiver:
    """Callbacks of the multipart parser. Raises Rejected from within."""

    def __init__(self, target: IO[bytes], max_bytes: int) -> None:
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self.size = 0
        self.complete = False
        self.digest = hashlib.sha256()
        self._target = target
        self._max_bytes = max_bytes
        self._part = _Part()
        self._header_name = bytearray()
        self._header_value = bytearray()

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self.part_begin,
            "on_header_field": self.header_field,
            "on_header_value": self.header_value,
            "on_header_end": self.header_end,
            "on_part_data": self.part_data,
            "on_part_end": self.part_end,
            "on_end": self.end,
        }

    def part_begin(self) -> None:
        self._part = _Part()

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def header_end(self) -> None:
        if bytes(self._header_name).lower() == b"content-disposition":
            _unused, options = parse_options_header(bytes(self._header_value))
            self._part.name = options.get(b"name", b"").decode("utf-8", "replace")
            if (filename := options.get(b"filename")) is not None:
                self._part.filename = filename.decode("utf-8", "replace")
        self._header_name.clear()
        self._header_value.clear()

    def part_data(self, data: bytes, start: int, end: int) -> None:
        piece = data[start:end]
        if self._part.name == "file":
            self.size += len(piece)
            if self.size > self._max_bytes:
                raise Rejected(
                    "too_large",
                    f"the file has more than {self._max_bytes} bytes.",
                    "split it, or raise MAX_UPLOAD_MIB of the query service",
                )
            self.digest.update(piece)
            self._target.write(piece)
        else:
            self._part.data += piece
            if len(self._part.data) > MAX_FIELD_BYTES:
                raise Rejected(
                    "field_too_large",
                    f"field {self._part.name!r} has more than {MAX_FIELD_BYTES} bytes.",
                    "shorten it; the file goes into the field named file",
                )

    def part_end(self) -> None:
        if self._part.name == "file":
            if self.filename is not None:
                raise Rejected("two_files", "the form holds two fields named file.", "send one file per request")
            self.filename = self._part.filename or ""
        elif len(self.fields) >= MAX_FIELDS:
            raise Rejected("too_many_fields", f"the form has more than {MAX_FIELDS} fields.", "send fewer")
        else:
            self.fields[self._part.name] = self._part.data.decode("utf-8", "replace")

    def end(self) -> None:
        self.complete = True


async def receive(request: HttpRequest, *, work_dir: Path, max_bytes: int) -> Upload:
    """The form's file in a temporary file under `work_dir`. Raises Rejected; leaves nothing behind then."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise Rejected(
            "not_multipart",
            f"the content type is {request.headers.get('content-type')!r}.",
            "send multipart/form-data with the document in the field named file",
        )
    path = new_file(work_dir, "upload-")
    try:
        with open_file(path) as target:
            receiver = _Receiver(target, max_bytes)
            parser = MultipartParser(options[b"boundary"], receiver.callbacks())
            await _feed(parser, request.stream())
        if not receiver.complete:
            raise Rejected("malformed_form", "the multipart form breaks off.", "send the whole form")
        if receiver.filename is None:
            raise Rejected("no_file", "the form has no field named file.", "send the document in the field named file")
    except BaseException:
        discard(path)
        raise
    return Upload(path, receiver.digest.hexdigest(), receiver.size, receiver.filename, receiver.fields)


async def _feed(parser: MultipartParser, pieces: AsyncIterator[bytes]) -> None:
    try:
        async for piece in pieces:
            parser.write(piece)
        parser.finalize()
    except ValueError as error:  # MultipartParseError is one
        raise Rejected("malformed_form", f"the multipart form cannot be read: {error}.", "send it again") from error


@dataclass(frozen=True, slots=True)
class Receipt:
    accepted: Accepted
    status: str
    """received | unchanged | in_progress"""
    collection: str
    source_id: str
    name: str
    size: int
    degraded: list[str]


class Intake:
    """Stores the bytes once per content, accepts the request in the catalog, tells the pipeline."""

    def __init__(self, catalog: Catalog, objects: ObjectStore, bus: EventBus, fingerprint: str) -> None:
        self._catalog = catalog
        self._objects = objects
        self._bus = bus
        self._fingerprint = fingerprint
        self._storing = asyncio.Semaphore(STORING_AT_ONCE)

    async def take(self, upload: Upload) -> Receipt:
        """Raises Rejected for fields outside the rules, Unavailable when bytes or catalog cannot be written."""
        wanted = _wanted(upload, self._fingerprint)
        doc_id = doc_id_for(wanted.source_id)
        await self._catalog.ensure_collection(wanted.collection)
        async with self._storing, self._catalog.content_lock(upload.sha256):
            # Under the lock: a deletion of the last other document with these bytes must not come in between.
            location = raw_location(upload.sha256)
            if not await self._objects.exists(location):
                await self._objects.upload(upload.path, location)
            async with self._catalog.unit(doc_id) as unit:
                accepted = await unit.accept(wanted)
        degraded: list[str] = []
        status = "unchanged" if accepted.unchanged else "received" if accepted.state == "received" else "in_progress"
        if status == "received":
            degraded = await self._publish(wanted, doc_id, accepted)
        return Receipt(
            accepted,
            status,
            wanted.collection,
            wanted.source_id,
            str(wanted.metadata["name"]),
            upload.size,
            degraded,
        )

    async def _publish(self, wanted: Request, doc_id: UUID, accepted: Accepted) -> list[str]:
        event = IngestRequested(
            source_uri=wanted.source_uri,
            metadata={**wanted.metadata, "source_id": wanted.source_id, "collection": wanted.collection},
            content_sha256=wanted.content_sha256,
            doc_id=doc_id,
            version=accepted.version,
            wanted_seq=accepted.wanted_seq,
        )
        try:
            await self._bus.publish(event, msg_id=message_id(event.subject, doc_id, accepted.wanted_seq))
        except Unavailable as error:
            # The catalog has it: the reconciler sends the event again.
            return [f"accepted, but it starts later: {error}"]
        return []


def _wanted(upload: Upload, fingerprint: str) -> Request:
    fields = upload.fields
    metadata = _metadata(fields.get("metadata", ""))
    collection = fields.get("collection") or str(metadata.pop("collection", "")) or "default"
    if not re.fullmatch(COLLECTION_PATTERN, collection):
        raise Rejected(
            "bad_collection",
            f"collection {collection!r} does not match {COLLECTION_PATTERN}.",
            "use letters, digits, dot, dash and underscore",
        )
    name = _checked_name(fields.get("name") or str(metadata.get("name") or "") or upload.filename, "name")
    source_id = fields.get("source_id") or str(metadata.pop("source_id", "")) or upload_source_id(collection, name)
    title, mime_type = metadata.get("title"), metadata.get("mime_type")
    return Request(
        source_id=_checked_name(source_id, "source_id"),
        source_uri=str(raw_location(upload.sha256)),
        content_sha256=upload.sha256,
        version=version_for(upload.sha256, fingerprint),
        collection=collection,
        title=str(title) if title else None,
        mime_type=str(mime_type) if mime_type else None,
        metadata={**metadata, "name": name},
    )


def _metadata(text: str) -> dict[str, Any]:
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Rejected("bad_metadata", f"metadata is not JSON: {error}.", "send a JSON object") from error
    if not isinstance(value, dict):
        raise Rejected("bad_metadata", f"metadata is a {type(value).__name__}.", "send a JSON object")
    if "\\u0000" in text or not _encodable(value):
        raise Rejected("bad_metadata", "metadata holds NUL or lone surrogates.", "remove them")
    return value


def _encodable(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _checked_name(name: str, what: str) -> str:
    if not name.strip():
        raise Rejected("no_name", f"{what} is empty.", f"give the file a name, or send the field {what}")
    if any(ord(c) < 0x20 or 0xD800 <= ord(c) <= 0xDFFF for c in name):
        raise Rejected("bad_name", f"{what} {name!r} holds control characters.", "rename it")
    if (size := len(name.encode())) > MAX_NAME_BYTES:
        raise Rejected("bad_name", f"{what} has {size} bytes of {MAX_NAME_BYTES}.", "shorten it")
    return name
