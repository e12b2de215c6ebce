# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""storage_benchmark with a real fio, on this machine's disk and on a small file system of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from module_runner import Play, Runner

from .conftest import need, validate


@pytest.fixture
def storage(runner: Runner) -> Runner:
    need("fio")
    return replace(runner, module="storage_benchmark", defaults={"size_mib": 64, "runtime": 1})


@pytest.fixture
def target(runner: Runner) -> Iterator[Path]:
    folder = runner.folder / "target"
    folder.mkdir()
    yield folder
    assert list(folder.iterdir()) == [], "the benchmark has left something behind"
    folder.rmdir()


@pytest.fixture
def small(runner: Runner) -> Iterator[Path]:
    """An ext4 file system of 256 MiB in a file."""
    need("mkfs.ext4")
    image, mount = runner.folder / "small.img", runner.folder / "small"
    with image.open("wb") as file:
        file.truncate(256 * 1024 * 1024)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    mount.mkdir()
    mounted = subprocess.run(["mount", "-o", "loop", image, mount], capture_output=True, text=True, check=False)
    if mounted.returncode:
        mount.rmdir()
        image.unlink()
        pytest.skip(f"loop mounts are not permitted here: {mounted.stderr.strip()}")
    yield mount
    subprocess.run(["umount", mount], check=True)
    mount.rmdir()
    image.unlink()


def test_measures(storage: Runner, target: Path) -> None:
    check, real = storage({"path": str(target), "check": True}, {"path": str(target)}).tasks
    assert "storage_performance" not in check and check["plan"] == real["plan"]
    assert str(target) in check["plan"][0] and len(check["plan"]) == 5
    assert (check["changed"], real["changed"]) == (False, False)
    found = real["storage_performance"]
    validate("storage_performance", found)
    assert found["read_iops"] == found["tests"]["random_read"]["iops"] > 0
    assert found["write_bw_mb"] == found["tests"]["sequential_write"]["bw_mb"] > 0
    assert found["filesystem"]["size_bytes"] == os.statvfs(target).f_blocks * os.statvfs(target).f_frsize
    assert found["fio"]["file_bytes"] == 64 * 1024 * 1024


def test_check_mode_runs_nothing(storage: Runner, target: Path, tmp_path: Path) -> None:
    # A fio that leaves a trace when it is run.
    trace = tmp_path / "trace"
    (tmp_path / "fio").write_text(f"#!/bin/sh\ntouch {trace}\n")
    (tmp_path / "fio").chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        storage.check({"path": str(target)}, lambda: (list(target.iterdir()), trace.exists()))
        message = storage.failure(path=str(target))
    assert trace.exists() and "fio printed no JSON result" in message


def test_small_file_system(storage: Runner, small: Path) -> None:
    def free() -> int:
        os.sync()
        return os.statvfs(small).f_bfree

    before = free()
    (result,) = storage({"path": str(small)}).tasks
    assert not result.get("failed"), result
    found = result["storage_performance"]
    validate("storage_performance", found)
    assert found["device"]["class"] == "virtual" and found["filesystem"]["mount"] == str(small)
    message = storage.failure(path=str(small), size_mib=250)
    assert "must stay free" in message and "size_mib" in message
    assert free() == before


def test_refusals(storage: Runner, target: Path, tmp_path: Path) -> None:
    messages = storage.failures(
        {"path": str(target), "runtime": 0},
        {"path": str(target), "size_mib": 1},
        {"path": str(target / "missing")},
        {"path": "/proc"},
    )
    for message, part in zip(messages, ("runtime is 0", "size_mib is 1", "is not a directory", "/proc"), strict=True):
        assert part in message
    if Path("/dev/shm").is_dir():
        assert "memory and no storage" in storage.failure(path="/dev/shm")


def test_without_fio(runner: Runner, target: Path, tmp_path: Path) -> None:
    # get_bin_path also looks into /sbin and /usr/sbin, but fio is in /usr/bin.
    for tool in ("sh", "python3"):
        (tmp_path / tool).symlink_to(sys.executable if tool == "python3" else "/bin/sh")
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nPATH={tmp_path} exec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    lonely = replace(runner, module="storage_benchmark", python=str(wrapper))
    message = lonely.failure(path=str(target), size_mib=64)
    assert "fio is not on this host" in message and "apt install fio" in message


def fio_below(root: int) -> tuple[int, int] | None:
    """(pid of fio, pid of the module that runs it) below the process `root`."""
    parents: dict[int, tuple[int, bytes]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat, command = (entry / "stat").read_text(), (entry / "cmdline").read_bytes()
            except OSError:
                continue  # it has ended meanwhile
            parents[int(entry.name)] = (int(stat.rsplit(")", 1)[1].split()[1]), command)
    for pid, (parent, command) in parents.items():
        if b"--filename=/proc/self/fd/" in command:
            above = parent
            while above in parents and above != root:
                above = parents[above][0]
            if above == root:
                return pid, parent
    return None


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("victim", ["module", "fio"])
def test_killed(storage: Runner, target: Path, victim: str) -> None:
    """SIGKILL in the middle of a test leaves neither a file, nor fio, nor the file's blocks."""
    plays: list[Play] = []

    def play() -> None:
        plays.append(storage({"path": str(target), "runtime": 30}))

    thread = threading.Thread(target=play)
    thread.start()
    found = None
    deadline = time.monotonic() + 60
    while found is None and time.monotonic() < deadline:
        found = fio_below(os.getpid())
        time.sleep(0.05)
    assert found is not None, "fio was not started"
    fio, module = found
    assert any(str(target) in link for link in links(fio)), "fio does not hold the file"
    assert list(target.iterdir()) == [], "the file has a name"
    os.kill(module if victim == "module" else fio, signal.SIGKILL)
    thread.join(60)
    assert not thread.is_alive()
    while alive(fio) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(fio), "fio has outlived the module"
    holders = [
        pid for pid in Path("/proc").iterdir() if pid.name.isdigit() and str(target) in " ".join(links(pid.name))
    ]
    assert holders == [], "something still holds the file's blocks"
    (result,) = plays[0].tasks
    assert result["failed"]
    if victim == "fio":
        assert "fio ended with code -9" in result["msg"]


def links(pid: Any) -> list[str]:
    try:
        return [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return []
