# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Hardware facts in, homelab_tuning out. Pure: the same facts give the same bytes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_budget import Budget, budget
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_data import Overrides, load, read_overrides
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_facts import Machine, read_facts
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_fill import Fill, Short, fill
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_ledger import Ledger
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_models import BUNDLED, SIZED_BY
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_profile import select
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_resources import Resources
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_rows import rows
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_settings import Settings
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_storage import share_out

VAST_MIB = 2**30  # more than any machine has


def tune(facts: Any, preset: str, overrides: Any) -> dict[str, Any]:
    """The homelab_tuning dictionary of a machine. Raises TuningError."""
    said = read_overrides(overrides)
    machine = read_facts(facts)
    profile = select(machine, said)
    components = rows(machine, profile, preset, said)
    room = budget(machine, profile, said)
    filled = fill(components, room, machine.cores, preset)
    ample = filled  # what there would be, were all memory allocatable
    levels = {}  # where shares would be with more of one fact alone
    if machine.allocatable_mib is not None:
        whole = replace(machine, allocatable_mib=machine.memory_mib)
        ample = fill(components, budget(whole, profile, said), machine.cores, preset)
        vast = replace(room, hold_mib=VAST_MIB, base_mib=VAST_MIB)
        levels = {
            "allocatable_mib": ample.level_mib,
            "memory_mib": fill(components, vast, machine.cores, preset).level_mib,
        }

    ledger = Ledger()
    by_name = {row.name: row for row in components}
    Resources(ledger, machine, profile, said, room, filled, ample, preset).write(components)
    Settings(ledger, machine, said, by_name, levels).write()
    share_out(ledger, machine, profile, said, frozenset(by_name))
    return {
        "schema": 1,
        "profile": profile.name,
        **ledger.tree,
        "explain": ledger.explain,
        "warnings": warnings(machine, room, filled, said),
    }


def hardware_warnings(vector: bool, storage_class: str | None) -> list[str]:
    """What is slow on a machine, whatever sizes it gets. `vector` is AVX2 or NEON."""
    found = []
    if not vector:
        found.append("No AVX2 and no NEON: models and document layout are slow on this processor")
    if storage_class in load()["storage"]["slow_classes"]:
        found.append(f"The database is on {storage_class}: slow, and eMMC and SD cards wear out")
    return found


def warnings(machine: Machine, room: Budget, filled: Fill, overrides: Overrides) -> list[str]:
    """What a reader should know of this machine."""
    found = hardware_warnings(machine.vector, machine.storage_class)
    if machine.storage_gib is None:
        found.append(f"storage.total_gib is unknown, {load()['storage']['default_gib']} GiB are assumed")
    if machine.allocatable_mib is not None and machine.allocatable_mib > machine.memory_mib - room.reserved_mib:
        found.append(
            f"The node gives out {machine.allocatable_mib} of {machine.memory_mib} MiB and keeps less than the "
            f"{room.reserved_mib} MiB that its host needs: set kube-reserved and system-reserved"
        )
    if machine.gpu and not machine.unified and not machine.gpu_mib:
        found.append("gpu.devices is empty: the memory of the GPU is unknown, no model is planned for it")
    if filled.level_short:
        found.append(
            f"Memory shares are those of a machine with {filled.level_mib} MiB, not {room.base_mib}: no more "
            f"{_kind(filled.level_short)} is left"
        )
    elif filled.waiting:
        found.append(
            f"{min(filled.left_hold_mib, filled.left_requests_mib)} MiB are left: the next replica of {filled.waiting} "
            f"needs more {_kind(filled.short[filled.waiting])}"
        )
    for component in BUNDLED:
        said = overrides.settings.get(component, {}).keys() & SIZED_BY
        if said and component not in overrides.floor_mib and component not in overrides.without:
            found.append(
                f"{component} may take more than its limit with other {', '.join(sorted(said))}: set "
                f"overrides.floor_mib.{component} to what homelab.ai.llama_plan says of its model"
            )
    for component in overrides.without:
        found.append(f"{component} takes nothing here (overrides.without)")
    return found


def _kind(short: Short) -> str:
    return "memory" if "hold" in short else "allocatable memory"
