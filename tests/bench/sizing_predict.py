# SPDX-License-Identifier: GPL-3.0-or-later
"""What each component should take at its peak, from the plan and one run that was fitted (results/sizing-fit.json).

- A model server takes what `llama_plan` says; nothing is fitted.
- Postgres takes what the fitted run took, moved by what follows from its settings and its data (`postgres_mib`).
- Oxigraph keeps what is written in memory: what the fitted run took, and a KiB for each triple beyond that run's.
- Garage buffers what is being written: what the fitted run took, and a part for each extractor beyond the first.
- Any other component takes what the fitted run took, for each of its replicas. Floors are that, times 1.3.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_data import load as tuning_data
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_models import BUNDLED, bundled, needed_mib

FIT = Path(__file__).with_name("results") / "sizing-fit.json"
FLOOR_FACTOR = 1.3
BUFFER_KIB = 8
BYTES_BESIDE_A_BUFFER = 64 + 24 + 16 + 20
"""Its descriptor, entry in the lookup table, I/O condition variable and place in the checkpoint's list."""
TRIPLE_KIB = 1
"""By a run of its own, in which 650 000 triples were written: 629 MiB."""
WRITER_MIB = 1.5
"""By a run of its own: one to eight clients that write 800 kB at a time took it from 38.1 to 48.2 MiB."""
WAL_PART, WAL_MOST_MIB = 32, 16
"""wal_buffers = -1: a 32nd of shared_buffers, at most one segment."""


def predicted(component: str, plan: Mapping[str, Any], load: Mapping[str, Any], fit: Mapping[str, Any]) -> float | None:
    """MiB, or None where the fitted run had no such component. `plan` is by component, `load` what the stack holds."""
    if component in BUNDLED:
        settings = plan[component]["settings"]
        return float(needed_mib(component, bundled(component, settings), settings))
    if component not in fit["peaks"]:
        return None
    peak = float(fit["peaks"][component])
    if component == "postgres":
        then = postgres_mib(fit["shared_buffers_mib"], fit["load"]["database_mib"])
        return peak + postgres_mib(plan[component]["settings"]["shared_buffers_mib"], load["database_mib"]) - then
    if component == "oxigraph":
        return peak + (load["triples"] - fit["load"]["triples"]) * TRIPLE_KIB / 1024
    if component == "garage":
        return peak + (replicas(plan["extract"]) - 1) * WRITER_MIB
    return peak * replicas(plan[component])


def replicas(component: Mapping[str, Any]) -> int:
    """Of one component of a plan, which the local stack starts all at once."""
    most: int = component.get("replicas", {}).get("max", 1)
    return most


def postgres_mib(shared_buffers_mib: float, database_mib: float) -> float:
    """What grows with settings and data: buffers that have been filled, what is kept beside each, WAL buffers."""
    beside = shared_buffers_mib * 1024 / BUFFER_KIB * BYTES_BESIDE_A_BUFFER / 1024**2
    wal = min(WAL_MOST_MIB, shared_buffers_mib / WAL_PART)
    return min(shared_buffers_mib, database_mib) + beside + wal


def wanted_floor(measured_mib: float) -> int:
    return math.ceil(measured_mib * FLOOR_FACTOR)


def floor(component: str) -> int | None:
    """As tuning has it; the local stack reads documents by their text."""
    row = tuning_data()["engines"]["text"] if component == "extract" else tuning_data()["components"].get(component, {})
    value: int | None = row.get("floor_mib")
    return value


def fitted() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FIT.read_text(encoding="utf-8"))
    return found
