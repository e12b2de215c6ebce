# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Properties 1 to 8 and 10 of the sizing, for machines of every kind. More in test_oracle.py and test_explain.py."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.homelab.ai.plugins.plugin_utils._tuning import tune
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_data import SCHEMA_FILE
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no types

from tests.unit.plugins.tuning.machines import (
    DATA,
    MIB,
    MODEST_OVERRIDES,
    OVERRIDES,
    PRESETS,
    copies,
    machines,
    postgres_worst,
    sized,
    tuned,
)

SCHEMA = Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])


def hold(name: str, component: dict[str, Any]) -> int:
    """What cannot be reclaimed, MiB."""
    if name == "postgres":
        return postgres_worst(component["settings"])
    return int(component["limit"]["memory_mib"]) * copies(component)


@settings(SLOW, max_examples=4000)
@given(machines(), PRESETS, OVERRIDES)
def test_what_is_given_out_is_there(facts: dict[str, Any], preset: str, overrides: dict[str, Any]) -> None:
    tuning = tuned(facts, preset, overrides)
    assume(tuning is not None)
    assert tuning is not None
    components = sized(tuning)
    memory, cores = facts["memory_mib"], facts["cores"]

    # 1: requests
    requests = sum(part["request"]["memory_mib"] * copies(part) for part in components.values())
    assert requests <= tuning["basis"]["allocatable_mib"] <= memory
    cpu = sum(part["request"]["cpu_m"] * copies(part) for part in components.values())
    assert cpu <= cores * 1000 - tuning["node"]["reserved_mcpu"]

    # 2: memory that cannot be reclaimed
    inference = tuning["inference"].get("budget_mib", 0) if tuning["inference"]["accelerator"] == "unified" else 0
    held = sum(hold(name, part) for name, part in components.items())
    headroom = memory * overrides.get("headroom_percent", 2) / 100
    assert held + tuning["node"]["reserved_mib"] + headroom + inference <= memory

    # 3: floors
    for name, part in components.items():
        row = DATA["components"][name]
        engine = overrides.get("extract_engine", DATA["presets"][preset]["engine"])
        floor = DATA["engines"][engine]["floor_mib"] if name == "extract" else row["floor_mib"]
        assert part["limit"]["memory_mib"] >= overrides.get("floor_mib", {}).get(name, floor)
        assert 0 < part["request"]["memory_mib"] <= part["limit"]["memory_mib"]
        assert 0 < part["request"]["cpu_m"] <= part["limit"]["cpu_m"] <= cores * 1000

    # 6: disk
    disk = facts.get("storage", {})
    total = disk.get("total_gib", DATA["storage"]["default_gib"])
    volumes = {name: part["storage_gib"] for name, part in tuning["components"].items() if "storage_gib" in part}
    second = volumes.pop("garage-hdd", 0) + volumes.pop("backups", 0)
    assert second <= disk.get("hdd_gib", 0)
    reserved = DATA["storage"]["reserved_gib"]
    left_out = {"images_kubernetes" if facts["environment"] == "local" else "images_local"}
    left_out |= {"openobserve"} - components.keys()
    table = sum(size for name, size in reserved.items() if name not in left_out)
    assert sum(volumes[name] for name in ("garage", "nats", "postgres")) <= total - min(table, total // 2)
    assert sum(volumes.values()) <= total
    store = tuning["components"]["nats"]["settings"]["max_file_store_mib"]
    assert sum(tuning["streams"].values()) <= store * MIB
    assert store <= volumes["nats"] * 1024 * 9 // 10

    # 7: Postgres
    assert postgres_worst(components["postgres"]["settings"]) <= components["postgres"]["limit"]["memory_mib"]

    # 8: the same bytes
    again = tune(json.loads(json.dumps(facts)), preset, json.loads(json.dumps(overrides)))
    assert json.dumps(again) == json.dumps(tuning)


def numbers(tuning: dict[str, Any]) -> dict[tuple[str, ...], int]:
    """What memory moves: limits, requests, replicas, and settings that are sizes or counts."""
    found: dict[tuple[str, ...], int] = {}
    for name, part in tuning["components"].items():
        for kind in ("request", "limit"):
            if kind in part:
                found[(name, kind)] = part[kind]["memory_mib"]
        if "replicas" in part:
            found[(name, "replicas")] = part["replicas"]["max"]
        for key, value in part.get("settings", {}).items():
            if isinstance(value, int):
                found[(name, "settings", key)] = value
    return found


@settings(SLOW, max_examples=2500)
@given(
    machines(),
    PRESETS,
    MODEST_OVERRIDES,
    st.one_of(st.integers(1, 64), st.integers(1, 4096), st.integers(1, 262144)),
    st.data(),
)
def test_more_memory_never_yields_less(
    facts: dict[str, Any], preset: str, overrides: dict[str, Any], more: int, data: st.DataObject
) -> None:
    """4: of one profile, where the node gives out most of what there is more, or more of what there is.

    Memory that a host only keeps for itself is not more: 40 % of a larger whole then comes out of the same allocatable
    memory, and Postgres' share (property 5) takes what replicas had.
    """
    smaller = tuned(facts, preset, overrides)
    assume(smaller is not None)
    larger_facts = facts | {"memory_mib": facts["memory_mib"] + more}
    if "allocatable_mib" in facts:
        larger_facts["allocatable_mib"] = facts["allocatable_mib"] + data.draw(st.integers(more * 17 // 20 + 1, more))
        if facts["allocatable_mib"] + more <= facts["memory_mib"] and data.draw(st.booleans()):
            larger_facts = facts | {"allocatable_mib": facts["allocatable_mib"] + more}
    if "nominal_mib" in facts and larger_facts["memory_mib"] > facts["memory_mib"]:
        larger_facts["nominal_mib"] = facts["nominal_mib"] + more
    larger = tuned(larger_facts, preset, overrides)
    if "profile" in overrides:
        assert larger is not None
    assume(larger is not None)
    assert smaller is not None and larger is not None
    assume(larger["profile"] == smaller["profile"])
    before, after = numbers(smaller), numbers(larger)
    assert before.keys() == after.keys()
    assert {path: (value, after[path]) for path, value in before.items() if after[path] < value} == {}


@settings(SLOW, max_examples=1500)
@given(machines(st.integers(24 * 1024, 1024 * 1024)), PRESETS)
def test_postgres_has_two_fifths_of_memory(facts: dict[str, Any], preset: str) -> None:
    """5: from 24 GiB allocatable up, with the default profile, where the node gives out three quarters of its memory.

    Where it gives out less, all shares fall together (docs/deviations.md). A GPU's unified memory has another owner.
    """
    facts.pop("gpu", None)
    if "allocatable_mib" in facts:
        facts["allocatable_mib"] = max(facts["allocatable_mib"], facts["memory_mib"] * 3 // 4, 24 * 1024)
    tuning = tuned(facts, preset, {"profile": "default"})
    assume(tuning is not None)
    assert tuning is not None
    assume(tuning["basis"]["allocatable_mib"] >= 24 * 1024)
    wanted = tuning["basis"]["nominal_mib"] * 0.4
    assert abs(tuning["components"]["postgres"]["limit"]["memory_mib"] - wanted) <= wanted * 0.1


@settings(SLOW, max_examples=1000)
@given(machines(), PRESETS)
def test_it_has_the_documented_shape_and_every_number_is_explained_once(facts: dict[str, Any], preset: str) -> None:
    tuning = tuned(facts, preset)
    assume(tuning is not None)
    assert tuning is not None
    lines = {line["path"]: line["value"] for line in tuning["explain"]}
    assert len(lines) == len(tuning["explain"])
    assert list(SCHEMA.iter_errors(tuning)) == []
    assert dict(leaves({key: tuning[key] for key in ("basis", "node", "components", "streams", "inference")})) == lines


def leaves(tree: dict[str, Any], prefix: str = "") -> Any:
    """Every number with its path, but the least number of replicas, which is always 1, and names of kinds."""
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from leaves(value, f"{path}.")
        elif path not in ("basis.source", "inference.accelerator") and not path.endswith("replicas.min"):
            yield path, value
