# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""The result under construction: each number goes in with the reason for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Ledger:
    """A tree of numbers, and one line of explanation for each."""

    def __init__(self) -> None:
        self.tree: dict[str, Any] = {}
        self.explain: list[dict[str, Any]] = []

    def put(self, path: str, value: Any, rule: str, inputs: Mapping[str, Any], binding: str) -> None:
        """Put `value` at a dotted path. `binding` is the fact or override that moves it."""
        *parents, name = path.split(".")
        place = self.tree
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = value
        self.explain.append({"path": path, "value": value, "rule": rule, "inputs": dict(inputs), "binding": binding})

    def binding(self, path: str) -> str:
        """What decided a number that is in already."""
        return next(str(line["binding"]) for line in self.explain if line["path"] == path)
