# SPDX-License-Identifier: Apache-2.0
"""Which files an `ingest` means, and how they are called."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .exits import USAGE, CliError


@dataclass(frozen=True, slots=True)
class Source:
    path: Path
    name: str
    """`<base name of the argument>/<relative path>`, the base name alone for a file."""
    size: int


def sources(paths: Sequence[str], renamed: str | None) -> list[Source]:
    """Files and, below folders, all files that are not hidden, sorted. Raises CliError for what is not there."""
    if renamed is not None and len(paths) != 1:
        raise CliError("--as names one PATH", fix="run one ingest per PATH", code=USAGE)
    found: dict[str, Source] = {}
    for argument in paths:
        root = Path(argument)
        base = renamed or root.resolve().name
        for path, name in _files(root, base):
            if name in found:
                raise CliError(
                    f"{found[name].path} and {path} would both be called {name!r}",
                    fix="ingest them one by one with --as NAME",
                    code=USAGE,
                )
            found[name] = Source(path, name, path.stat().st_size)
    return list(found.values())


def _files(root: Path, base: str) -> Iterator[tuple[Path, str]]:
    if root.is_file():
        yield root, base
        return
    if not root.is_dir():
        raise CliError(f"{root}: there is no such file or folder", fix="check the path", code=USAGE)
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for file in sorted(files):
            path = Path(folder) / file
            if not file.startswith(".") and path.is_file():
                yield path, f"{base}/{path.relative_to(root).as_posix()}"
