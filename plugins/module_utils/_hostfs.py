# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""What the fact modules see of a machine: its files below a root, its commands, and notes on what was not to be had."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.homelab.ai.plugins.module_utils._tool import run_tool

MAX_BYTES = 4 << 20  # /proc/cpuinfo of 256 threads is below 500 KiB
COMMAND_TIMEOUT = 30.0  # seconds; nvidia-smi without persistence mode takes some for each GPU
SEARCH_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/lib/wsl/lib")


@dataclass
class Notes:
    """Why facts are missing or doubtful: `reasons` holds all, `warnings` those that something broken caused."""

    reasons: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def reason(self, text: str) -> None:
        if text not in self.reasons:
            self.reasons.append(text)

    def warn(self, text: str) -> None:
        self.reason(text)
        if text not in self.warnings:
            self.warnings.append(text)


@dataclass
class Output:
    """How a command ended. `problem` says in words why `stdout` is not to be trusted."""

    rc: int = 0
    stdout: str = ""
    stderr: str = ""
    problem: str | None = None


class Host:
    """The machine below `root`. Files that are missing or cannot be read are None, directories empty."""

    def __init__(self, root: str = "/", machine: str | None = None) -> None:
        self.root = root
        self.machine = machine or os.uname().machine

    def _path(self, path: str) -> Path:
        return Path(self.root, path.lstrip("/"))

    def text(self, path: str) -> str | None:
        """The file as text, without surrounding white space and NULs, which end device tree strings."""
        try:
            with self._path(path).open("rb") as file:
                return file.read(MAX_BYTES).decode("utf-8", "replace").strip("\0 \t\r\n")
        except (OSError, ValueError):  # ValueError: a NUL in a path that came out of a file
            return None

    def number(self, path: str) -> int | None:
        """The file as a decimal number, or None."""
        text = self.text(path)
        return int(text) if text and re.fullmatch(r"-?[0-9]{1,25}", text) else None

    def names(self, path: str, pattern: str) -> list[str]:
        """Names in a directory that match `pattern` whole, in numeric order."""
        try:
            found = [
                name for name in (entry.name for entry in self._path(path).iterdir()) if re.fullmatch(pattern, name)
            ]
        except (OSError, ValueError):
            return []
        return sorted(found, key=lambda name: ([int(number) for number in re.findall(r"\d+", name)], name))

    def exists(self, path: str) -> bool:
        try:
            return self._path(path).exists()
        except (OSError, ValueError):
            return False

    def run(self, argv: list[str]) -> Output | None:
        """Run a command without input and with English messages, or return None where it is not installed."""
        places = os.environ.get("PATH", "").split(os.pathsep) + list(SEARCH_PATH)
        program = shutil.which(argv[0], path=os.pathsep.join(place for place in places if place))
        if program is None:
            return None
        done = run_tool([program, *argv[1:]], COMMAND_TIMEOUT)
        if done.code is None:
            return Output(rc=-1, problem=f"{program} did not answer within {COMMAND_TIMEOUT:.0f} s")
        if not done.started:
            return Output(rc=-1, problem=done.err)
        return Output(done.code, done.out, done.err)
