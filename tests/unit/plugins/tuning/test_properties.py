# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Properties 1 to 10 of the sizing (design/tuning.md), each on at least 10,000 machines of every kind.

Each property that concerns one machine is a function below, called for the same machines. Property 4 compares two.
That explain tells the truth is tested in test_explain.py.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ansible_collections.homelab.ai.plugins.plugin_utils._tuning import tune
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_data import SCHEMA_FILE, TuningError
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no types

from tests.unit.plugins.tuning.machines import (
    MIB,
    OVERRIDES,
    PRESETS,
    copies,
    machines,
    postgres_worst,
    sized,
    tuned,
)
from tests.unit.plugins.tuning.oracle import Need, Oracle

SCHEMA = Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])


@dataclass
class Case:
    """A machine, what the solver gives it, and what the rules say of it."""

    facts: dict[str, Any]
    preset: str
    overrides: dict[str, Any]
    tuning: dict[str, Any]
    rules: Oracle

    def __post_init__(self) -> None:
        self.parts = sized(self.tuning)


# 10,000 machines that get sizes, and about as many besides that are refused, of which there is property 9 alone.
@settings(SLOW, max_examples=10_000)
@given(machines(), PRESETS, OVERRIDES)
def test_properties_of_one_machine(facts: dict[str, Any], preset: str, overrides: dict[str, Any]) -> None:
    rules = Oracle(facts, preset, overrides)
    try:
        tuning, error = tune(facts, preset, overrides), ""
    except TuningError as refusal:
        tuning, error = {}, str(refusal)
    property_9_feasible_means_it_succeeds(rules, error)
    assume(tuning)
    case = Case(facts, preset, overrides, tuning, rules)
    property_1_requests_fit_what_is_allocatable(case)
    property_2_what_cannot_be_reclaimed_fits_the_machine(case)
    property_3_everything_gets_its_floor(case)
    property_5_postgres_has_two_fifths_of_memory(case)
    property_6_disk_and_streams_fit(case)
    property_7_postgres_fits_its_own_limit(case)
    property_8_the_same_facts_give_the_same_bytes(case)
    property_10_no_slack(case)


def property_1_requests_fit_what_is_allocatable(case: Case) -> None:
    """With every component at its most replicas."""
    memory = sum(part["request"]["memory_mib"] * copies(part) for part in case.parts.values())
    cpu = sum(part["request"]["cpu_m"] * copies(part) for part in case.parts.values())
    allocatable = case.tuning["basis"]["allocatable_mib"]
    assert memory <= allocatable <= case.facts["memory_mib"], "property 1: memory"
    assert cpu <= case.facts["cores"] * 1000 - case.tuning["node"]["reserved_mcpu"], "property 1: processors"


def property_2_what_cannot_be_reclaimed_fits_the_machine(case: Case) -> None:
    """Of Postgres that is its worst case, of the others their whole limits. Models of a GPU may be in this memory."""
    held = sum(
        postgres_worst(part["settings"]) if name == "postgres" else part["limit"]["memory_mib"] * copies(part)
        for name, part in case.parts.items()
    )
    inference = case.tuning["inference"]
    models = inference["budget_mib"] if inference["accelerator"] == "unified" else 0
    memory = case.facts["memory_mib"]
    headroom = memory * case.overrides.get("headroom_percent", 2) / 100
    assert held + case.tuning["node"]["reserved_mib"] + headroom + models <= memory, "property 2"


def property_3_everything_gets_its_floor(case: Case) -> None:
    assert case.parts.keys() == set(case.rules.names), "property 3: components"
    for name, part in case.parts.items():
        request, limit = part["request"], part["limit"]
        assert limit["memory_mib"] >= case.rules.rows[name]["floor_mib"], f"property 3: {name}"
        assert request["cpu_m"] >= case.rules.rows[name]["cpu_floor_m"], f"property 3: {name}"
        assert 0 < request["memory_mib"] <= limit["memory_mib"], f"property 3: {name}"
        assert 0 < request["cpu_m"] <= limit["cpu_m"] <= case.facts["cores"] * 1000, f"property 3: {name}"


def property_5_postgres_has_two_fifths_of_memory(case: Case) -> None:
    """From 24 GiB allocatable up, with the default profile, where the node gives out three quarters of its memory.

    Where it gives out less, all shares fall together (docs/deviations.md). A GPU's unified memory has another owner,
    and an inventory that sets shares or sizes of its own wants another sum.
    """
    allocatable = case.tuning["basis"]["allocatable_mib"]
    own = {key for key in case.overrides if key.endswith("_percent") or key in ("floor_mib", "ceiling_mib")}
    if (
        case.rules.profile != "default"
        or allocatable < max(24 * 1024, case.facts["memory_mib"] * 3 / 4)
        or case.tuning["inference"]["accelerator"] == "unified"
        or own
    ):
        return
    wanted = case.tuning["basis"]["nominal_mib"] * 0.4
    assert abs(case.parts["postgres"]["limit"]["memory_mib"] - wanted) <= wanted * 0.1, "property 5"


