# SPDX-License-Identifier: Apache-2.0
"""Zip containers (DOCX, PPTX, XLSX) are checked before anybody unpacks them.

Docling's office backends set no cap of their own on what they unpack.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from ...errors import Rejected

MAX_RATIO = 100
MAX_TOTAL_BYTES = 512 * 1024 * 1024
MAX_MEMBERS = 10_000
_RATIO_APPLIES_FROM = 1024 * 1024
"""A repetitive part of some 100 KiB may well compress 200:1; it harms nobody."""
_END_RECORD = b"PK\x05\x06"
_END_RECORD_BYTES = 22
_MAX_COMMENT = 65_535
_READ_BYTES = 64 * 1024


def check_archive(source: Path, name: str) -> list[str]:
    """Member names. Raises Rejected: `truncated`, `encrypted` or `bomb`."""
    _check_directory(source, name)
    try:
        with zipfile.ZipFile(source) as archive:
            members = archive.infolist()
            _check_members(members, name)
            _check_content(archive, members, name)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, ValueError) as error:
        raise _truncated(name, str(error)) from error
    return [member.filename for member in members]


def _check_directory(source: Path, name: str) -> None:
    """Reads the counts from the end record: zipfile would build an object for every member first."""
    with source.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _END_RECORD_BYTES - _MAX_COMMENT))
        tail = file.read()
    position = tail.rfind(_END_RECORD)
    if position < 0 or len(tail) - position < _END_RECORD_BYTES:
        raise _truncated(name, "its directory at the end of the file is missing")
    count, directory_bytes = struct.unpack_from("<HI", tail, position + 10)
    # 0xFFFF announces a Zip64 directory, which only an archive over our limits needs.
    if count > MAX_MEMBERS or directory_bytes > MAX_MEMBERS * 512:
        raise _bomb(
            name, f"it has {count} members in a directory of {directory_bytes} bytes, allowed are {MAX_MEMBERS}"
        )


def _check_members(members: list[zipfile.ZipInfo], name: str) -> None:
    if len(members) > MAX_MEMBERS:
        raise _bomb(name, f"it has {len(members)} members, allowed are {MAX_MEMBERS}")
    for member in members:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in member.filename:
            raise _bomb(name, f"its member {member.filename!r} points out of the archive")
        if member.flag_bits & 0x1:
            raise Rejected(
                "encrypted",
                f"{name}: its member {member.filename!r} is encrypted, and no password is known.",
                "save the document without a password and ingest it again",
            )
        if member.file_size > _RATIO_APPLIES_FROM and member.file_size > MAX_RATIO * max(1, member.compress_size):
            raise _bomb(
                name,
                f"its member {member.filename!r} unpacks from {member.compress_size} to {member.file_size} bytes, "
                f"allowed is {MAX_RATIO}:1",
            )
    total = sum(member.file_size for member in members)
    if total > MAX_TOTAL_BYTES:
        raise _bomb(name, f"it unpacks to {total} bytes, allowed are {MAX_TOTAL_BYTES}")
    if len({member.header_offset for member in members}) != len(members):
        raise _bomb(name, "its members overlap")


def _check_content(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], name: str) -> None:
    """The sizes above are the archive's own words; zipfile stops at them, and the checksum tells a cut member."""
    for member in members:
        with archive.open(member) as file:
            while file.read(_READ_BYTES):
                pass


def _truncated(name: str, detail: str) -> Rejected:
    return Rejected(
        "truncated",
        f"{name}: the archive is truncated or damaged: {detail}.",
        "copy the file again from its origin, or open and save it in its own program",
    )


def _bomb(name: str, detail: str) -> Rejected:
    return Rejected(
        "bomb",
        f"{name}: refused before unpacking: {detail}.",
        "open the document in its own program, save it under a new name and ingest that; split it if it is this large",
    )
