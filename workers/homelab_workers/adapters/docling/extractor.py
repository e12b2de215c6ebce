# SPDX-License-Identifier: Apache-2.0
"""ports.Extractor by Docling, in a child process that is replaced now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from ...contracts import Structure
from ...errors import Crashed, Rejected
from ...ports import Extraction, ExtractLimits
from . import seccomp
from .engine import engine
from .process import Child
from .protocol import FILES, Job

_ENTRY = ("-m", "homelab_workers.adapters.docling.child")


class DoclingExtractor:
    """Converts one document at a time; concurrent calls wait for each other.

    The child is replaced after `documents_per_child` documents, or when its resident memory after a
    document is over `recycle_rss_mib` (parsers and allocators do not give everything back).
    """

    def __init__(
        self,
        work_dir: Path,
        *,
        documents_per_child: int = 200,
        recycle_rss_mib: int = 512,
        entry: Sequence[str] = _ENTRY,
    ) -> None:
        """Raises seccomp.UnsupportedArchitecture: without the filter nothing is parsed."""
        seccomp.architecture()
        self.engine = engine()
        self._work_dir = work_dir.absolute()
        self._documents_per_child = documents_per_child
        self._recycle_rss_mib = recycle_rss_mib
        self._entry = entry
        self._child: Child | None = None
        self._lock = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """Of the child that waits for the next document."""
        return self._child.pid if self._child is not None else None

    async def start(self) -> None:
        """Starts the child ahead of the first document, which is otherwise some seconds slower."""
        async with self._lock:
            await self._ready()

    async def extract(
        self, source: Path, *, name: str, mime_type: str | None, folder: Path, limits: ExtractLimits
    ) -> Extraction:
        """Writes document.json, text.md and structure.json into `folder`.

        Raises Rejected (`encrypted`, `truncated`, `damaged`, `bomb`, `unsupported_type`, `too_large`,
        `too_many_pages`), Crashed (`out_of_memory`, `timeout`, `killed`), Unavailable (no child starts).
        """
        job = _job(source, name, mime_type, folder, limits)
        async with self._lock:
            await self._run(job, limits.max_seconds)
        return await asyncio.to_thread(_read_back, name, folder)

    async def _run(self, job: Job, max_seconds: float) -> None:
        child = await self._ready()
        self._child = None  # whatever happens to it below, only a good one is kept
        reply = await child.run(job, max_seconds=max_seconds)
        if child.documents >= self._documents_per_child or child.rss_mib() > self._recycle_rss_mib:
            await child.end()
        else:
            self._child = child
        if reply.outcome == "rejected":
            raise Rejected(reply.code, reply.message, reply.fix)

    async def _ready(self) -> Child:
        if self._child is None:
            self._child = await Child.start(self._work_dir, self._entry)
        return self._child

    async def close(self) -> None:
        """Ends the child; waits for a document that is being converted."""
        async with self._lock:
            if self._child is not None:
                await self._child.end()
                self._child = None


def _job(source: Path, name: str, mime_type: str | None, folder: Path, limits: ExtractLimits) -> Job:
    """Absolute paths: the child works in a folder of its own."""
    return Job(
        source=str(source.absolute()),
        name=name,
        mime_type=mime_type,
        folder=str(folder.absolute()),
        max_bytes=limits.max_bytes,
        max_pages=limits.max_pages,
        max_rss_mib=limits.max_rss_mib,
        page_slice=limits.page_slice,
    )


def _read_back(name: str, folder: Path) -> Extraction:
    """The child parsed a stranger's bytes: only regular files of the known names are taken from it."""
    files = {file: folder / file for file in FILES}
    for file, path in files.items():
        if path.is_symlink() or not path.is_file():
            raise Crashed("killed", f"{name}: the parsing process left no {file}")
    structure = Structure.model_validate_json(files["structure.json"].read_bytes())
    return Extraction(structure=structure, files=files)
