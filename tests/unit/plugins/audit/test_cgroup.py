# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.ai.plugins.module_utils._cgroup import parse_cpu_max, parse_places, read_limits
from ansible_collections.homelab.ai.plugins.module_utils._hostfs import Host
from recorded_machines import build

CASES = yaml.safe_load(Path(__file__).with_suffix(".yml").read_text())


@pytest.mark.parametrize("case", CASES["places"], ids=lambda case: case["source"][:20])
def test_places(case: dict[str, Any]) -> None:
    places = parse_places(case["cgroup"], case["mountinfo"])
    assert {name: [place.version, place.mount, place.path] for name, place in places.items()} == case["places"]


@pytest.mark.parametrize(("text", "cpus"), CASES["cpu_max"])
def test_cpu_max(text: str, cpus: float | None) -> None:
    assert parse_cpu_max(text) == cpus


def test_the_tightest_limit_on_the_way_up_holds(tmp_path: Path) -> None:
    groups = tmp_path / "sys/fs/cgroup/a/b"
    groups.mkdir(parents=True)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/a/b\n")
    (tmp_path / "proc/self/mountinfo").write_text("34 33 0:29 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    (groups / "memory.max").write_text("max\n")
    (groups / "memory.high").write_text(f"{3 << 30}\n")
    (groups.parent / "memory.max").write_text(f"{2 << 30}\n")
    (groups / "cpu.max").write_text("150000 100000\n")
    (groups.parent / "cpu.max").write_text("400000 100000\n")
    limits = read_limits(Host(str(tmp_path)))
    assert (limits.memory_mib, limits.cpus) == (2048, 1.5)
    assert limits.source == "cgroup v2 cpu.max, cgroup v2 memory.max"
    (groups / "memory.high").write_text(f"{1 << 30}\n")
    limits = read_limits(Host(str(tmp_path)))
    assert (limits.memory_mib, limits.source) == (1024, "cgroup v2 cpu.max, cgroup v2 memory.high")


def test_affinity_limits_too(tmp_path: Path) -> None:
    host = build("laptop_i7_1165g7", tmp_path)
    (tmp_path / "proc/self").mkdir()
    (tmp_path / "proc/self/status").write_text("Cpus_allowed:\t5\nCpus_allowed_list:\t0,2\n")
    limits = read_limits(host)
    assert (limits.cpus, limits.source) == (2.0, "CPU affinity")


def test_v1_without_limits_has_none(tmp_path: Path) -> None:
    limits = read_limits(build("this_vm", tmp_path))
    assert (limits.memory_mib, limits.cpus, limits.source) == (None, None, None)
