# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""A computed homelab_tuning as lines for people: who gets what, what binds it, what to change for more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_facts import FACTS

GIB = 1024
MORE = {
    "memory_mib": "more memory",
    "nominal_mib": "more memory",
    "allocatable_mib": "more allocatable memory",
    "cores": "more cores",
    "storage.total_gib": "a larger disk",
    "storage.hdd_gib": "a larger hard disk",
}


def size(mib: float) -> str:
    """MiB as people read it."""
    return f"{mib / GIB:.1f} GiB" if mib >= GIB else f"{mib:.0f} MiB"


def bindings(tuning: Mapping[str, Any]) -> dict[str, str]:
    """What moves each number, by its path."""
    return {entry["path"]: entry["binding"] for entry in tuning["explain"]}


def more(binding: str) -> str:
    """How to move a number that `binding` holds."""
    return " and ".join(dict.fromkeys(map(_more, binding.split(" and "))))


def _more(name: str) -> str:
    if name.split(".")[0] in FACTS:
        return MORE.get(name, name)
    return f"homelab_tuning_overrides: {name.removeprefix('overrides.')}"


def table(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows as columns; the first is left-aligned, and so is the last."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column in (0, len(row) - 1) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    ]


def plan_lines(name: str, tuning: Mapping[str, Any]) -> list[str]:
    """The plan of one machine, a line each."""
    basis, node = tuning["basis"], tuning["node"]
    moved = bindings(tuning)
    lines = [
        f"{name}: profile {tuning['profile']} ({basis['source']}), {size(basis['nominal_mib'])} nominal, "
        f"{size(basis['allocatable_mib'])} to give out, {basis['cores']} cores",
        f"  the host keeps {size(node['reserved_mib'])} and {node['reserved_mcpu'] / 1000:g} cores",
    ]
    rows: list[tuple[str, ...]] = [("component", "request", "limit", "cores", "replicas", "disk", "more by")]
    for component, given in tuning["components"].items():
        replicas, disk = given.get("replicas"), given.get("storage_gib")
        limit = given.get("limit")
        # Memory binds what runs, the disk what is only a place, and an override what is switched off.
        paths = (f"components.{component}.{key}" for key in ("limit.memory_mib", "storage_gib", "replicas.max"))
        rows.append(
            (
                component,
                size(given["request"]["memory_mib"]) if limit else "-",
                size(limit["memory_mib"]) if limit else "-",
                f"{limit['cpu_m'] / 1000:g}" if limit else "-",
                f"{replicas['min']}-{replicas['max']}" if replicas else "1" if limit else "-",
                f"{disk:g} GiB" if disk else "-",
                next((more(moved[path]) for path in paths if path in moved), "-"),
            )
        )
    lines += [f"  {row}" for row in table(rows)]
    lines += [
        f"  streams: {', '.join(f'{stream} {size(bytes_ / 2**20)}' for stream, bytes_ in tuning['streams'].items())}"
    ]
    lines += [f"  warning: {warning}" for warning in tuning["warnings"]]
    return lines
