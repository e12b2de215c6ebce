# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines from 2 GB to 1 TB and 1 to 256 cores, for Hypothesis."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ansible_collections.homelab.ai.plugins.plugin_utils._tuning import tune
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_data import DATA_FILE, TuningError
from hypothesis import strategies as st

DATA: dict[str, Any] = json.loads(DATA_FILE.read_text(encoding="utf-8"))
MIB = 1024 * 1024
PRESETS = st.sampled_from(["core", "full"])


def _between_powers(first: int) -> st.SearchStrategy[int]:
    """Up to 1 TiB, every power of two from the `first` as likely."""
    return st.integers(first, 19).flatmap(lambda power: st.integers(2**power, 2 ** (power + 1)))


# From 2 GiB; half of it larger than what is refused for want of memory. Sizes around thresholds are more likely.
MEMORY = st.one_of(
    _between_powers(11),
    _between_powers(14),
    st.sampled_from([2, 4, 6, 8, 16, 24, 32, 64, 128, 1024]).flatmap(
        lambda gib: st.integers(gib * 1024 * 9 // 10, gib * 1024 + 2)
    ),
)
CORES = st.one_of(st.integers(1, 16), st.integers(1, 256))
GPU = st.one_of(
    st.none(),
    st.sampled_from([{"present": True, "is_jetson": True}, {"present": True, "unified": True}]),
    st.lists(st.integers(2048, 98304), max_size=4).map(
        lambda sizes: {"present": True, "devices": [{"memory_mib": size} for size in sizes]}
    ),
)
STORAGE = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {
            "total_gib": st.one_of(st.integers(20, 100), st.integers(15, 20000)),
            "class": st.sampled_from(DATA["storage"]["classes"]),
        },
        optional={"hdd_gib": st.integers(0, 20000)},
    ),
)


def _some(names: Iterable[str], values: st.SearchStrategy[int]) -> st.SearchStrategy[dict[str, int]]:
    return st.dictionaries(st.sampled_from(sorted(names)), values, max_size=3)


SHARES = {
    "postgres_percent": st.integers(0, 90),
    "jetstream_percent": st.integers(0, 10),
    "oxigraph_percent": st.integers(0, 20),
    "headroom_percent": st.integers(0, 10),
    "postgres_shared_buffers_percent": st.integers(5, 50),
    "k3s_reserved_memory_percent": st.integers(0, 30),
    "k3s_reserved_cpu_percent": st.integers(0, 40),
    "ollama_vram_percent": st.integers(10, 70),
    "jetstream_storage_percent": st.integers(0, 25),
}
SIZES = {
    "floor_mib": _some(["postgres", "chat", "nats", "extract"], st.integers(600, 2000)),
    "ceiling_mib": _some(["postgres", "nats", "oxigraph"], st.integers(2100, 9000)),
    "cpu_floor_m": _some(["query", "nats", "graph"], st.integers(10, 1000)),
    "max_replicas": _some(DATA["burst_order"], st.integers(1, 6)),
    "streams_gib": _some(DATA["streams_gib"], st.one_of(st.integers(1, 40), st.integers(1, 40000))),
    "storage_reserved_gib": _some(DATA["storage"]["reserved_gib"], st.integers(1, 60)),
    "without": st.lists(
        st.sampled_from([name for name, row in DATA["components"].items() if row.get("optional")]), unique=True
    ),
    "extract_engine": st.sampled_from(sorted(DATA["engines"])),
}
PROFILES = st.sampled_from(sorted(DATA["profiles"]))


@st.composite
def _several(draw: st.DrawFn) -> dict[str, Any]:
    """Up to four of what an inventory may say, and often a profile."""
    said = draw(st.sets(st.sampled_from([*SHARES, *SIZES]), max_size=4))
    found = {"profile": draw(PROFILES)} if draw(st.booleans()) else {}
    return found | {name: draw((SHARES | SIZES)[name]) for name in sorted(said)}


# Property 5 is about the profile `default`.
OVERRIDES = st.one_of(st.just({}), st.just({"profile": "default"}), _several())


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


def tuned(facts: dict[str, Any], preset: str, overrides: dict[str, Any]) -> dict[str, Any] | None:
    """The result, or None where the solver refuses the machine: whether it may is property 9."""
    try:
        return tune(facts, preset, overrides)
    except TuningError:
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
