# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever files hold and programs print: an answer of the right shape, JSON, and no traceback."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.ai.plugins.module_utils._cgroup import Limits, cpu_set, parse_cpu_max, parse_places
from ansible_collections.homelab.ai.plugins.module_utils._cpu import parse_cpuinfo, read_cpu
from ansible_collections.homelab.ai.plugins.module_utils._gpu import read_gpu
from ansible_collections.homelab.ai.plugins.module_utils._hostfs import Host, Output
from ansible_collections.homelab.ai.plugins.module_utils._jetson import (
    parse_cuda,
    parse_l4t,
    parse_power_mode,
    parse_power_modes,
)
from ansible_collections.homelab.ai.plugins.module_utils._memory import total_mib
from ansible_collections.homelab.ai.plugins.module_utils._nvidia_smi import NvidiaSmiError, parse_csv, parse_xml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recorded_machines import NAMES, read_fixture

RECORDED = [read_fixture(name) for name in NAMES]
FILES = sorted({path for fixture in RECORDED for path in fixture["files"]})
TEXTS = sorted({text for fixture in RECORDED for text in fixture["files"].values()})
OUTPUTS = sorted({output["stdout"] for fixture in RECORDED for output in fixture["commands"].values()})
WORDS = [
    "max",
    "-1",
    "0",
    "9223372036854771712",
    "99999999999999999999999",
    "0-99999",
    "1-0",
    "NaN",
    "²",
    "0x",
    "K",
    ":",
]


def torn(recorded: list[str]) -> st.SearchStrategy[str]:
    """Recorded text that ends too early or starts too late, numbers that cannot be, and anything else."""

    def tear(text: str, start: int, end: int) -> str:
        return text[start % (len(text) + 1) :][: end % (len(text) + 1)]

    places = st.integers(0, 4000)
    return st.one_of(
        st.sampled_from(recorded),
        st.builds(tear, st.sampled_from(recorded), places, places),
        st.sampled_from(WORDS),
        st.text(max_size=60),
    )


class MemoryHost(Host):
    """A machine whose files and programs are in memory."""

    def __init__(self, files: dict[str, str], output: Output | None, machine: str) -> None:
        super().__init__("/nonexistent", machine)
        self.files, self.output = files, output

    def text(self, path: str) -> str | None:
        text = self.files.get(path.lstrip("/"))
        return None if text is None else text.strip("\0 \t\r\n")

    def names(self, path: str, pattern: str) -> list[str]:
        below = path.strip("/") + "/"
        found = {name[len(below) :].split("/")[0] for name in self.files if name.startswith(below)}
        return sorted(name for name in found if re.fullmatch(pattern, name))

    def exists(self, path: str) -> bool:
        return path.lstrip("/") in self.files

    def run(self, argv: list[str]) -> Output | None:
        return self.output


HOSTS = st.builds(
    MemoryHost,
    st.dictionaries(st.sampled_from(FILES), torn(TEXTS), max_size=30),
    st.one_of(st.none(), st.builds(Output, st.integers(-1, 255), torn(OUTPUTS), st.text(max_size=30))),
    st.sampled_from(["x86_64", "aarch64", "armv7l", "riscv64", "???"]),
)
SLOW = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def assert_json(facts: dict[str, Any]) -> None:
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts


@SLOW
@given(HOSTS)
def test_any_machine_gets_an_answer_about_its_cpu(host: MemoryHost) -> None:
    facts, notes = read_cpu(host)
    assert_json(facts)
    cpu = facts["cpu"]
    assert 1 <= cpu["sockets"] <= cpu["cores"] <= cpu["threads"]
    assert 0 < cpu["effective"]["cpus"] <= cpu["threads"]
    total, nominal = cpu["memory"]["total_mib"], cpu["memory"]["nominal_mib"]
    assert (total is None) == (nominal is None)
    if total is not None:
        assert 0 < cpu["effective"]["memory_mib"] <= total <= nominal
    assert cpu["flags"] or not any(value for key, value in cpu.items() if key.startswith("has_"))
    assert set(notes.warnings) <= set(notes.reasons)


@SLOW
@given(HOSTS)
def test_any_machine_gets_an_answer_about_its_gpu(host: MemoryHost) -> None:
    facts, notes = read_gpu(host)
    assert_json(facts)
    gpu = facts["gpu"]
    assert gpu["present"] == (gpu["count"] > 0) == bool(gpu["devices"])
    assert gpu["is_jetson"] == (gpu["jetson"] is not None)
    for device in gpu["devices"]:
        assert device["usable_mib"] is None or device["usable_mib"] >= 2048
        if device["mig"] is None:
            assert device["usable_mib"] == (device["memory_mib"] if (device["memory_mib"] or 0) >= 2048 else None)
    assert facts["has_gpu"] == any(device["usable_mib"] for device in gpu["devices"])
    if facts["has_gpu"]:
        assert facts["gpu_name"] in [device["name"] for device in gpu["devices"]]
        assert facts["gpu_vram_mb"] >= 2048
    else:
        assert notes.reasons
    assert all(isinstance(device["name"], str) and device["name"] for device in gpu["devices"])


@SLOW
@given(st.one_of(torn(TEXTS), torn(OUTPUTS)))
def test_parsers_take_any_text(text: str) -> None:
    parse_cpuinfo(text)
    parse_cuda(text)
    parse_l4t(text)
    parse_power_mode(text)
    parse_power_modes(text)
    parse_cpu_max(text)
    total_mib(text)
    for parse in (parse_xml, parse_csv):
        try:
            parse(text)
        except NvidiaSmiError as error:
            assert 10 < len(str(error)) < 300


@given(torn(TEXTS), torn(TEXTS))
def test_places_take_any_text(cgroup: str, mountinfo: str) -> None:
    for place in parse_places(cgroup, mountinfo).values():
        assert place.upwards()[-1] == place.mount


@given(st.lists(st.floats(), max_size=5), st.lists(st.integers(), max_size=5))
def test_limits_keep_the_tightest_that_makes_sense(cpus: list[float], memory: list[int]) -> None:
    limits = Limits()
    for count in cpus:
        limits.cpu(count, "a")
    for size in memory:
        limits.memory(size, "b")
    assert limits.cpus is None or 0 < limits.cpus <= 1 << 16
    assert limits.memory_mib == min((size >> 20 for size in memory if 1 << 20 <= size < 1 << 60), default=None)


@given(st.sets(st.integers(0, 4095), min_size=1))
def test_cpu_lists_are_read_back(cpus: set[int]) -> None:
    assert cpu_set(",".join(str(cpu) for cpu in sorted(cpus))) == cpus


@pytest.mark.parametrize("text", ["", "a", "3-1", "0-65536", "1,,2", "0-1-2", "-1"])
def test_no_cpu_list(text: str) -> None:
    assert cpu_set(text) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_files_of_any_bytes_are_text(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    host = Host(str(tmp_path))
    assert isinstance(host.text("/file"), str)
    assert host.number("/file") is None or isinstance(host.number("/file"), int)


def test_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    host = Host(str(tmp_path))
    (tmp_path / "directory").mkdir()
    assert [host.text(path) for path in ("/missing", "/directory", "/a\0b")] == [None, None, None]
    assert host.names("/missing", ".*") == host.names("/a\0b", ".*") == []
    assert not host.exists("/missing")


def test_names_come_in_numeric_order(tmp_path: Path) -> None:
    for name in ("cpu10", "cpu2", "cpu0", "cpufreq"):
        (tmp_path / name).mkdir()
    assert Host(str(tmp_path)).names("/", r"cpu[0-9]+") == ["cpu0", "cpu2", "cpu10"]
