# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.ai.plugins.module_utils._cpu import CAPABILITIES, read_cpu
from ansible_collections.homelab.ai.plugins.module_utils._ggml import best_variant
from ansible_collections.homelab.ai.plugins.module_utils._hostfs import Host
from ansible_collections.homelab.ai.plugins.module_utils._memory import nominal_mib
from hypothesis import given
from hypothesis import strategies as st
from recorded_machines import NAMES, build, pick, read_fixture

CASES = yaml.safe_load(Path(__file__).with_suffix(".yml").read_text())


def facts_of(host: Host) -> dict[str, Any]:
    facts, notes = read_cpu(host)
    return {**facts, "reasons": notes.reasons}


@pytest.mark.parametrize("name", CASES["machines"])
def test_recorded_machine(name: str, tmp_path: Path) -> None:
    facts = facts_of(build(name, tmp_path))
    wanted = CASES["machines"][name]
    assert {path: pick(facts, path) for path in wanted} == wanted


@pytest.mark.parametrize("name", NAMES)
def test_each_fixture_says_where_it_comes_from(name: str) -> None:
    assert all(len(line) > 20 for line in read_fixture(name)["source"])


@pytest.mark.parametrize("name", NAMES)
def test_top_level_keys_repeat_those_below_cpu_and_are_json(name: str, tmp_path: Path) -> None:
    facts = facts_of(build(name, tmp_path))
    assert json.loads(json.dumps(facts)) == facts
    for key in ("flags", "has_avx", "has_avx2", "has_avx512", "has_neon"):
        assert facts[key] == facts["cpu"][key]


def test_an_unreadable_machine_gets_careful_values_and_reasons(tmp_path: Path) -> None:
    facts, notes = read_cpu(Host(str(tmp_path), "x86_64"))
    assert not any(facts["cpu"][name] for name in CAPABILITIES)
    assert facts["cpu"]["ggml_variant"] == "x64"
    assert (facts["cpu"]["threads"], facts["cpu"]["effective"]) == (1, {"cpus": 1.0, "memory_mib": None})
    assert [text.split(" ")[0] for text in notes.warnings] == ["/proc/cpuinfo", "neither", "/proc/meminfo"]
    assert set(notes.warnings) <= set(notes.reasons)


def test_a_container_that_sees_fewer_processors_in_proc_than_in_sys(tmp_path: Path) -> None:
    host = build("laptop_i7_1165g7", tmp_path)
    cpuinfo = tmp_path / "proc" / "cpuinfo"
    cpuinfo.write_text("\n\n".join(cpuinfo.read_text().split("\n\n")[:2]))  # as lxcfs does
    facts, notes = read_cpu(host)
    assert (facts["cpu"]["threads"], facts["cpu"]["effective"]["cpus"]) == (2, 2.0)
    assert "/sys counts 8 processors and /proc/cpuinfo 2: the smaller is taken" in notes.reasons


def test_processors_that_are_off_do_not_count(tmp_path: Path) -> None:
    host = build("laptop_i7_1165g7", tmp_path)
    (tmp_path / "sys/devices/system/cpu/online").write_text("0-3\n")
    assert read_cpu(host)[0]["cpu"]["threads"] == 4


def test_older_kernels_call_the_threads_of_a_core_siblings(tmp_path: Path) -> None:
    host = build("laptop_i7_1165g7", tmp_path)
    for file in tmp_path.glob("sys/devices/system/cpu/cpu*/topology/core_cpus_list"):
        file.rename(file.with_name("thread_siblings_list"))
    assert read_cpu(host)[0]["cpu"]["cores"] == 4


def test_cores_by_cpuinfo_where_sys_tells_nothing(tmp_path: Path) -> None:
    host = build("laptop_i7_1165g7", tmp_path)
    shutil.rmtree(tmp_path / "sys")
    cpu = read_cpu(host)[0]["cpu"]
    assert (cpu["sockets"], cpu["cores"], cpu["threads"], cpu["caches"]) == (1, 4, 8, [])


def test_arm_servers_with_firmware_tables_know_their_sockets(tmp_path: Path) -> None:
    host = build("phone_big_little", tmp_path)
    (tmp_path / "sys/firmware/acpi").mkdir(parents=True)
    assert read_cpu(host)[0]["cpu"]["sockets"] == 3


@pytest.mark.parametrize("case", CASES["variants"], ids=lambda case: str(case["variant"]))
def test_variant(case: dict[str, str]) -> None:
    assert best_variant(case["architecture"], case["flags"].split()) == case["variant"]


@given(st.sets(st.sampled_from("fma f16c sse4_2 bmi2 avx avx2 avx_vnni avx512f avx512cd avx512vl avx512dq".split())))
def test_no_variant_of_avx512_without_all_its_parts(flags: set[str]) -> None:
    assert best_variant("x86_64", flags) in {
        *("x64", "sse42", "sandybridge", "ivybridge", "piledriver", "haswell", "alderlake"),
    }


@pytest.mark.parametrize("case", CASES["nominal"], ids=lambda case: case["source"][:20])
def test_nominal(case: dict[str, Any]) -> None:
    assert nominal_mib(case["kib"] // 1024) == case["gib"] * 1024


@given(st.integers(1, 4 << 20), st.integers(0, 1 << 20))
def test_nominal_is_never_below_and_never_less_for_more(total: int, more: int) -> None:
    assert total <= nominal_mib(total) <= nominal_mib(total + more)
    assert nominal_mib(total) <= max(total * 1.08, total + 1024)


@given(st.integers(0, 12).map(lambda power: 1024 << power))
def test_nominal_of_what_was_sold_is_itself(size: int) -> None:
    assert nominal_mib(size) == size
