# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines whose results have been read by a person and are kept in golden/, a file each.

`python -m tests.unit.plugins.tuning.golden` writes the files anew; read the difference before you keep it.
Memory is what the kernel of such a machine reports.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.homelab.ai.plugins.plugin_utils._tuning import tune
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_data import TuningError

FOLDER = Path(__file__).with_name("golden")
JETSON = {"present": True, "is_jetson": True}


def _nvme(gib: int) -> dict[str, Any]:
    return {"total_gib": gib, "class": "nvme"}


# Rancher Desktop's default: 25 % of the host's memory, at most 6 GB, and 2 processors (shared/spec/facts.md).
_RANCHER = {"memory_mib": 5920, "cores": 2, "has_avx2": True, "environment": "kubernetes", "storage": _nvme(100)}
_DESKTOP = {"memory_mib": 31950, "cores": 8, "has_avx2": True, "environment": "kubernetes", "storage": _nvme(200)}
_YELLOW = {"cores": 4, "has_neon": True, "environment": "local", "storage": {"total_gib": 32, "class": "emmc"}}
_ORIN = {"has_neon": True, "gpu": JETSON, "environment": "local", "storage": _nvme(1000)}

MACHINES: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "rancher-desktop-6gb-core": (_RANCHER, "core", {}),
    "rancher-desktop-6gb-full": (_RANCHER, "full", {}),
    "mini-pc-8gb": ({"memory_mib": 7800, "cores": 4, "has_avx2": True, "storage": _nvme(256)}, "core", {}),
    "pc-16gb": ({"memory_mib": 15900, "cores": 8, "has_avx2": True, "storage": _nvme(512)}, "full", {}),
    "desktop-32gb": (_DESKTOP, "full", {}),
    "vm-32gb-on-64gb-host": (_DESKTOP | {"memory_mib": 32090, "allocatable_mib": 29500, "cores": 12}, "full", {}),
    "workstation-128gb-gpu": (
        {
            "memory_mib": 128600,
            "cores": 32,
            "has_avx2": True,
            "gpu": {"present": True, "devices": [{"memory_mib": 24564}]},
            "storage": _nvme(2000) | {"hdd_gib": 8000},
        },
        "full",
        {},
    ),
    "jetson-orin-32gb": (_ORIN | {"memory_mib": 30697, "cores": 8}, "core", {}),
    "jetson-orin-64gb": (_ORIN | {"memory_mib": 62800, "cores": 12}, "core", {}),
    "ha-yellow-4gb": (_YELLOW | {"memory_mib": 3790}, "core", {}),
    "ha-yellow-8gb": (_YELLOW | {"memory_mib": 7810}, "core", {}),
    "this-machine-24gb": ({"memory_mib": 24105, "cores": 2, "has_avx2": True, "storage": _nvme(100)}, "core", {}),
}


def result(name: str) -> dict[str, Any]:
    """What a file holds: the facts, and the error or the sizes with what binds each."""
    facts, preset, overrides = MACHINES[name]
    case = {"facts": facts, "preset": preset, "overrides": overrides}
    try:
        tuning = tune(facts, preset, overrides)
    except TuningError as error:
        return case | {"error": str(error)}
    bindings = {entry["path"]: entry["binding"] for entry in tuning.pop("explain")}
    return case | {"tuning": tuning, "bindings": bindings}


def path(name: str) -> Path:
    return FOLDER / f"{name}.json"


if __name__ == "__main__":
    for machine in MACHINES:
        path(machine).write_text(json.dumps(result(machine), indent=1) + "\n", encoding="utf-8")