def property_6_disk_and_streams_fit(case: Case) -> None:
    volumes = {name: part["storage_gib"] for name, part in case.tuning["components"].items() if "storage_gib" in part}
    second = volumes.pop("garage-hdd", 0) + volumes.pop("backups", 0)
    assert second <= case.facts.get("storage", {}).get("hdd_gib", 0), "property 6: hard disk"
    total = case.rules.disk_gib
    shared = sum(volumes[name] for name in ("garage", "nats", "postgres"))
    assert shared <= total - case.rules.reserved_gib(), "property 6: usable disk"
    assert sum(volumes.values()) <= total, "property 6: disk"
    store = case.tuning["components"]["nats"]["settings"]["max_file_store_mib"]
    assert sum(case.tuning["streams"].values()) <= store * MIB, "property 6: streams"
    assert store <= volumes["nats"] * 1024 * 9 // 10, "property 6: file store"


def property_7_postgres_fits_its_own_limit(case: Case) -> None:
    postgres = case.parts["postgres"]
    assert postgres_worst(postgres["settings"]) <= postgres["limit"]["memory_mib"], "property 7"


def property_8_the_same_facts_give_the_same_bytes(case: Case) -> None:
    again = tune(json.loads(json.dumps(case.facts)), case.preset, json.loads(json.dumps(case.overrides)))
    assert json.dumps(again) == json.dumps(case.tuning), "property 8"


def property_9_feasible_means_it_succeeds(rules: Oracle, error: str) -> None:
    """And what is not feasible is refused, for a reason that holds."""
    reasons = list(rules.refusals())
    assert any(reason in error for reason in reasons) if error else not reasons, f"property 9: {error!r}, {reasons}"


def property_10_no_slack(case: Case) -> None:
    """What is left is at most 2 % beside the headroom, or every share is at its target and no next replica fits."""
    rules, left = case.rules, Need(case.rules.room.hold, case.rules.room.requests, case.rules.room.cpu)
    for name, part in case.parts.items():
        left.hold -= rules.hold(name, part["limit"]["memory_mib"]) * copies(part)
        left.requests -= part["request"]["memory_mib"] * copies(part)
        left.cpu -= part["request"]["cpu_m"] * copies(part)
    assert left.hold >= 0 and left.requests >= 0 and left.cpu >= 0, "property 10: more than there is"
    if min(left.hold, left.requests) <= case.facts["memory_mib"] * 0.02:
        return
    for name, part in case.parts.items():
        assert part["limit"]["memory_mib"] == rules.limit(name, rules.base), f"property 10: {name} below its target"
    assert not next_replica_fits(case, left), "property 10: a replica fits"


def next_replica_fits(case: Case, left: Need) -> bool:
    """In the order of the fill: the first replica that cores allow and that is missing."""
    burst = [name for name in ("extract", "graph", "enrich") if name in case.parts]
    for number in range(2, max(map(case.rules.most_replicas, burst)) + 1):
        for name in burst:
            part = case.parts[name]
            missing = copies(part) < number <= case.rules.most_replicas(name)
            if missing and part["request"]["cpu_m"] <= left.cpu:
                memory = part["limit"]["memory_mib"], part["request"]["memory_mib"]
                return Need(*memory, part["request"]["cpu_m"]).fits(left)
    return False


# 10,000 machines, in pairs.
@settings(SLOW, max_examples=5000)
@given(
    machines(),
    PRESETS,
    OVERRIDES,
    st.one_of(st.integers(1, 64), st.integers(1, 4096), st.integers(1, 262144)),
    st.data(),
)
def test_property_4_more_memory_never_yields_less(
    facts: dict[str, Any], preset: str, overrides: dict[str, Any], more: int, data: st.DataObject
) -> None:
    """Of one profile, where the node gives out most of what there is more, or more of what there is.

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
        assert larger is not None, "property 4: refused"
    assume(larger is not None)
    assert smaller is not None and larger is not None
    assume(larger["profile"] == smaller["profile"])
    nothing_falls(smaller, larger)


def test_property_4_in_small_steps() -> None:
    """One machine with ever more memory: steps of a rule, as Postgres' workers have them, are rarely met by chance."""
    facts = {"cores": 64, "has_avx2": True}
    results = [tuned(facts | {"memory_mib": size}, "core", {"profile": "default"}) for size in range(7168, 32768, 16)]
    for smaller, larger in pairwise(results):
        assert smaller is not None and larger is not None
        nothing_falls(smaller, larger)


def nothing_falls(smaller: dict[str, Any], larger: dict[str, Any]) -> None:
    before, after = numbers(smaller), numbers(larger)
    assert before.keys() == after.keys(), "property 4"
    assert {path: (value, after[path]) for path, value in before.items() if after[path] < value} == {}, "property 4"


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


@settings(SLOW, max_examples=1000)
@given(machines(), PRESETS, OVERRIDES)
def test_it_has_the_documented_shape_and_every_number_is_explained_once(
    facts: dict[str, Any], preset: str, overrides: dict[str, Any]
) -> None:
    tuning = tuned(facts, preset, overrides)
    assume(tuning is not None)
    assert tuning is not None
    lines = {line["path"]: line["value"] for line in tuning["explain"]}
    assert len(lines) == len(tuning["explain"])
    assert list(SCHEMA.iter_errors(tuning)) == []
    assert dict(leaves({key: tuning[key] for key in ("basis", "node", "components", "streams", "inference")})) == lines


def leaves(tree: dict[str, Any], prefix: str = "") -> Any:
    """Every number with its path, but the least number of replicas, 1 of all that is not switched off, and kinds."""
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from leaves(value, f"{path}.")
        elif path not in ("basis.source", "inference.accelerator") and (
            not path.endswith("replicas.min") or value == 0
        ):
            yield path, value
