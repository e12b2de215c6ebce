# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines from 2 GB to 1 TB and 1 to 256 cores, for Hypothesis."""

from __future__ import annotations

import json
import re
from typing import Any

from ansible_collections.homelab.ai.plugins.plugin_utils._tuning import tune
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_data import DATA_FILE, TuningError
from hypothesis import strategies as st

DATA: dict[str, Any] = json.loads(DATA_FILE.read_text(encoding="utf-8"))
MIB = 1024 * 1024
PRESETS = st.sampled_from(["core", "full"])
# Every power of two is as likely, and the sizes around thresholds more so.
MEMORY = st.one_of(
    st.integers(11, 19).flatmap(lambda power: st.integers(2**power, 2 ** (power + 1))),
    st.sampled_from([2, 4, 6, 8, 16, 24, 32, 64, 128, 1024]).flatmap(
        lambda gib: st.integers(gib * 1024 * 9 // 10, gib * 1024 + 2)
    ),
)
CORES = st.one_of(st.integers(1, 16), st.integers(1, 256))
GPU = st.one_of(
    st.none(),
    st.just({"present": True, "is_jetson": True}),
    st.lists(st.integers(2048, 98304), max_size=4).map(
        lambda sizes: {"present": True, "devices": [{"memory_mib": size} for size in sizes]}
    ),
)
STORAGE = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {"total_gib": st.integers(20, 20000), "class": st.sampled_from(DATA["storage"]["classes"])},
        optional={"hdd_gib": st.integers(0, 20000)},
    ),
)


def _overrides(postgres: int, buffers: int, reserved: int) -> st.SearchStrategy[dict[str, Any]]:
    inventory = st.fixed_dictionaries(
        {},
        optional={
            "postgres_percent": st.integers(10, postgres),
            "oxigraph_percent": st.integers(0, 20),
            "headroom_percent": st.integers(0, 10),
            "postgres_shared_buffers_percent": st.integers(5, buffers),
            "k3s_reserved_memory_percent": st.integers(0, reserved),
            "profile": st.sampled_from([*DATA["profiles"]]),
            "extract_engine": st.sampled_from(["text", "layout"]),
            "without": st.lists(st.sampled_from(["chat", "enrich", "openobserve", "embedder"]), unique=True),
            "floor_mib": st.dictionaries(st.sampled_from(["postgres", "chat", "nats"]), st.integers(600, 2000)),
            "max_replicas": st.dictionaries(st.sampled_from(["extract", "graph"]), st.integers(1, 6)),
        },
    )
    return st.one_of(st.just({}), inventory)


OVERRIDES = _overrides(postgres=100, buffers=50, reserved=30)
# Shares and reservations that together stay below the whole machine.
MODEST_OVERRIDES = _overrides(postgres=55, buffers=35, reserved=20)


@st.composite
def machines(draw: st.DrawFn, memory: st.SearchStrategy[int] = MEMORY) -> dict[str, Any]:
    """Facts of any machine, with and without allocatable and nominal memory."""
    size = draw(memory)
    facts: dict[str, Any] = {
        "memory_mib": size,
        "cores": draw(CORES),
        "has_avx2": draw(st.booleans()),
        "environment": draw(st.sampled_from(["local", "kubernetes"])),
    }
    if draw(st.booleans()):
        facts["allocatable_mib"] = draw(st.integers(size * 7 // 10, size))
    if draw(st.integers(0, 3)) == 0:
        facts["nominal_mib"] = draw(st.integers(size, size * 5 // 4))
    for key, strategy in (("gpu", GPU), ("storage", STORAGE)):
        value = draw(strategy)
        if value is not None:
            facts[key] = value
    return facts


# All that a machine of `machines` with OVERRIDES can be refused for: memory, cores, shares beyond the whole. What else
# were refused would pass unseen through every property.
REFUSED = re.compile(r"does not fit|leaves nothing|processors do not suffice|shares of memory are .* lower them")


def tuned(facts: dict[str, Any], preset: str, overrides: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """The result, or None where the solver refuses a machine of `machines` with OVERRIDES. Raises TuningError else."""
    try:
        return tune(facts, preset, overrides or {})
    except TuningError as error:
        if not REFUSED.search(str(error)):
            raise
        return None


def at(tuning: dict[str, Any], path: str) -> Any:
    """The value at a dotted path, None where there is none."""
    place: Any = tuning
    for name in path.split("."):
        if not isinstance(place, dict) or name not in place:
            return None
        place = place[name]
    return place


def sized(tuning: dict[str, Any]) -> dict[str, Any]:
    """The components that take memory."""
    return {name: component for name, component in tuning["components"].items() if "limit" in component}


def copies(component: dict[str, Any]) -> int:
    replicas: int = component.get("replicas", {"max": 1})["max"]
    return replicas


def postgres_worst(settings: dict[str, int]) -> int:
    """Buffers, connections and workers at their bounds, autovacuum and one index build, MiB."""
    rule = DATA["postgres"]
    processes = settings["max_connections"] + settings["max_worker_processes"]
    worst: int = (
        settings["shared_buffers_mib"]
        + processes * (settings["work_mem_mib"] + rule["backend_mib"])
        + rule["maintenance_processes"] * settings["maintenance_work_mem_mib"]
    )
    return worst
