# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong is named with its key, its rule and what is allowed; and overrides do what they say."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.ai.plugins.filter.tuning_profile import FilterModule, tuning_profile

from tests.unit.plugins.tuning.machines import at

FACTS: dict[str, Any] = {"memory_mib": 31950, "cores": 8, "has_avx2": True, "storage": {"total_gib": 200}}


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ([], "facts: [] is no dictionary"),
        ({"cores": 2}, "facts.memory_mib: required"),
        ({"memory_mib": 8192}, "facts.cores: required"),
        (FACTS | {"memory_mb": 1}, "facts: 'memory_mb' is unknown, allowed are memory_mib, nominal_mib"),
        (FACTS | {"memory_mib": "8192"}, "facts.memory_mib: '8192' is no whole number of at least 1"),
        (FACTS | {"cores": 0}, "facts.cores: 0 is no whole number of at least 1"),
        (FACTS | {"cores": True}, "facts.cores: True is no whole number"),
        (FACTS | {"nominal_mib": 30000}, "facts.nominal_mib: 30000 is less than memory_mib, 31950"),
        (FACTS | {"allocatable_mib": 31951}, "facts.allocatable_mib: 31951 is more than memory_mib, 31950"),
        (FACTS | {"environment": ["local"]}, "facts.environment: ['local'] is unknown, allowed are local"),
        (FACTS | {"environment": "cloud"}, "facts.environment: 'cloud' is unknown, allowed are local, kubernetes"),
        (FACTS | {"has_avx2": "yes"}, "facts.has_avx2: 'yes' is neither true nor false"),
        (
            FACTS | {"gpu": {"vram": 1}},
            "facts.gpu: 'vram' is unknown, allowed are present, devices",
        ),
        (FACTS | {"gpu": {"is_jetson": True}}, "facts.gpu.present: false, but"),
        (FACTS | {"gpu": {"devices": [{"memory_mib": 1}]}}, "facts.gpu.present: false, but"),
        (FACTS | {"gpu": {"present": True, "devices": "a"}}, "facts.gpu.devices: 'a' is no list"),
        (
            FACTS | {"gpu": {"present": True, "devices": [{}]}},
            "facts.gpu.devices[0].memory_mib: None is no whole",
        ),
        (FACTS | {"storage": {"class": "tape"}}, "facts.storage.class: 'tape' is unknown, allowed are nvme, ssd, hdd"),
        (FACTS | {"storage": {"free": 1}}, "facts.storage: 'free' is unknown, allowed are total_gib, class, hdd_gib"),
        (FACTS | {"storage": {"total_gib": 18}}, "facts.storage.total_gib: 18 GiB - 9 GiB reserved"),
        ({"memory_mib": 600, "cores": 2}, "preset core does not fit: physical 600 - host 414 - headroom 12 = 174 MiB"),
        ({"memory_mib": 300, "cores": 2}, "leaves nothing: use a larger machine"),
    ],
)
def test_facts(facts: Any, says: str) -> None:
    if says.startswith("facts.storage.total_gib"):
        tuning_profile(facts | {"storage": {"total_gib": 19}})
    with pytest.raises(AnsibleFilterError, match=r"^homelab\.ai\.tuning_profile: ") as caught:
        tuning_profile(facts)
    assert says in str(caught.value)


def test_a_refusal_counts_from_the_whole_machine_down() -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        tuning_profile({"memory_mib": 4096, "cores": 4, "gpu": {"present": True, "is_jetson": True, "unified": True}})
    found = re.search(r"physical (\d+) - host (\d+) - headroom (\d+) - inference (\d+) = (\d+) MiB", str(caught.value))
    assert found
    physical, host, headroom, inference, left = map(int, found.groups())
    assert physical == 4096 == host + headroom + inference + left and min(host, headroom, inference) > 0


