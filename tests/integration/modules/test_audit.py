# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""cpu_flags, gpu_detect and machine_info on this machine, against what other programs say of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from examples import run_examples
from module_runner import Runner, interpreter

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


def test_machine_info_has_what_the_single_modules_return(runner: Runner) -> None:
    found = facts(runner, "machine_info")
    for name, module in (("cpu_capabilities", "cpu_flags"), ("gpu_info", "gpu_detect")):
        single = facts(runner, module)
        assert found[name] == {key: single[key] for key in found[name]}
        assert found[name].keys() == single.keys() - {"changed", "failed", "warnings"}


def test_machine_info_agrees_with_findmnt_df_and_os_release(runner: Runner, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    (found,) = replace(runner, module="machine_info")({"path": str(link / "not" / "there" / "yet")}).tasks
    assert found["storage"]["path"] == str(tmp_path)
    kind, mount = say("findmnt", "--noheadings", "--output", "FSTYPE,TARGET", "--target", str(tmp_path)).split()
    assert (found["storage"]["filesystem"]["type"], found["storage"]["filesystem"]["mount"]) == (kind, mount)
    size = say("df", "--block-size=1", "--output=size", str(tmp_path)).split()[1]
    assert found["storage"]["filesystem"]["size_bytes"] == int(size)
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    system = found["system"]
    if release["ID"] == "debian":
        assert (system["os_family"], system["distribution"]) == ("Debian", "Debian")
    assert system["distribution_version"].startswith(release["VERSION_ID"].strip('"'))
    assert system["is_root"] == (say("id", "--user").strip() == "0") and not system["is_home_assistant_app"]


def test_a_path_below_a_closed_directory_does_not_end_the_audit(runner: Runner, tmp_path: Path) -> None:
    # Root without the right to go where the modes say no.
    drop = "setpriv --bounding-set=-dac_override,-dac_read_search" if os.geteuid() == 0 else ""
    python = interpreter(tmp_path, f'exec {drop} {sys.executable} "$@"')
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    path = str(closed / "data")
    (found,) = replace(runner, module="machine_info", python=python)({"path": path}).tasks
    assert not found.get("failed"), found
    assert found["storage"]["path"] == str(closed) and found["cpu_capabilities"]["cpu"]["threads"] == os.cpu_count()
    message = replace(runner, module="storage_benchmark", python=python).failure(path=path)
    assert f"{path} is not a directory on this host, or this user may not look there" in message
    closed.chmod(0o755)


def test_machine_info_without_proc_says_what_it_needs(runner: Runner, tmp_path: Path) -> None:
    # An interpreter that hides /proc from the module.
    hide = "mount -t tmpfs none /proc && exec " + sys.executable + ' "$@"'
    python = interpreter(tmp_path, f"exec unshare --mount sh -c '{hide}' sh \"$@\"")
    if subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode != 0:
        pytest.skip("mounts of its own are not allowed here (unshare --mount needs root)")
    message = replace(runner, module="machine_info", python=python).failure(path="/var/lib")
    assert "cannot find out what /var/lib is on" in message and "needs Linux with /proc" in message


def test_machine_info_runs_its_examples(runner: Runner) -> None:
    (found,) = run_examples(runner, "machine_info", {}).values()
    assert found["storage"]["path"] == "/var/lib"
