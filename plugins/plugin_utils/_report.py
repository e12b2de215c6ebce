# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""The fleet as data: what each machine is, where its memory, cores and disk go, and what to know of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.homelab.ai.plugins.plugin_utils._plan import replicas, size
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning import hardware_warnings


def fleet(machines: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The report as data: machines in the order of their names, the warnings of each, and all links.

    A machine is `{name, facts?, tuning?, problem?, network?, vm_of?}`: what the audit found, what tuning_profile
    computed or why not, network_profile.json, and the machine that it is a virtual machine on.
    """
    known = sorted(machines, key=lambda machine: str(machine["name"]))
    nominal = {machine["name"]: int(_hardware(machine).get("nominal_ram_mb") or 0) for machine in known}
    entries = []
    for machine in known:
        entry = {key: machine[key] for key in ("name", "facts", "tuning", "problem", "vm_of") if machine.get(key)}
        entry["zone"] = str(_hardware(machine).get("zone") or "")
        entry["warnings"] = list(_warnings(machine, nominal))
        entry["links"] = [_link(peer) for peer in (machine.get("network") or {}).get("peers", [])]
        entry["shares"] = {what: dict(parts) for what, parts in shares(machine.get("tuning") or {}).items()}
        entries.append(entry)
    return {"schema": 1, "machines": entries}


def _hardware(machine: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (machine.get("facts") or {}).get("homelab") or {}
    return found


def _warnings(machine: Mapping[str, Any], nominal: Mapping[str, int]) -> Iterable[str]:
    facts = machine.get("facts") or {}
    if machine.get("tuning"):
        yield from machine["tuning"].get("warnings", [])
    elif facts:
        # Where sizes are missing, what is slow is still worth knowing.
        vector = bool(facts.get("cpu", {}).get("has_avx2") or facts.get("cpu", {}).get("has_neon"))
        yield from hardware_warnings(vector, (_hardware(machine).get("storage") or {}).get("class"))
    yield from (machine.get("network") or {}).get("warnings", [])
    host = machine.get("vm_of")
    own, around = nominal[machine["name"]], nominal.get(host, 0) if host else 0
    if around and own * 2 <= around:
        half = around // 2 // 1024
        yield (
            f"a virtual machine of {size(own)} on {host}, which has {size(around)}: give it more, with Rancher Desktop "
            f"by `rdctl set --virtual-machine.memory-in-gb {half}`"
        )


def _link(peer: Mapping[str, Any]) -> dict[str, Any]:
    latency, bandwidth = peer.get("latency", {}), peer.get("bandwidth", {})
    return {
        "to": peer["name"],
        "reachable": peer["reachable"],
        "mean_ms": latency.get("mean_ms"),
        "jitter_ms": latency.get("jitter_ms"),
        "loss_percent": latency.get("loss_percent"),
        "mbit_s": bandwidth.get("mbit_s"),
        "path": peer.get("tailnet", {}).get("path"),
    }


def shares(tuning: Mapping[str, Any]) -> dict[str, list[tuple[str, float]]]:
    """Where memory (MiB), cores, disk and hard disk (GiB) go, as (name, amount) in order; what is left comes last.

    Memory counts what a component may take: its limit, times the largest number of replicas. A part of Postgres' limit
    is page cache, which gives way where all limits together are more than the machine.
    """
    if not tuning:
        return {}
    basis, node, components = tuning["basis"], tuning["node"], tuning["components"]
    memory = [("firmware", float(_firmware_mib(tuning))), ("host", float(node["reserved_mib"]))]
    cores = [("host", node["reserved_mcpu"] / 1000)]
    for name, given in components.items():
        if "limit" in given:
            memory.append((name, float(given["limit"]["memory_mib"] * replicas(given))))
            cores.append((name, given["request"]["cpu_m"] * replicas(given) / 1000))
    inference = tuning["inference"]
    if inference.get("accelerator") == "unified" and inference.get("budget_mib"):
        memory.append(("models", float(inference["budget_mib"])))  # in the machine's own memory
    over = sum(amount for _name, amount in memory) - basis["nominal_mib"]
    if over > 0:
        memory = [(name, amount - over if name == "postgres" else amount) for name, amount in memory]
    found = {"memory": memory, "cores": cores, **_disks(tuning)}
    wholes = {
        "memory": basis["nominal_mib"],
        "cores": basis["cores"],
        "disk": _disk_inputs(tuning, "garage").get("storage.total_gib", 0),
        "hard_disk": _disk_inputs(tuning, "backups").get("storage.hdd_gib", 0),
    }
    for what, parts in found.items():
        parts.append(("left", max(0.0, round(wholes[what] - sum(amount for _name, amount in parts), 3))))
    return found


def _inputs(tuning: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """What the rule of a number read; nothing where an inventory has defined the sizes without reasons."""
    return next((entry["inputs"] for entry in tuning["explain"] if entry["path"] == path), {})


def _disk_inputs(tuning: Mapping[str, Any], component: str) -> Mapping[str, Any]:
    return _inputs(tuning, f"components.{component}.storage_gib")


def _firmware_mib(tuning: Mapping[str, Any]) -> int:
    """What the machine was sold with and its kernel does not see."""
    inputs = _inputs(tuning, "node.reserved_mib")
    nominal: int = tuning["basis"]["nominal_mib"]
    return max(0, nominal - int(inputs.get("memory_mib", nominal)))


def _disks(tuning: Mapping[str, Any]) -> dict[str, list[tuple[str, float]]]:
    given = {name: float(part["storage_gib"]) for name, part in tuning["components"].items() if part.get("storage_gib")}
    hard = {name: size_ for name, size_ in given.items() if "storage.hdd_gib" in _disk_inputs(tuning, name)}
    disk = {name: size_ for name, size_ in given.items() if name not in hard}
    # What is reserved has rows for components too: the rest of it is the system, its images and the models.
    rows = sum(size_ for name, size_ in disk.items() if "row_gib" in _disk_inputs(tuning, name))
    host = max(0.0, _disk_inputs(tuning, "garage").get("reserved_gib", 0) - rows)
    found = {"disk": [("system and models", host), *disk.items()]}
    return found | ({"hard_disk": list(hard.items())} if hard else {})
