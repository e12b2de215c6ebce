# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Properties 9 and 10 against a second, naive reading of the rules that shares no code with the solver."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ansible_collections.homelab.ai.plugins.plugin_utils._tuning import tune
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_data import TuningError
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.unit.plugins.tuning.machines import DATA, PRESETS, copies, machines, postgres_worst, sized, tuned

SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
PROFILE_OF_POSTGRES = {"low_memory": 30, "default": 40, "gpu_optimized": 40, "high_memory": 45, "high_memory_gpu": 45}
LOW = {"oxigraph": Fraction(5), "litellm": Fraction(5, 2), "openobserve": Fraction(47, 10)}
SHARES = {"nats": Fraction(5), "oxigraph": Fraction(8), "litellm": Fraction(3), "openobserve": Fraction(5)}


@dataclass
class Need:
    """What all components together take at a level."""

    hold: int = 0
    requests: int = 0
    cpu: int = 0


def components(preset: str) -> list[str]:
    names: list[str] = DATA["presets"][preset]["components"]
    return names


def row(name: str, preset: str) -> dict[str, Any]:
    found: dict[str, Any] = DATA["components"][name]
    return found | DATA["engines"][DATA["presets"][preset]["engine"]] if name == "extract" else found


def limit(name: str, preset: str, profile: str, level: int) -> int:
    base = profile.split("+")[0]
    percent = PROFILE_OF_POSTGRES[base] if name == "postgres" else SHARES.get(name, Fraction(0))
    if base == "low_memory":
        percent = LOW.get(name, percent)
    data = row(name, preset)
    wanted = max(data["floor_mib"], math.floor(Fraction(level) * percent / 100))
    return min(wanted, data.get("ceiling_mib", wanted))


def postgres_hold(size: int, cores: int) -> int:
    """Three quarters of the limit, or the worst case where one MiB of work_mem for each process is more."""
    parallel = max(1, min(cores * 75 // 100, size // 512))
    work = max(1, min(32, size // 512 * 512 * 30 // (100 * (82 + parallel)) - 2))
    worst = size // 4 + (82 + parallel) * (work + 2) + 4 * max(1, min(1024, size // 20))
    return max(worst, math.ceil(size * 0.75))


def need(facts: dict[str, Any], preset: str, profile: str, level: int) -> Need:
    total = Need()
    for name in components(preset):
        size = limit(name, preset, profile, level)
        total.hold += postgres_hold(size, facts["cores"]) if name == "postgres" else size
        total.requests += math.ceil(Fraction(size * row(name, preset)["request_percent"], 100))
        total.cpu += row(name, preset)["cpu_floor_m"]
    return total


def there(facts: dict[str, Any]) -> Need:
    """What may be held, requested and computed with."""
    memory = Fraction(facts["memory_mib"])
    reserved = min(4096, (384 if facts["environment"] == "local" else 768) + memory / 20)
    inference = memory * 7 / 10 if facts.get("gpu", {}).get("is_jetson") else Fraction(0)
    allocatable = Fraction(facts.get("allocatable_mib", memory - reserved))
    return Need(
        hold=math.floor(memory - reserved - memory / 50 - inference),
        requests=math.floor(allocatable - inference),
        cpu=facts["cores"] * 900,
    )


def profile_of(facts: dict[str, Any]) -> str:
    nominal = facts.get("nominal_mib")
    if nominal is None:
        memory = facts["memory_mib"]
        sizes = [1024 * size for size in DATA["nominal"]["sizes_gib"] if memory <= 1024 * size <= memory / 0.91]
        nominal = sizes[0] if sizes else memory
    if nominal < 16384:
        return "low_memory"
    gpu = facts.get("gpu", {}).get("present", False)
    if nominal <= 32768:
        return "gpu_optimized" if gpu else "default"
    return "high_memory_gpu" if gpu else "high_memory"


def fits(needed: Need, given_: Need) -> bool:
    return needed.hold <= given_.hold and needed.requests <= given_.requests and needed.cpu <= given_.cpu


@settings(SLOW, max_examples=2000)
@given(machines(st.one_of(st.integers(2048, 16384), st.integers(2048, 65536))), PRESETS)
def test_what_is_feasible_succeeds(facts: dict[str, Any], preset: str) -> None:
    """9: it is an error if and only if the floors do not fit (of disk there is enough)."""
    facts.pop("storage", None)
    feasible = fits(need(facts, preset, profile_of(facts), 0), there(facts))
    try:
        tuning = tune(facts, preset, {})
    except TuningError as error:
        assert not feasible, str(error)
    else:
        assert feasible
        assert tuning["profile"].split("+")[0] == profile_of(facts)


@settings(SLOW, max_examples=300)
@given(machines(st.integers(4096, 20000)), PRESETS)
def test_the_level_is_the_largest_that_fits(facts: dict[str, Any], preset: str) -> None:
    """10, for shares: every level is tried, one after the other, and the solver's is the last that fits."""
    facts.pop("storage", None)
    tuning = tuned(facts, preset)
    assume(tuning is not None)
    assert tuning is not None
    profile, room = tuning["profile"], there(facts)
    base = max(facts["memory_mib"], math.ceil(Fraction(tuning["basis"]["nominal_mib"] * 91, 100)))
    level = 0
    # Nothing is expected of how need() grows: levels are tried up from 0 in steps, and then one by one.
    for step in (256, 1):
        while level + step <= base and fits(need(facts, preset, profile, level + step), room):
            level += step
    for name, part in sized(tuning).items():
        assert part["limit"]["memory_mib"] == limit(name, preset, profile, level), name


@settings(SLOW, max_examples=1500)
@given(machines(), PRESETS)
def test_nothing_that_would_fit_is_left(facts: dict[str, Any], preset: str) -> None:
    """10: what is left is at most 2 % beside the headroom, or every share is at its target and no next step fits."""
    tuning = tuned(facts, preset)
    assume(tuning is not None)
    assert tuning is not None
    parts, room, cores = sized(tuning), there(facts), facts["cores"]
    taken = Need()
    for name, part in parts.items():
        size = part["limit"]["memory_mib"]
        held = max(postgres_worst(part["settings"]), math.ceil(size * 0.75)) if name == "postgres" else size
        taken.hold += held * copies(part)
        taken.requests += part["request"]["memory_mib"] * copies(part)
        taken.cpu += part["request"]["cpu_m"] * copies(part)
    left = Need(room.hold - taken.hold, room.requests - taken.requests, room.cpu - taken.cpu)
    assert left.hold >= 0 and left.requests >= 0 and left.cpu >= 0
    if min(left.hold, left.requests) <= facts["memory_mib"] * 0.02:
        return

    base = max(facts["memory_mib"], math.ceil(Fraction(tuning["basis"]["nominal_mib"] * 91, 100)))
    for name, part in parts.items():
        assert part["limit"]["memory_mib"] == limit(name, preset, tuning["profile"], base), name
    # Further replicas, in the order of the fill: the first that cores allow and that is missing finds no memory.
    for number in (2, 3):
        for name in ("extract", "graph", "enrich"):
            most = 3 if name == "extract" and cores >= 8 else 2
            if name not in parts or number > most or copies(parts[name]) >= number:
                continue
            part = parts[name]
            if part["request"]["cpu_m"] <= left.cpu:
                assert part["limit"]["memory_mib"] > left.hold or part["request"]["memory_mib"] > left.requests, name
                return
