# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Measures the storage below a path with fio, on a file that never has a name."""

from __future__ import annotations

import errno
import mmap
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.ai.plugins.module_utils._block_device import (
    MEMORY,
    NETWORK,
    is_directory,
    storage_of,
)
from ansible_collections.homelab.ai.plugins.module_utils._fio import (
    MIB,
    TESTS,
    FioError,
    choose_engine,
    fio_command,
    parse_fio,
)
from ansible_collections.homelab.ai.plugins.module_utils._tool import run_tool

SCHEMA = 1
KEEP_FREE = 0.15  # below this the kubelet begins to delete images (kubelet: imageGCHighThresholdPercent 85)
MIN_FILE = 64 * MIB  # below that the cache of a cheap SSD answers
MAX_FILE = 64 * 1024 * MIB
MAX_RUNTIME = 60
_CHUNK = 4 * MIB
_GRACE = 30  # seconds that fio may take beyond its runtime, for opening and for I/O under way

INSTALL = "Install it (Debian, Ubuntu: apt install fio; Fedora: dnf install fio; Alpine: apk add fio)"


class StorageError(Exception):
    """Anything that stops the module; the text is meant for the user."""


def check_options(params: dict[str, Any]) -> str:
    """The real path of the directory to measure. Raises StorageError."""
    size, runtime = params["size_mib"], params["runtime"]
    if not MIN_FILE <= size * MIB <= MAX_FILE:
        raise StorageError(f"size_mib is {size} and must be from {MIN_FILE // MIB} to {MAX_FILE // MIB}")
    if not 1 <= runtime <= MAX_RUNTIME:
        raise StorageError(f"runtime is {runtime} and must be from 1 to {MAX_RUNTIME} seconds")
    path: str = os.path.realpath(params["path"])
    if not is_directory(Path(path)):
        raise StorageError(
            f"{params['path']} is not a directory on this host, or this user may not look there: name one on the disk "
            "to be measured"
        )
    return path


def check_space(total: int, free: int, size: int, path: str) -> None:
    """Raise StorageError when a file of `size` bytes would leave too little of a file system of `total` bytes free."""
    keep = int(total * KEEP_FREE)
    if free - size < keep:
        most = max(0, free - keep) // MIB
        fix = f"Set size_mib to at most {most}" if most * MIB >= MIN_FILE else "Free some space, or name another path"
        raise StorageError(
            f"a file of {size // MIB} MiB would leave {max(0, free - size) // MIB} MiB of {total // MIB} MiB free on "
            f"the file system of {path}, and {KEEP_FREE:.0%} ({keep // MIB} MiB) must stay free. {fix}"
        )


def check_filesystem(kind: str, path: str) -> None:
    """Raise StorageError when the file system is not on a disk."""
    if kind in MEMORY:
        raise StorageError(f"{path} is on {kind}, which is memory and no storage: name a directory on a disk")


def warnings_for(described: dict[str, Any], engine: str, size: int, wanted: int) -> list[str]:
    """What a reader of the figures must know."""
    device, kind = described["device"], described["filesystem"]["type"]
    found = []
    if device["class"] == "virtual":
        found.append("the device is virtual: the cache of the host below may have answered")
    if kind in NETWORK:
        found.append(f"{kind} is a network file system: the figures include the network and the server's cache")
    if kind == "zfs":  # https://github.com/openzfs/zfs/releases/tag/zfs-2.3.0, "Direct IO"
        found.append("ZFS answers reads from its cache in memory (ARC): before OpenZFS 2.3 it ignores direct I/O")
    if any(part["transport"] == "usb" for part in device["parts"]):
        found.append("the device is behind USB: what sysfs says of its class is what the bridge says")
    if engine == "psync":
        found.append("this fio has no libaio: one request at a time, which is less than the device can do")
    if size < wanted:
        found.append(f"the file has {size // MIB} of {wanted // MIB} MiB, because writing it took the time allowed")
    return found


def _anonymous_file(path: str) -> Any:
    # O_TMPFILE where the file system has it, otherwise unlinked at once. However the module and fio end, the kernel
    # gives the blocks back with the last descriptor, and nobody has to clean up.
    try:
        return tempfile.TemporaryFile(dir=path, buffering=0)
    except OSError as error:
        raise StorageError(
            f"cannot create a file in {path}: {error.strerror}. Name a directory that this user may write to"
        ) from error


