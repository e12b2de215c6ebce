# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.ai.plugins.module_utils._block_device import (
    describe_device,
    describe_path,
    mount_of,
    parse_mountinfo,
)
from ansible_collections.homelab.ai.plugins.module_utils._fio import (
    MIB,
    TESTS,
    FioError,
    choose_engine,
    fio_command,
    parse_fio,
)
from ansible_collections.homelab.ai.plugins.module_utils._storage import (
    MIN_FILE,
    StorageError,
    check_filesystem,
    check_options,
    check_space,
    fill,
    warnings_for,
)
from hypothesis import given
from hypothesis import strategies as st
from recorded_outputs import recorded

MACHINES = yaml.safe_load((Path(__file__).parent / "sysfs.yml").read_text())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def build(machine: dict[str, Any], root: Path) -> str:
    for name, content in machine["files"].items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content + "\n")
    for name, target in machine["links"].items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(target)
    return str(root)


@pytest.mark.parametrize(
    ("machine", "number"),
    [pytest.param(machine, number, id=machine["name"]) for machine in MACHINES for number in machine["expect"]],
)
def test_device_of_recorded_machines(machine: dict[str, Any], number: str, tmp_path: Path) -> None:
    expect = machine["expect"][number]
    found = describe_device(number, build(machine, tmp_path))
    assert found is not None
    assert (found["class"], found["size_bytes"]) == (expect["class"], expect["size_bytes"])
    assert [part["name"] for part in found["parts"]] == expect["names"]
    assert {part["transport"] for part in found["parts"]} == {expect["transport"]}
    assert {part["model"] for part in found["parts"]} == {expect["model"]}


def test_volume_is_as_slow_as_its_slowest_device(tmp_path: Path) -> None:
    sys_root = Path(build(MACHINES[0], tmp_path))
    volume = sys_root / "devices/virtual/block/dm-0"
    (volume / "slaves").mkdir(parents=True)
    (sys_root / "dev/block/253:0").symlink_to("../../devices/virtual/block/dm-0")
    for number, link in (("259:1", "nvme0n1p1"), ("8:5", "sda5")):
        (volume / "slaves" / link).symlink_to((sys_root / "dev/block" / number).resolve())
    both = describe_device("253:0", str(sys_root))
    assert both is not None
    assert both["class"] == "ssd" and [part["name"] for part in both["parts"]] == ["nvme0n1", "sda"]
    (volume / "slaves" / "sdb1").symlink_to((sys_root / "dev/block/8:17").resolve())
    all_three = describe_device("253:0", str(sys_root))
    assert all_three is not None and all_three["class"] == "hdd"
    assert all_three["size_bytes"] == sum(part["size_bytes"] for part in all_three["parts"])


@pytest.mark.parametrize(
    "model",
    [
        "QEMU NVMe Ctrl",  # qemu hw/nvme/ctrl.c
        "ORCL-VBOX-NVME-VER12",  # VirtualBox src/VBox/Devices/Storage/DevNVMe.cpp
        "VMware Virtual NVMe Disk",  # https://github.com/hiyohiyo/CrystalDiskInfo/issues/134
    ],
)
def test_an_emulated_nvme_device_is_virtual(model: str, tmp_path: Path) -> None:
    root = Path(build(MACHINES[0], tmp_path))
    (root / "devices/pci0000:00/0000:00:01.0/0000:01:00.0/nvme/nvme0/model").write_text(model + "\n")
    found = describe_device("259:1", str(root))
    assert found is not None and (found["class"], found["parts"][0]["transport"]) == ("virtual", "nvme")


def test_lying_sysfs(tmp_path: Path) -> None:
    node = tmp_path / "devices/virtual/block/dm-0"
    (node / "slaves").mkdir(parents=True)
    (node / "slaves" / "dm-0").symlink_to(node)  # its own slave
    (node / "size").write_text("a lot\n")
    (tmp_path / "dev/block").mkdir(parents=True)
    (tmp_path / "dev/block/253:0").symlink_to(node)
    found = describe_device("253:0", str(tmp_path))
    assert found is not None and (found["class"], found["size_bytes"]) == ("unknown", 0)
    assert describe_device("1:1", str(tmp_path)) is None
    assert describe_device("../../x", str(tmp_path)) is None


