# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""The header of a GGUF file: metadata and tensor sizes, without the weights.

Format: docs/gguf.md of ggml-org/ggml. Block sizes: GGML_QUANT_SIZES of llama.cpp's gguf-py.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

MAGIC = b"GGUF"
VERSIONS = (2, 3)
# A header that claims more is damaged or hostile; the largest known vocabularies have about 260,000 tokens.
MOST_ITEMS = 4_000_000
MOST_BYTES = 64 * 1024 * 1024
MOST_DIMENSIONS = 4

# Value type -> struct format. 8 is a string, 9 an array.
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9

# Tensor type -> name, elements in a block, bytes of a block.
TYPES: dict[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}

_PART = re.compile(r"(?P<stem>.+)-(?P<part>[0-9]{5})-of-(?P<parts>[0-9]{5})\.gguf", re.ASCII)


class GgufError(ValueError):
    """A file has no GGUF header that can be read; the message names the file and the fault."""


@dataclass(frozen=True)
class Header:
    """What a GGUF file says of itself."""

    metadata: dict[str, Any]  # arrays of strings are their length: vocabularies are long, and nobody here reads them
    tensors: dict[str, tuple[int, int]]  # elements and bytes, by name
    types: dict[str, int]  # bytes by tensor type

    @property
    def weights_bytes(self) -> int:
        return sum(size for _unused, size in self.tensors.values())

    @property
    def parameters(self) -> int:
        return sum(elements for elements, _unused in self.tensors.values())


def read_header(path: Path) -> Header:
    """Metadata and tensor list of a model, whose weights may be in several files (llama.cpp's gguf-split).

    Raises GgufError, also where a file cannot be opened.
    """
    first = _read_one(path)
    count = first.metadata.get("split.count", 0)
    if count in (0, 1):
        return first
    name = _PART.fullmatch(path.name)
    if name is None or int(name["part"]) != 1 or int(name["parts"]) != count:
        raise GgufError(f"{path}: one of {count} parts of a model, give the first one under its own name")
    tensors, types = dict(first.tensors), dict(first.types)
    for part in range(2, count + 1):
        more = _read_one(path.with_name(f"{name['stem']}-{part:05}-of-{count:05}.gguf"))
        tensors |= more.tensors
        for label, size in more.types.items():
            types[label] = types.get(label, 0) + size
    expected = first.metadata.get("split.tensors.count", len(tensors))
    if expected != len(tensors):
        raise GgufError(f"{path}: its {count} parts have {len(tensors)} tensors of {expected}, give all of them")
    return Header(first.metadata, tensors, types)


def _read_one(path: Path) -> Header:
    try:
        with path.open("rb") as file:
            return _Reader(path, file).header()
    except OSError as error:
        raise GgufError(f"{path}: {error.strerror or error}") from error


class _Reader:
    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.file = file

    def fail(self, fault: str) -> GgufError:
        return GgufError(f"{self.path}: {fault}; give a complete GGUF file of version 2 or 3, little-endian")

    def header(self) -> Header:
        if self.take(4) != MAGIC:
            raise self.fail("does not begin with GGUF")
        version = self.number("I")
        if version not in VERSIONS:
            raise self.fail(f"version {version} is unknown")
        tensors, pairs = self.count(), self.count()
        metadata: dict[str, Any] = {}
        for _unused in range(pairs):
            key = self.text()
            metadata[key] = self.value(self.number("I"))
        sizes: dict[str, tuple[int, int]] = {}
        types: dict[str, int] = {}
        for _unused in range(tensors):
            name, elements, kind = self.tensor()
            label, block, size = TYPES[kind]
            if elements % block:
                raise self.fail(f"tensor {name} has {elements} elements, no multiple of {block} for {label}")
            sizes[name] = (elements, elements // block * size)
            types[label] = types.get(label, 0) + elements // block * size
        return Header(metadata, sizes, types)

    def tensor(self) -> tuple[str, int, int]:
        name = self.text()
        dimensions = self.number("I")
        if dimensions > MOST_DIMENSIONS:
            raise self.fail(f"tensor {name} has {dimensions} dimensions")
        elements = 1
        for _unused in range(dimensions):
            elements *= self.number("Q")
        kind = self.number("I")
        self.number("Q")  # offset
        if kind not in TYPES:
            raise self.fail(f"tensor {name} has the unknown type {kind}")
        return name, elements, kind

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY:
            return self.number(self.scalar(kind))
        items, length = self.number("I"), self.count()
        if items == _STRING:
            for _unused in range(length):
                self.text()
            return length
        layout = struct.Struct(f"<{length}{self.scalar(items)}")
        return list(layout.unpack(self.take(layout.size)))

    def scalar(self, kind: int) -> str:
        if kind not in _SCALARS:
            raise self.fail(f"a value has the unknown type {kind}")
        return _SCALARS[kind]

    def text(self) -> str:
        return self.take(self.number("Q")).decode("utf-8", "replace")

    def count(self) -> int:
        found: int = self.number("Q")
        if found > MOST_ITEMS:
            raise self.fail(f"announces {found} items")
        return found

    def number(self, layout: str) -> Any:
        code = struct.Struct(f"<{layout}")
        return code.unpack(self.take(code.size))[0]

    def take(self, size: int) -> bytes:
        if size > MOST_BYTES:
            raise self.fail(f"announces a value of {size} bytes")
        found = self.file.read(size)
        if len(found) < size:
            raise self.fail("ends within its header")
        return found
