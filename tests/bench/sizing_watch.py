# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory of a stack's components while the sizing bench runs, and of the memory cgroup (v1) that they live in."""

from __future__ import annotations

import threading
from collections import defaultdict
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.bench.footprint import memory

MIB = 1024 * 1024
SECONDS = 0.25
# Processes by the name that tuning gives their component. The extractor and its child share one limit.
COMPONENT = {
    "nats-server": "nats",
    "llama-embed": "embedder",
    "llama-chat": "chat",
    "extract child": "extract",
}


class Watch:
    """While the block runs: by component the MiB of the first sample, and the most MiB and processes of any."""

    def __init__(self, uid: int, cgroup: Path | None = None) -> None:
        self.samples = 0
        self.start: dict[str, float] = {}
        self.peak: dict[str, float] = defaultdict(float)
        self.processes: dict[str, int] = defaultdict(int)
        self.sum_mib = 0.0
        self.cgroup_mib = 0.0
        self._uid, self._cgroup = uid, cgroup
        self._ended = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()
        if self._failed is not None:
            raise self._failed

    def _run(self) -> None:
        try:
            self._sample()
            while not self._ended.wait(SECONDS):
                self._sample()
        except (OSError, SystemExit) as error:  # footprint ends where it may not read
            self._failed = error

    def _sample(self) -> None:
        now: dict[str, float] = defaultdict(float)
        processes: dict[str, int] = defaultdict(int)
        for name, entry in memory(self._uid).items():
            component = COMPONENT.get(name, name)
            now[component] += entry.pss / 1024
            processes[component] += entry.processes
        self.start = self.start or dict(now)
        for component, mib in now.items():
            self.peak[component] = max(self.peak[component], mib)
            self.processes[component] = max(self.processes[component], processes[component])
        self.sum_mib = max(self.sum_mib, sum(now.values()))
        if self._cgroup is not None:
            self.cgroup_mib = max(self.cgroup_mib, held_mib(self._cgroup))
        self.samples += 1


def held_mib(cgroup: Path) -> float:
    """What the kernel cannot take back at once: anonymous and mapped pages. Other page cache fills any limit."""
    pairs = (line.split() for line in (cgroup / "memory.stat").read_text(encoding="ascii").splitlines())
    stat = {name: int(value) for name, value in pairs}
    return (stat["total_rss"] + stat["total_mapped_file"]) / MIB


def number(cgroup: Path, name: str) -> int:
    return int((cgroup / f"memory.{name}").read_text(encoding="ascii"))