def test_path_of_this_kind_of_machine(tmp_path: Path) -> None:
    machine = next(machine for machine in MACHINES if machine["name"] == "virtual machine")
    mounts = parse_mountinfo(recorded("mountinfo_vm.txt"))
    root = build(machine, tmp_path)
    found = describe_path("/var/lib", mounts, root)
    assert found["filesystem"] == {"type": "ext4", "mount": "/"}
    assert found["device"]["class"] == "virtual" and "reason" not in found["device"]
    shm = describe_path("/dev/shm/x", mounts, root)
    assert shm["filesystem"] == {"type": "tmpfs", "mount": "/dev/shm"}
    assert shm["device"]["class"] == "unknown" and "tmpfs at /dev/shm" in shm["device"]["reason"]
    assert describe_path("/x", [], root)["device"]["reason"] == "/proc/self/mountinfo names no mount that holds /x"


def test_btrfs_is_on_the_device_that_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Its own device number, 0:25, is that of no device: btrfs(5) and proc_pid_mountinfo(5).
    mounts = parse_mountinfo("1 0 0:25 /@ / rw - btrfs /dev/nvme0n1p1 rw,subvol=/@\n")
    real = Path.stat

    def stat(path: Path, **options: Any) -> Any:
        if str(path) == "/dev/nvme0n1p1":
            return SimpleNamespace(st_rdev=os.makedev(259, 1))
        return real(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    found = describe_path("/var/lib", mounts, build(MACHINES[0], tmp_path))
    assert (found["filesystem"]["type"], found["device"]["class"]) == ("btrfs", "nvme")
    elsewhere = parse_mountinfo("1 0 0:25 / / rw - zfs rpool/ROOT/pve-1 rw\n")
    device = describe_path("/var/lib", elsewhere, str(tmp_path))["device"]
    assert (device["class"], device["reason"]) == ("unknown", "zfs at / (rpool/ROOT/pve-1) shows no block device here")


def test_mounts() -> None:
    text = (
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:2 / /srv rw shared:1 - xfs /dev/sda2 rw\n"
        "3 1 0:5 / /srv/with\\040space rw - nfs4 nas:/x rw\n4 1 8:3 / /srv rw - ext4 /dev/sda3 rw\n"
    )
    mounts = parse_mountinfo(text)
    # proc_pid_mountinfo(5): a space is \040; the later of two mounts on one point hides the earlier.
    places = [mount_of(path, mounts) for path in ("/srv", "/srv/with space/a", "/srvx", "/")]
    assert [place.source if place else "" for place in places] == ["/dev/sda3", "nas:/x", "/dev/sda1", "/dev/sda1"]


@given(st.text())
def test_mountinfo_survives_garbage(text: str) -> None:
    for mount in parse_mountinfo(text):
        assert mount.device and mount.kind
    describe_path("/a/b", parse_mountinfo(text), "/nonexistent")


def test_fio() -> None:
    text = recorded("fio_3.33.json")
    raw = {job["jobname"]: job for job in json.loads(text)["jobs"]}
    found = parse_fio("fio: a note before the result\n" + text)
    assert found["version"] == "fio-3.33"
    assert list(found["tests"]) == ["sequential_read", "sequential_write", "random_read", "random_write"]
    for test in TESTS:
        result, figures = raw[test.name][test.side], found["tests"][test.name]
        assert figures["iops"] == round(result["iops"]) > 0
        assert figures["bw_mb"] == pytest.approx(result["bw"] / 1024, abs=0.1)  # fio's own KiB/s
        assert figures["latency_mean_us"] == pytest.approx(result["clat_ns"]["mean"] / 1000, abs=0.1)
        assert figures["latency_p99_us"] >= figures["latency_mean_us"]
        assert (figures["block_bytes"], figures["queue_depth"]) == (test.block, test.depth)
    assert {figures["queue_depth"] for figures in parse_fio(text, "psync")["tests"].values()} == {1}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda data: data["jobs"].pop(), "no job random_write"),
        (lambda data: data["jobs"][0].update(error=5), "error 5 in sequential_read"),
        (lambda data: data["jobs"][2]["read"].update(total_ios=0), "did no I/O in random_read"),
        (lambda data: data["jobs"][1]["write"].pop("bw_bytes"), "None at bw_bytes"),  # fio 2
        (lambda data: data["jobs"][1]["write"].update(iops=-1), "-1 at iops"),
        (lambda data: data["jobs"][1].pop("write"), "None at total_ios"),
        (lambda data: data.pop("jobs"), "printed no JSON result"),
    ],
)
def test_fio_that_lies(edit: Any, message: str) -> None:
    data = json.loads(recorded("fio_3.33.json"))
    edit(data)
    with pytest.raises(FioError, match=message):
        parse_fio(json.dumps(data))