def _direct(file: Any, path: str) -> int:
    """A second descriptor of the file that bypasses the page cache."""
    try:
        return os.open(f"/proc/self/fd/{file.fileno()}", os.O_RDWR | os.O_DIRECT)
    except OSError as error:
        raise StorageError(
            f"{path} allows no direct I/O ({error.strerror}), and the page cache would answer instead of the device: "
            "name a directory on another file system, such as ext4 or xfs"
        ) from error


def fill(descriptor: int, size: int, seconds: float) -> int:
    """Write random bytes until the file has `size` bytes or the time is over; returns the size. Raises OSError.

    A file that was only allocated would be read without touching the device, and zeros would compress.
    """
    end = time.monotonic() + seconds
    done = 0
    with mmap.mmap(-1, _CHUNK) as block:  # aligned to a page, as direct I/O wants it
        block.write(os.urandom(_CHUNK))
        while done + _CHUNK <= size and (done < MIN_FILE or time.monotonic() < end):
            written = os.write(descriptor, block)
            if written != _CHUNK:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            done += written
    os.fsync(descriptor)
    return done


def _measure(path: str, fio: str, size: int, runtime: int) -> tuple[dict[str, Any], str, int]:
    engine = choose_engine(run_tool([fio, "--enghelp"], _GRACE).out)
    with _anonymous_file(path) as file:
        descriptor = _direct(file, path)
        try:
            size = fill(descriptor, size, 2.0 * runtime)
            command = fio_command(fio, f"/proc/self/fd/{descriptor}", size, runtime, engine)
            done = run_tool(command, len(TESTS) * runtime + _GRACE, (descriptor,))
        except OSError as error:
            raise StorageError(f"cannot write the test file in {path}: {error.strerror}. Set size_mib lower") from error
        finally:
            os.close(descriptor)
    said = " ".join(done.err.split())[:300]
    if done.code is None:
        raise StorageError(
            f"fio did not end {_GRACE} s after its time and was stopped: the device may be failing. {said}"
        )
    if done.code != 0:
        raise StorageError(f"fio ended with code {done.code} on {path}: {said or done.out[:300]}")
    try:
        return parse_fio(done.out, engine), engine, size
    except FioError as error:
        raise StorageError(f"{error}. {said}".rstrip(". ")) from error


def _plan(path: str, device: dict[str, Any], size: int, runtime: int) -> list[str]:
    names = ", ".join(part["name"] for part in device["parts"]) or "an unknown device"
    first = f"write an unnamed file of {size // MIB} MiB in {path}, on {names} ({device['class']}), and drop it"
    return [first] + [f"{test.name}: {test.block} byte blocks for {runtime} s" for test in TESTS]


def benchmark(module: AnsibleModule) -> dict[str, Any]:
    """Measure, or say in check mode what would be. Raises StorageError."""
    params = module.params
    path = check_options(params)
    size, runtime = params["size_mib"] * MIB // _CHUNK * _CHUNK, params["runtime"]
    try:
        described = storage_of(path)
        space = os.statvfs(path)
    except OSError as error:
        raise StorageError(f"cannot find out what {path} is on: {error}. This module needs Linux with /proc") from error
    check_filesystem(described["filesystem"]["type"], path)
    check_space(described["filesystem"]["size_bytes"], space.f_bavail * space.f_frsize, size, path)
    fio = module.get_bin_path("fio")
    if fio is None:
        raise StorageError(f"fio is not on this host. {INSTALL}, or run without the tag storage_benchmark")
    result: dict[str, Any] = {"changed": False, "plan": _plan(path, described["device"], size, runtime)}
    if module.check_mode:
        return result
    measured, engine, written = _measure(path, fio, size, runtime)
    tests = measured["tests"]
    result["storage_performance"] = {
        "schema": SCHEMA,
        "read_iops": tests["random_read"]["iops"],
        "read_bw_mb": tests["sequential_read"]["bw_mb"],
        "write_iops": tests["random_write"]["iops"],
        "write_bw_mb": tests["sequential_write"]["bw_mb"],
        "path": path,
        "filesystem": described["filesystem"],
        "device": described["device"],
        "tests": tests,
        "fio": {"version": measured["version"], "engine": engine, "runtime": runtime, "file_bytes": written},
        "warnings": warnings_for(described, engine, written, size),
    }
    return result
