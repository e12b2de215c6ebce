# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Hardware facts, checked, as the machine that tuning works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_data import (
    TuningError,
    load,
    mapping,
    one_of,
    whole,
)

FACTS = (
    "memory_mib",
    "nominal_mib",
    "allocatable_mib",
    "cores",
    "has_avx2",
    "has_neon",
    "gpu",
    "storage",
    "environment",
)
GPU = ("present", "devices", "is_jetson", "unified")
STORAGE = ("total_gib", "class", "hdd_gib")


@dataclass(frozen=True)
class Machine:
    """A machine, memory in MiB and disk in GiB."""

    memory_mib: int
    nominal_mib: int
    cores: int
    environment: str
    allocatable_mib: int | None = None
    nominal_given: bool = False
    vector: bool = False  # AVX2 or NEON
    gpu: bool = False
    gpu_mib: tuple[int, ...] = ()
    unified: bool = False  # the GPU computes in the machine's own memory
    storage_gib: int | None = None
    storage_class: str | None = None
    hdd_gib: int = 0


def read_facts(given: Any) -> Machine:
    """Check `given` key by key. Raises TuningError."""
    facts = mapping("facts", given)
    for key in facts:
        one_of("facts", key, FACTS)
    for key in ("memory_mib", "cores"):
        if key not in facts:
            raise TuningError(f"facts.{key}: required")
    memory = whole("facts.memory_mib", facts["memory_mib"], 1)
    environment = facts.get("environment", "local")
    one_of("facts.environment", environment, load()["reservation"])
    return Machine(
        memory_mib=memory,
        nominal_mib=_nominal(facts, memory),
        nominal_given=facts.get("nominal_mib") is not None,
        allocatable_mib=_allocatable(facts, memory),
        cores=whole("facts.cores", facts["cores"], 1),
        environment=environment,
        vector=_flag("facts.has_avx2", facts.get("has_avx2", False))
        or _flag("facts.has_neon", facts.get("has_neon", False)),
        **_gpu(mapping("facts.gpu", facts.get("gpu") or {})),
        **_storage(mapping("facts.storage", facts.get("storage") or {})),
    )


def nominal_mib(memory_mib: int) -> int:
    """What the machine was sold with: the kernel reports a few percent less than the modules hold."""
    rule = load()["nominal"]
    for size in rule["sizes_gib"]:
        nominal = int(size) * 1024
        if memory_mib <= nominal:
            return nominal if memory_mib * 100 >= nominal * rule["least_percent"] else memory_mib
    return memory_mib


def _nominal(facts: Mapping[str, Any], memory: int) -> int:
    if facts.get("nominal_mib") is None:
        return nominal_mib(memory)
    nominal = whole("facts.nominal_mib", facts["nominal_mib"], 1)
    if nominal < memory:
        raise TuningError(f"facts.nominal_mib: {nominal} is less than memory_mib, {memory}: give at least that")
    return nominal


def _allocatable(facts: Mapping[str, Any], memory: int) -> int | None:
    if facts.get("allocatable_mib") is None:
        return None
    allocatable = whole("facts.allocatable_mib", facts["allocatable_mib"], 1)
    if allocatable > memory:
        raise TuningError(f"facts.allocatable_mib: {allocatable} is more than memory_mib, {memory}: give at most that")
    return allocatable


def _flag(path: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TuningError(f"{path}: {value!r} is neither true nor false")
    return value


def _gpu(gpu: Mapping[str, Any]) -> dict[str, Any]:
    for key in gpu:
        one_of("facts.gpu", key, GPU)
    devices = gpu.get("devices") or []
    if not isinstance(devices, (list, tuple)):
        raise TuningError(f"facts.gpu.devices: {devices!r} is no list")
    sizes = []
    for index, device in enumerate(devices):
        path = f"facts.gpu.devices[{index}]"
        for key in mapping(path, device):
            one_of(path, key, ("memory_mib",))
        sizes.append(whole(f"{path}.memory_mib", device.get("memory_mib"), 1))
    present = _flag("facts.gpu.present", gpu.get("present", False))
    jetson = _flag("facts.gpu.is_jetson", gpu.get("is_jetson", False))
    unified = _flag("facts.gpu.unified", gpu.get("unified", False)) or jetson
    if not present and (devices or unified):
        raise TuningError("facts.gpu.present: false, but devices, is_jetson or unified say that there is a GPU")
    return {"gpu": present, "gpu_mib": () if unified else tuple(sizes), "unified": unified}


def _storage(storage: Mapping[str, Any]) -> dict[str, Any]:
    for key in storage:
        one_of("facts.storage", key, STORAGE)
    found: dict[str, Any] = {}
    if storage.get("total_gib") is not None:
        found["storage_gib"] = whole("facts.storage.total_gib", storage["total_gib"], 1)
    if storage.get("hdd_gib") is not None:
        found["hdd_gib"] = whole("facts.storage.hdd_gib", storage["hdd_gib"])
    if storage.get("class") is not None:
        one_of("facts.storage.class", storage["class"], load()["storage"]["classes"])
        found["storage_class"] = storage["class"]
    return found
