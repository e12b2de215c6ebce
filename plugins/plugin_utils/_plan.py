# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""A computed homelab_tuning as lines for people: who gets what, what binds it, what to change for more."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import Any

GIB = 1024
# Ansible prints a line of a list with 11 characters around it: 80 columns hold the rest.
WIDTH = 69
MORE = {
    "memory_mib": "more memory",
    "nominal_mib": "more memory",
    "allocatable_mib": "more allocatable memory",
    "cores": "more cores",
    "has_avx2": "AVX2",
    "has_neon": "NEON",
    "gpu.devices": "a larger GPU",
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
    """How to move a number that `binding` holds: what to buy, or a key of homelab_tuning_overrides."""
    return " and ".join(
        MORE.get(part, part.removeprefix("overrides.").split(".")[0]) for part in binding.split(" and ")
    )


def replicas(given: Mapping[str, Any]) -> int:
    """Processes of a component at its largest."""
    return int(given.get("replicas", {}).get("max", 1))


def more_replicas(tuning: Mapping[str, Any]) -> dict[str, list[str]]:
    """What would give another replica, with the components that wait for it."""
    moved = bindings(tuning)
    found: dict[str, list[str]] = {}
    for component, given in tuning["components"].items():
        binding = moved.get(f"components.{component}.replicas.max")
        if binding and replicas(given):
            found.setdefault(more(binding), []).append(component)
    return found


def models(tuning: Mapping[str, Any]) -> str:
    """What the model server of a GPU may take, as a sentence; empty without a GPU."""
    inference = tuning["inference"]
    if not inference.get("budget_mib"):
        return ""
    place = "this memory" if inference["accelerator"] == "unified" else "the GPU's own memory"
    return f"models on the GPU may take {size(inference['budget_mib'])} of {place} (ollama_vram_percent)"


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
    """The plan of one machine, a line each, none longer than WIDTH where words allow."""
    basis, node = tuning["basis"], tuning["node"]
    streams = ", ".join(f"{stream} {size(bytes_ / 2**20)}" for stream, bytes_ in tuning["streams"].items())
    prose = [
        f"{name}: profile {tuning['profile']} ({basis['source']})",
        f"{size(basis['nominal_mib'])} nominal, {size(basis['allocatable_mib'])} to give out, {basis['cores']} cores",
        f"the host keeps {size(node['reserved_mib'])} and {node['reserved_mcpu'] / 1000:g} cores",
        models(tuning),
    ]
    notes = [f"another {', '.join(names)} by {what}" for what, names in more_replicas(tuning).items()]
    notes.append("names with _: homelab_tuning_overrides, as {floor_mib: {chat: 900}}")
    notes.append(f"streams: {streams}")
    notes += [f"warning: {warning}" for warning in tuning["warnings"]]
    return [*_wrapped(prose), *table(_rows(tuning)), *_wrapped(notes)]


def _rows(tuning: Mapping[str, Any]) -> list[tuple[str, ...]]:
    moved = bindings(tuning)
    rows: list[tuple[str, ...]] = [("component", "request", "limit", "cores", "disk", "more by")]
    for component, given in tuning["components"].items():
        disk, number = given.get("storage_gib"), replicas(given)
        shown = f"{disk:g} GiB" if disk else "-"
        if "limit" not in given:
            held = moved.get(f"components.{component}.storage_gib", "without" if number == 0 else "")
            rows.append((component, "-", "-", "-", shown, more(held) or "-"))
            continue
        rows.append(
            (
                f"{component} x{number}" if number > 1 else component,
                size(given["request"]["memory_mib"]),
                size(given["limit"]["memory_mib"]),
                f"{given['limit']['cpu_m'] / 1000:g}",
                shown,
                more(moved.get(f"components.{component}.limit.memory_mib", "")) or "-",
            )
        )
    return rows


def _wrapped(lines: list[str]) -> list[str]:
    return [part for line in lines for part in wrap(line, WIDTH, subsequent_indent="  ", break_long_words=False)]