@given(st.text() | JSON.map(json.dumps) | JSON.map(lambda value: json.dumps({"jobs": [value]})))
def test_fio_survives_garbage(text: str) -> None:
    with pytest.raises(FioError):
        parse_fio(text)


@given(st.data())
def test_fio_survives_any_damage(data: Any) -> None:
    text = recorded("fio_3.33.json")
    start = data.draw(st.integers(0, len(text)))
    damaged = text[:start] + data.draw(st.text(max_size=5)) + text[start + data.draw(st.integers(0, 400)) :]
    try:
        tests = parse_fio(damaged)["tests"]
    except FioError:
        return
    assert all(figures["iops"] >= 0 for figures in tests.values())


def test_fio_engine_and_command() -> None:
    assert choose_engine(recorded("fio_enghelp.txt")) == "libaio"
    assert choose_engine("Available IO engines:\n\tpsync\n") == choose_engine("") == "psync"
    command = fio_command("/usr/bin/fio", "/proc/self/fd/7", 64 * MIB, 3, "libaio")
    assert {"--direct=1", "--time_based", "--runtime=3", "--allow_file_create=0", "--thread"} <= set(command)
    assert command.count("--stonewall") == len(TESTS) - 1


@given(st.integers(0, 2**50), st.integers(0, 2**50), st.integers(MIN_FILE, 2**40))
def test_never_fills_a_disk(total: int, free: int, size: int) -> None:
    free = min(free, total)
    try:
        check_space(total, free, size, "/srv")
    except StorageError as error:
        assert free - size < int(total * 0.15)
        assert "size_mib" in str(error) or "Free some space" in str(error)
    else:
        assert free - size >= int(total * 0.15)


def test_refusal_names_the_largest_size_that_fits() -> None:
    with pytest.raises(StorageError, match=r"Set size_mib to at most 850$"):
        check_space(1000 * MIB, 1000 * MIB, 900 * MIB, "/srv")
    check_space(1000 * MIB, 1000 * MIB, 850 * MIB, "/srv")
    with pytest.raises(StorageError, match="Free some space"):
        check_space(1000 * MIB, 200 * MIB, 64 * MIB, "/srv")


def test_options(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    good = {"path": str(tmp_path / "link"), "size_mib": 64, "runtime": 1}
    assert check_options(good) == str(tmp_path.resolve())
    for name, value in (("size_mib", 63), ("size_mib", 65537), ("runtime", 0), ("runtime", 61)):
        with pytest.raises(StorageError, match=f"{name} is {value} and must be from"):
            check_options({**good, name: value})
    with pytest.raises(StorageError, match="is not a directory"):
        check_options({**good, "path": str(tmp_path / "nothing")})
    with pytest.raises(StorageError, match="tmpfs, which is memory"):
        check_filesystem("tmpfs", "/tmp")


def test_fill_stops_at_its_time_but_not_below_the_smallest_file(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb", buffering=0) as file:
        assert fill(file.fileno(), 80 * MIB, 0.0) == MIN_FILE
    assert (tmp_path / "file").stat().st_size == MIN_FILE


def test_warnings() -> None:
    part = {"name": "sdz", "class": "hdd", "transport": "usb", "model": "", "size_bytes": 1}
    described = {
        "filesystem": {"type": "nfs4", "mount": "/"},
        "device": {"class": "virtual", "size_bytes": 1, "parts": [part]},
    }
    text = "; ".join(warnings_for(described, "psync", 64 * MIB, 128 * MIB))
    assert all(word in text for word in ("virtual", "nfs4", "USB", "libaio", "64 of 128 MiB"))
    described = {"filesystem": {"type": "ext4", "mount": "/"}, "device": {"class": "ssd", "size_bytes": 1, "parts": []}}
    assert warnings_for(described, "libaio", MIB, MIB) == []
    described["filesystem"]["type"] = "zfs"
    (warning,) = warnings_for(described, "libaio", MIB, MIB)
    assert "ARC" in warning