@pytest.mark.parametrize("more", [{}, {"allocatable_mib": 7000}])
def test_a_refusal_of_unified_memory_says_how_much_of_it_models_may_have(more: dict[str, int]) -> None:
    """A Jetson Orin with 8 GB: switching components off frees too little."""
    facts = {"memory_mib": 7620, "cores": 6, "has_neon": True, "gpu": {"present": True, "is_jetson": True}} | more
    with pytest.raises(AnsibleFilterError, match=r"models get 5334 MiB of unified memory") as caught:
        tuning_profile(facts)
    found = re.search(r"ollama_vram_percent: (\d+) ", str(caught.value))
    assert found
    percent = int(found[1])
    assert tuning_profile(facts, "core", {"ollama_vram_percent": percent})["inference"]["budget_mib"] > 0
    with pytest.raises(AnsibleFilterError):
        tuning_profile(facts, "core", {"ollama_vram_percent": percent + 1})
    # Where the models' memory would not be enough either, it is no advice.
    with pytest.raises(AnsibleFilterError) as caught:
        tuning_profile(facts | {"memory_mib": 4096, "allocatable_mib": 4096})
    assert "ollama" not in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"postgress_percent": 4}, "overrides: 'postgress_percent' is unknown, allowed are profile, profiles"),
        ({"postgres_percent": 101}, "overrides.postgres_percent: 101 is no percentage from 0 to 100"),
        ({"postgres_percent": "40"}, "overrides.postgres_percent: '40' is no percentage"),
        ({"postgres_percent": 40, "postgres_ram_percent": 40}, "another name of postgres_percent, which is given too"),
        ({"postgres_percent": 90}, "postgres_percent 90 + jetstream_percent 5 + oxigraph_percent 8"),
        ({"garage_percent": 71}, "shares of the disk are garage_percent 71"),
        ({"hdd_backup_percent": 51}, "shares of the hard disk are"),
        ({"postgres_shared_buffers_percent": 51}, "shares of Postgres' own limit are"),
        ({"profile": "huge"}, "overrides.profile: 'huge' is unknown, allowed are default, low_memory"),
        ({"profile": 4}, "overrides.profile: 4 is no name"),
        ({"profile": ""}, "overrides.profile: '' is no name"),
        ({"profiles": {4: {}}}, "overrides.profiles: 4 is no name"),
        ({"profiles": {"a": {"like": ["b"]}}, "profile": "a"}, "overrides.profiles.a.like: ['b'] is unknown"),
        ({"profiles": {"a": {"like": "b"}}, "profile": "a"}, "overrides.profiles.a.like: 'b' is unknown"),
        ({"profiles": {"a": {"like": "a"}}, "profile": "a"}, "overrides.profiles.a.like: a circle, a -> a"),
        ({"profiles": {"a": {"ram": 4}}}, "overrides.profiles.a: 'ram' is unknown, allowed are like, postgres_percent"),
        ({"extract_engine": []}, "overrides.extract_engine: [] is unknown, allowed are text, layout"),
        ({"extract_engine": "ocr"}, "overrides.extract_engine: 'ocr' is unknown, allowed are text, layout"),
        ({"without": "chat"}, "overrides.without: 'chat' is no list of components"),
        ({"without": ["nats"]}, "overrides.without: 'nats' is unknown, allowed are embedder, chat, enrich"),
        ({"floor_mib": {"ntas": 4}}, "overrides.floor_mib: 'ntas' is unknown, allowed are nats"),
        ({"floor_mib": {"nats": 0}}, "overrides.floor_mib.nats: 0 is no whole number of at least 1"),
        ({"ceiling_mib": {"nats": 64}}, "overrides.ceiling_mib.nats: 64 MiB is below the floor, 128 MiB"),
        ({"ceiling_mib": {"chat": 64}}, "overrides.ceiling_mib: 'chat' is unknown, allowed are nats, postgres"),
        (
            {"max_replicas": {"query": 2}},
            "overrides.max_replicas: 'query' is unknown, allowed are extract, graph",
        ),
        (
            {"settings": {"nats": {"port": 1}}},
            "overrides.settings.nats: 'port' is unknown, allowed are max_memory",
        ),
        ({"settings": {"chat": {"slots": 0}}}, "overrides.settings.chat.slots: 0 is no whole number of at least 1"),
        ({"settings": {"embedder": {"quantisation": "q4"}}}, "quantisation: 'q4' is unknown, allowed are f16, q8_0"),
        ({"settings": {"postgres": {"work_mem_mib": 150}}}, "80 connections and 8 workers with work_mem 150"),
        ({"settings": {"nats": {"max_file_store_mib": 900000}}}, "is more than 90 % of the volume of 33 GiB"),
        # 90 % of 33 GiB are 30412.8 MiB.
        ({"settings": {"nats": {"max_file_store_mib": 30413}}}, "30413 MiB is more than 90 % of the volume of 33 GiB"),
        ({"settings": {"nats": {"max_file_store_mib": 4}}}, "stream KG: less than 1 MiB of a file store of 4 MiB"),
        ({"storage_reserved_gib": {"os": 185}}, "200 GiB - 192 GiB reserved leaves 8 GiB, at least 10 GiB are needed"),
        ({"storage_reserved_gib": {"os": 300}}, "200 GiB - 300 GiB reserved leaves -100 GiB"),
        (
            {"settings": {"nats": {"gomemlimit_mib": 1598}}},
            "overrides.settings.nats.gomemlimit_mib: 1598 MiB is more than the memory limit, 1597 MiB: lower it or",
        ),
        ({"settings": {"nats": {"max_memory_store_mib": 9999}}}, "overrides.settings.nats.max_memory_store_mib: 9999"),
        ({"settings": {"extract": {"max_rss_mib": 1025}}}, "1024 MiB: lower it or raise overrides.floor_mib.extract"),
        ({"hpa_threshold_percent": 101}, "overrides.hpa_threshold_percent: 101 is more than 100 %"),
        ({"cpu_floor_m": {"chat": 9000}}, "processors do not suffice: 8000 m - host 800 m = 7200 m, but"),
    ],
)
def test_overrides(overrides: dict[str, Any], says: str) -> None:
    with pytest.raises(AnsibleFilterError, match=r"^homelab\.ai\.tuning_profile: ") as caught:
        tuning_profile(FACTS, "core", overrides)
    assert says in str(caught.value)


