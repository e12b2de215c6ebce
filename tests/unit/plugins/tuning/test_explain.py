# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`binding` tells the truth: a change of what it names, and of nothing else, moves the number.

Where it names several, each is needed: the others alone, however much more there is of them, do not move it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning import tune
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_data import TuningError
from hypothesis import HealthCheck, assume, given, settings

from tests.unit.plugins.tuning.golden import MACHINES
from tests.unit.plugins.tuning.machines import DATA, OVERRIDES, PRESETS, at, machines, tuned

Case = tuple[dict[str, Any], str, dict[str, Any]]
RISES = (1.03, 1.1, 1.3, 2, 4, 10)
FACTORS = (0.12, 0.3, 0.5, 0.8, 0.9, 0.97, *RISES)
GIB = 1024**3


def with_memory(facts: dict[str, Any], memory: int) -> dict[str, Any]:
    """The same machine with other memory, whose node and nominal size stay possible."""
    changed = facts | {"memory_mib": memory}
    if "nominal_mib" in facts:
        changed["nominal_mib"] = max(memory, facts["nominal_mib"])
    if "allocatable_mib" in facts:
        changed["allocatable_mib"] = min(memory, facts["allocatable_mib"])
    return changed


def changed_facts(facts: dict[str, Any], binding: str, factors: Sequence[float]) -> Iterator[dict[str, Any]]:
    storage, gpu = facts.get("storage", {}), facts.get("gpu", {})
    if binding == "memory_mib":
        sizes = [int(facts["memory_mib"] * factor) for factor in factors]
        sizes += [16384] if factors == FACTORS else []
        yield from (with_memory(facts, size) for size in sizes)
    elif binding in ("allocatable_mib", "nominal_mib"):
        for value in (facts["memory_mib"], *(int(facts[binding] * factor) for factor in factors)):
            if value == facts["memory_mib"] or (value < facts["memory_mib"]) == (binding == "allocatable_mib"):
                yield facts | {binding: value}
    elif binding == "cores":
        counts = (1, 2, 4, 8, 16, 64, facts["cores"] * 2, facts["cores"] + 1)
        yield from (facts | {"cores": cores} for cores in counts if factors == FACTORS or cores > facts["cores"])
    elif binding == "has_avx2":
        yield facts | {"has_avx2": not facts.get("has_avx2", False)}
    elif binding == "storage.total_gib":
        now = storage.get("total_gib", 200)
        yield from (facts | {"storage": storage | {"total_gib": int(now * factor)}} for factor in factors)
    elif binding == "storage.hdd_gib":
        yield facts | {"storage": storage | {"hdd_gib": storage["hdd_gib"] * 2 + 10}}
    elif binding == "gpu.devices":
        yield facts | {"gpu": gpu | {"devices": [*gpu.get("devices", []), {"memory_mib": 10240}]}}
    else:
        raise AssertionError(f"binding {binding} is no fact")


