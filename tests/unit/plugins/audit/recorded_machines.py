# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Recorded machines: a tree of files and the output of commands, each with its source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from ansible_collections.homelab.ai.plugins.module_utils._hostfs import Host, Output

FIXTURES = Path(__file__).parent / "fixtures"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.yml"))


class RecordedHost(Host):
    """A machine whose commands give what was recorded. A program of which nothing was recorded is not installed."""

    def __init__(self, root: Path, machine: str, commands: dict[str, dict[str, Any]]) -> None:
        super().__init__(str(root), machine)
        self.commands = commands

    def run(self, argv: list[str]) -> Output | None:
        recorded = self.commands.get(" ".join(argv))
        if recorded is not None:
            return Output(recorded["rc"], recorded["stdout"], recorded.get("stderr", ""))
        if any(command.split()[0] == argv[0] for command in self.commands):
            return Output(rc=1, problem=f"{' '.join(argv)} was not recorded")
        return None


def read_fixture(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((FIXTURES / f"{name}.yml").read_text()))


def build(name: str, root: Path) -> RecordedHost:
    """The recorded machine `name`, with its files below `root`."""
    fixture = read_fixture(name)
    for path, text in fixture["files"].items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())
    return RecordedHost(root, fixture["machine"], fixture["commands"])


def pick(facts: dict[str, Any], path: str) -> Any:
    """The value at a dotted path, where a number is a position in a list."""
    value: Any = facts
    for part in path.split("."):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value