def test_an_engine_is_advised_only_where_it_takes_less() -> None:
    for floor, advised in ((600, False), (1025, True)):
        with pytest.raises(AnsibleFilterError, match=r"does not fit") as caught:
            tuning_profile(FACTS | {"memory_mib": 2048}, "core", {"floor_mib": {"extract": floor}})
        assert ("extract_engine: text" in str(caught.value)) == advised


def test_preset() -> None:
    with pytest.raises(AnsibleFilterError, match="preset: 'all' is unknown, allowed are core, full"):
        tuning_profile(FACTS, "all")
    with pytest.raises(AnsibleFilterError, match=r"preset: \['core'\] is unknown, allowed are core, full"):
        tuning_profile(FACTS, ["core"])


@pytest.mark.parametrize(
    ("overrides", "path", "value"),
    [
        ({"postgres_ram_percent": 25}, "components.postgres.limit.memory_mib", 31950 // 4),
        ({"jetstream_memory_max_percent": 2}, "components.nats.limit.memory_mib", 639),
        ({"profiles": {"mine": {"postgres_percent": 20}}, "profile": "mine"}, "profile", "mine+cpu_optimized"),
        ({"profiles": {"default": {"postgres_percent": 20}}}, "components.postgres.limit.memory_mib", 6390),
        ({"profile": "high_memory"}, "components.postgres.limit.memory_mib", 14377),
        ({"floor_mib": {"chat": 3000}}, "components.chat.limit.memory_mib", 3000),
        ({"ceiling_mib": {"nats": 128}}, "components.nats.limit.memory_mib", 128),
        ({"ceiling_mib": {"postgres": 4096}}, "components.postgres.limit.memory_mib", 4096),
        ({"without": ["chat"]}, "components.chat.replicas", {"min": 0, "max": 0}),
        ({"extract_engine": "layout"}, "components.extract.limit.memory_mib", 4096),
        ({"max_replicas": {"extract": 1}}, "components.extract.replicas.max", 1),
        ({"max_replicas": {"graph": 5}}, "components.graph.replicas.max", 5),
        ({"settings": {"chat": {"context": 4096}}}, "components.chat.settings.context", 4096),
        ({"settings": {"nats": {"gomemlimit_mib": 1597}}}, "components.nats.settings.gomemlimit_mib", 1597),
        ({"settings": {"nats": {"max_file_store_mib": 30411}}}, "components.nats.settings.max_file_store_mib", 30411),
        ({"settings": {"nats": {"max_file_store_mib": 1024}}}, "components.nats.settings.max_file_store_mib", 1024),
        ({"k3s_reserved_memory_percent": 20}, "node.reserved_mib", 6390),
        ({"k3s_reserved_cpu_percent": 25}, "node.reserved_mcpu", 2000),
        ({"hpa_threshold_percent": 60}, "components.extract.replicas.cpu_percent", 60),
        ({"hpa_memory_threshold_percent": 60}, "components.extract.replicas.memory_percent", 60),
        ({"cpu_floor_m": {"query": 999}}, "components.query.request.cpu_m", 999),
        ({"streams_gib": {"INGEST": 1}}, "streams.INGEST", 1024**3),
        ({"storage_reserved_gib": {"oxigraph": 7}}, "components.oxigraph.storage_gib", 7),
        ({"garage_percent": 50}, "components.garage.storage_gib", 84),
        # 200 - 150 - 16 for images, models and oxigraph; none of the 150 GiB is lost to the limit for our own rows.
        ({"storage_reserved_gib": {"os": 150}}, "components.garage.storage_gib", 23),
    ],
)
def test_an_override_goes_before_the_data(overrides: dict[str, Any], path: str, value: Any) -> None:
    assert at(tuning_profile(FACTS), path) != value
    assert at(tuning_profile(FACTS, "core", overrides), path) == value


@pytest.mark.parametrize(
    ("memory", "gpu", "vector", "profile"),
    [
        (14900, False, False, "low_memory"),
        (14909, False, False, "low_memory"),
        (14910, False, False, "default"),
        (16384, False, True, "default+cpu_optimized"),
        (31000, True, True, "gpu_optimized"),
        (32768, False, False, "default"),
        (32769, False, False, "high_memory"),
        (64000, True, False, "high_memory_gpu"),
        (8000, True, True, "low_memory"),
    ],
)
def test_selection(memory: int, gpu: bool, vector: bool, profile: str) -> None:
    facts = {"memory_mib": memory, "cores": 4, "has_neon": vector, "gpu": {"present": gpu}}
    assert tuning_profile(facts)["profile"] == profile


def test_warnings() -> None:
    assert tuning_profile(FACTS)["warnings"] == []
    bare = {"memory_mib": 31950, "cores": 8, "allocatable_mib": 31950, "gpu": {"present": True}}
    found = tuning_profile(bare, "core", {"without": ["chat"]})["warnings"]
    starts = (
        "No AVX2",
        "storage.total_gib is unknown",
        "The node gives out 31950",
        "gpu.devices is empty",
        "chat takes nothing here",
    )
    assert [line.startswith(start) for line, start in zip(found, starts, strict=True)] == [True] * 5
    small = tuning_profile(FACTS | {"memory_mib": 6000, "allocatable_mib": 3300})["warnings"]
    assert any("no more allocatable memory is left" in line for line in small)


def test_a_model_server_with_settings_of_its_own_needs_a_floor_of_its_own() -> None:
    """Two slots of 8192 tokens take 767 MiB by llama_plan; the floor of 565 is for 2048."""
    said: dict[str, Any] = {"settings": {"chat": {"context": 8192, "slots": 2}}}
    (warning,) = tuning_profile(FACTS, "core", said)["warnings"]
    assert warning.startswith(
        "chat may take more than its limit with other context, slots: set overrides.floor_mib.chat"
    )
    assert tuning_profile(FACTS, "core", said | {"floor_mib": {"chat": 882}})["warnings"] == []
    assert tuning_profile(FACTS, "core", {"settings": {"chat": {"threads": 2}}})["warnings"] == []
    assert len(tuning_profile(FACTS, "core", said | {"without": ["chat"]})["warnings"]) == 1


def test_switched_off_twice_is_switched_off() -> None:
    once, twice = (tuning_profile(FACTS, "core", {"without": ["chat"] * times}) for times in (1, 2))
    assert once == twice


def test_facts_and_overrides_are_left_alone() -> None:
    facts, overrides = {**FACTS, "gpu": {}}, {"settings": {"chat": {"slots": 3}}, "without": ["embedder"]}
    before = (repr(facts), repr(overrides))
    tuning_profile(facts, "core", overrides)
    assert (repr(facts), repr(overrides)) == before


def test_names() -> None:
    assert FilterModule().filters() == {"tuning_profile": tuning_profile}