def changed_overrides(overrides: dict[str, Any], binding: str, value: Any) -> Iterator[dict[str, Any]]:
    _unused, key, *names = binding.split(".")
    if isinstance(value, str):
        candidates: list[Any] = ["f16", "q8_0"]
    elif key == "streams_gib":
        candidates = [max(1, value // GIB // 2), value // GIB * 2 + 1]
    elif key.endswith("_percent"):
        candidates = [0, 1, 5, 10, 25, 70]
    else:
        candidates = [1, value // 2, value - 1, value + 1, value * 2, value * 4]
    if key == "floor_mib":  # lines that follow from a floor have values of their own
        now = overrides.get(key, {}).get(names[0], DATA["components"][names[0]].get("floor_mib", 1024))
        candidates += [now - 1, now + 20, now + 100, now * 2]
    for candidate in candidates:
        said = copy.deepcopy(overrides)
        place = said
        for name in (key, *names)[:-1]:
            place = place.setdefault(name, {})
        place[(key, *names)[-1]] = candidate
        yield said


def untrue_lines(facts: dict[str, Any], preset: str, overrides: dict[str, Any]) -> list[str]:
    """Lines of explain whose binding does not move their number."""
    tuning = tuned(facts, preset, overrides)
    assert tuning is not None
    results: dict[str, list[dict[str, Any]]] = {}
    untrue = []
    for line in tuning["explain"]:
        path, value, binding = line["path"], line["value"], line["binding"]
        found: Iterable[dict[str, Any]]
        if binding == "overrides.without":
            name = path.split(".")[1]
            others = [other for other in overrides["without"] if other != name]
            on = tuned(facts, preset, overrides | {"without": others})
            assert name in overrides["without"]
            found = [on or {}]  # a machine that is refused with it has none of it either way
        elif "overrides." in binding:
            found = neighbours(facts, preset, overrides, binding, value)
        else:  # many lines share a fact
            if binding not in results:
                results[binding] = list(neighbours(facts, preset, overrides, binding, value))
            found = results[binding]
        if not any(at(result, path) != value for result in found):
            untrue.append(f"{path} = {value}, binding {binding}")
        for name in needless(facts, preset, overrides, line):
            untrue.append(f"{path} = {value}, binding {binding}, but it moves without {name}")
    return untrue


def needless(facts: dict[str, Any], preset: str, overrides: dict[str, Any], line: dict[str, Any]) -> Iterator[str]:
    """Names of a binding that the others do not need to move its number."""
    names = line["binding"].split(" and ")
    if len(names) == 1:
        return
    for name in names:
        # Some more memory alone may do for a replica, and much more not: shares grow with it, and are requested too.
        if name == "allocatable_mib" and line["path"].endswith("replicas.max"):
            continue
        others = " and ".join(other for other in names if other != name)
        found = neighbours(facts, preset, overrides, others, line["value"], RISES)
        if any(at(result, line["path"]) != line["value"] for result in found):
            yield name


def neighbours(
    facts: dict[str, Any],
    preset: str,
    overrides: dict[str, Any],
    binding: str,
    value: Any,
    factors: Sequence[float] = FACTORS,
) -> Iterator[dict[str, Any]]:
    """Results with other values of what `binding` names, of all of them at once where it names several."""
    cases = [(facts, overrides)]
    names = binding.split(" and ")
    if len(names) > 1:
        factors = RISES
    for name in names:
        if name.startswith("overrides."):
            cases = [(fact, said) for fact, old in cases for said in changed_overrides(old, name, value)]
        else:
            cases = [(fact, said) for old, said in cases for fact in changed_facts(old, name, factors)]
    for fact, said in cases:
        with suppress(TuningError):  # a neighbour may be one that nobody would ask for
            yield tune(fact, preset, said)


@pytest.mark.parametrize("name", [name for name, case in MACHINES.items() if tuned(*case) is not None])
def test_golden_machines(name: str) -> None:
    assert untrue_lines(*MACHINES[name]) == []


# The same machines each time: a binding that would move its number only beyond the neighbours tried here is no fault.
@settings(deadline=None, derandomize=True, max_examples=40, suppress_health_check=list(HealthCheck))
@given(machines(), PRESETS, OVERRIDES)
def test_any_machine(facts: dict[str, Any], preset: str, overrides: dict[str, Any]) -> None:
    assume(tuned(facts, preset, overrides) is not None)
    assert untrue_lines(facts, preset, overrides) == []


@pytest.mark.parametrize(
    ("overrides", "binding"),
    [
        ({}, "memory_mib"),
        ({"postgres_percent": 0}, "overrides.floor_mib.postgres"),
        ({"ceiling_mib": {"postgres": 1000}}, "overrides.ceiling_mib.postgres"),
    ],
)
def test_workers_of_postgres_are_bound_by_what_bounds_its_memory(overrides: dict[str, Any], binding: str) -> None:
    facts = {"memory_mib": 31950, "cores": 64, "has_avx2": True}
    explain = {entry["path"]: entry["binding"] for entry in tuned(facts, "core", overrides)["explain"]}
    assert explain["components.postgres.settings.max_parallel_workers"] == binding


REPLICAS = "components.extract.replicas.max"
WORKERS = "components.postgres.settings.max_parallel_workers"
CORES = "components.extract.limit.cpu_m"


@pytest.mark.parametrize(
    ("facts", "path", "binding"),
    [
        ({"memory_mib": 32000, "allocatable_mib": 8000}, REPLICAS, "allocatable_mib"),
        ({"memory_mib": 10000, "allocatable_mib": 9000}, REPLICAS, "memory_mib and allocatable_mib"),
        ({"memory_mib": 10000}, REPLICAS, "memory_mib"),
        ({"memory_mib": 32000, "allocatable_mib": 8000, "cores": 64}, WORKERS, "allocatable_mib"),
        ({"memory_mib": 32000, "allocatable_mib": 30000, "cores": 64}, WORKERS, "memory_mib"),
        ({"memory_mib": 32000, "cores": 1, "has_avx2": False}, CORES, "cores"),
        ({"memory_mib": 32000, "cores": 2, "has_avx2": False}, CORES, "cores and has_avx2"),
        ({"memory_mib": 32000, "cores": 11, "has_avx2": False}, CORES, "cores and has_avx2"),
        ({"memory_mib": 32000, "cores": 12, "has_avx2": False}, CORES, "has_avx2"),
        ({"memory_mib": 32000, "cores": 2, "has_avx2": False}, "components.chunk.limit.cpu_m", "cores"),
        ({"memory_mib": 32000, "cores": 2, "has_avx2": False}, "components.graph.limit.cpu_m", "cores"),
    ],
)
def test_no_more_is_named_than_is_needed(facts: dict[str, Any], path: str, binding: str) -> None:
    tuning = tuned({"cores": 8, "has_avx2": True} | facts, "core", {})
    assert tuning is not None
    assert {entry["path"]: entry["binding"] for entry in tuning["explain"]}[path] == binding


@pytest.mark.parametrize(
    ("facts", "percent", "binding"),
    [
        ({"memory_mib": 16000}, 70, "memory_mib"),  # sold with 16 GiB
        ({"memory_mib": 16385}, 80, "memory_mib"),
        ({"memory_mib": 16000, "nominal_mib": 16384}, 70, "nominal_mib"),
        ({"memory_mib": 16000, "nominal_mib": 20480}, 80, "nominal_mib"),  # the rest is graphics memory
        ({"memory_mib": 20000, "nominal_mib": 24576}, 80, "overrides.hpa_memory_threshold_percent"),
    ],
)
def test_the_threshold_of_memory_for_replicas_goes_by_nominal_memory(
    facts: dict[str, int], percent: int, binding: str
) -> None:
    case = ({"cores": 8, "has_avx2": True} | facts, "core", {})
    tuning = tuned(*case)
    assert tuning is not None
    (line,) = [line for line in tuning["explain"] if line["path"] == "components.extract.replicas.memory_percent"]
    assert (line["value"], line["binding"]) == (percent, binding)
    assert untrue_lines(*case) == []


def test_a_limit_of_processors_that_is_its_request_is_bound_by_the_floor() -> None:
    tuning = tuned({"memory_mib": 32000, "cores": 8}, "core", {"cpu_floor_m": {"query": 4001}})
    assert tuning is not None
    (line,) = [line for line in tuning["explain"] if line["path"] == "components.query.limit.cpu_m"]
    assert (line["value"], line["binding"]) == (4001, "overrides.cpu_floor_m.query")


@pytest.mark.parametrize(("vector", "cores", "threads"), [(False, 18, 1), (True, 18, 4), (True, 4, 2)])
def test_the_extractor_has_whole_threads(vector: bool, cores: int, threads: int) -> None:
    tuning = tuned({"memory_mib": 32000, "cores": cores, "has_avx2": vector}, "core", {})
    assert tuning is not None
    (line,) = [line for line in tuning["explain"] if line["path"] == CORES]
    assert (line["value"], line["inputs"]["threads"]) == (max(2, threads) * 1000, threads)


POSTGRES_RULES = {
    "shared_buffers_mib": "25 % of the limit",
    "effective_cache_size_mib": "50 % of the limit",
    "work_mem_mib": "30 % of the limit over all processes, 1 to 32",
    "maintenance_work_mem_mib": "5 % of the limit, at most 1024",
    "max_parallel_workers_per_gather": "half of max_parallel_workers, 1 to 4",
    "max_parallel_workers": "75 % of the cores, one per 512 MiB of the limit",
    "max_worker_processes": "75 % of the cores, one per 512 MiB of the limit, and 2",
}


def test_a_rule_names_the_share_that_an_inventory_may_set() -> None:
    tuning = tuned({"memory_mib": 32000, "cores": 8}, "core", {})
    assert tuning is not None
    rules = {line["path"]: line["rule"] for line in tuning["explain"]}
    assert rules["components.nats.limit.memory_mib"].startswith("jetstream_percent of the level")
    assert rules["components.chat.limit.memory_mib"] == "the floor"
    assert rules["components.postgres.request.cpu_m"].startswith("postgres_cpu_percent of")
    assert rules["components.nats.request.cpu_m"].startswith("cpu_percent of")
    assert [rules[f"components.postgres.settings.{key}"] for key in POSTGRES_RULES] == list(POSTGRES_RULES.values())


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (5, 2), (15, 7), (16, 8), (33, 8)])
def test_model_servers_have_half_of_the_cores_as_whole_threads(cores: int, threads: int) -> None:
    tuning = tuned({"memory_mib": 32000, "cores": cores}, "core", {})
    found = at(tuning or {}, "components.chat.settings.threads")
    assert (found, type(found)) == (threads, int)


def test_a_small_disk_is_shared_in_whole_gibibytes() -> None:
    tuning = tuned({"memory_mib": 32000, "cores": 8, "storage": {"total_gib": 45}}, "core", {})
    found = at(tuning or {}, "components.oxigraph.storage_gib")
    assert (found, type(found)) == (2, int)  # 4 of 32, scaled to half of the disk: 2.75


@pytest.mark.parametrize(
    ("facts", "key", "binding", "more"),
    [
        # The least work_mem: the limit is that of the floor, and the share has to outgrow it first.
        ({"memory_mib": 8000, "cores": 64}, "work_mem_mib", "memory_mib", {"memory_mib": 512000}),
        # Few cores and a small limit: both hold the workers, and what is allocatable is not needed.
        (
            {"memory_mib": 32000, "cores": 2, "allocatable_mib": 19200},
            "max_worker_processes",
            "cores and memory_mib",
            {"memory_mib": 320000, "cores": 64},
        ),
    ],
)
def test_what_moves_settings_of_postgres_at_their_least(
    facts: dict[str, Any], key: str, binding: str, more: dict[str, int]
) -> None:
    path = f"components.postgres.settings.{key}"
    before, after = (
        {line["path"]: line for line in tune(given | {"has_avx2": True}, "core", {"postgres_percent": 2})["explain"]}
        for given in (facts, facts | more)
    )
    assert before[path]["binding"] == binding
    assert after[path]["value"] > before[path]["value"]
