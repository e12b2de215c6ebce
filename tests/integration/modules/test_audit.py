# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""cpu_flags and gpu_detect on this machine, against what lscpu, nproc and /proc/meminfo say of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from module_runner import Runner

CGROUPS = Path("/sys/fs/cgroup")
LIMITS = {"memory": ("memory.limit_in_bytes", str(768 << 20)), "cpu": ("cpu.cfs_quota_us", "150000")}


def say(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}).stdout


def facts(runner: Runner, module: str) -> dict[str, Any]:
    """What check mode, a run and a second run agree on."""
    results = replace(runner, module=module)({"check": True}, {}, {}).tasks
    assert not any(result.get("failed") or result["changed"] or result.get("diff") for result in results), results
    assert results[0] == results[1] == results[2]
    return results[1]


def test_cpu_flags_agrees_with_lscpu(runner: Runner) -> None:
    cpu = facts(runner, "cpu_flags")["cpu"]
    told = {row["field"].rstrip(":"): row["data"] for row in json.loads(say("lscpu", "--json"))["lscpu"]}
    assert cpu["architecture"] == told["Architecture"]
    assert cpu["threads"] == int(told["CPU(s)"])
    assert cpu["flags"] == told["Flags"].split()
    if cpu["architecture"] == "x86_64":
        assert (cpu["vendor"], cpu["model"]) == (told["Vendor ID"], told["Model name"])
        assert cpu["sockets"] == int(told["Socket(s)"])
        assert cpu["cores"] == cpu["sockets"] * int(told["Core(s) per socket"])
    assert (cpu["hypervisor"] is None) == ("Hypervisor vendor" not in told)
    rows = json.loads(say("lscpu", "--caches", "--json", "--bytes"))["caches"]
    caches = {(row["level"], row["type"].lower()): (int(row["one-size"]), int(row["all-size"])) for row in rows}
    assert caches == {
        (cache["level"], cache["type"]): (cache["size_kib"] << 10, (cache["size_kib"] << 10) * cache["instances"])
        for cache in cpu["caches"]
    }


def test_cpu_flags_agrees_with_nproc_and_meminfo(runner: Runner) -> None:
    cpu = facts(runner, "cpu_flags")["cpu"]
    assert int(cpu["effective"]["cpus"]) <= int(say("nproc"))
    if cpu["limits"]["cpus"] is None:
        assert cpu["effective"]["cpus"] == int(say("nproc"))
    found = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    assert found is not None
    assert cpu["memory"]["total_mib"] == int(found.group(1)) // 1024
    assert cpu["effective"]["memory_mib"] <= cpu["memory"]["total_mib"] <= cpu["memory"]["nominal_mib"]


@pytest.fixture
def limited() -> Iterator[None]:
    """Puts this process, and so what it starts, below limits of its own."""
    homes = {name: _group_of_this_process(name) for name in LIMITS}
    if os.geteuid() != 0 or not all(home and os.access(home, os.W_OK) for home in homes.values()):
        pytest.skip("control groups (v1) cannot be written here")
    with ExitStack() as undo:
        for name, (file, limit) in LIMITS.items():
            home = homes[name]
            assert home is not None
            group = home / f"homelab-audit-{os.getpid()}"
            group.mkdir()
            undo.callback(group.rmdir)
            (group / file).write_text(limit)
            (group / "cgroup.procs").write_text(str(os.getpid()))
            undo.callback((home / "cgroup.procs").write_text, str(os.getpid()))
        yield


def _group_of_this_process(controller: str) -> Path | None:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _number, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return CGROUPS / controller / path.lstrip("/")
    return None


@pytest.mark.usefixtures("limited")
def test_cpu_flags_sees_the_limits_of_its_control_group(runner: Runner) -> None:
    cpu = facts(runner, "cpu_flags")["cpu"]
    assert cpu["limits"]["memory_mib"] == cpu["effective"]["memory_mib"] == 768
    assert cpu["effective"]["cpus"] == min(1.5, cpu["threads"])
    assert "cgroup v1 memory.limit_in_bytes" in cpu["limits"]["source"]


def test_gpu_detect_agrees_with_the_pci_bus(runner: Runner) -> None:
    result = facts(runner, "gpu_detect")
    vendors = {"0x10de", "0x1002", "0x8086"}
    displays = [
        device
        for device in Path("/sys/bus/pci/devices").glob("*")
        if (device / "class").read_text().startswith("0x03") and (device / "vendor").read_text().strip() in vendors
    ]
    if not displays and not result["gpu"]["is_jetson"]:
        assert (result["has_gpu"], result["gpu"]["devices"]) == (False, [])
        assert "gpu_name" not in result and result["reasons"]
    else:
        assert result["gpu"]["present"] or result["reasons"]
