# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""The four tests as a fio command, and fio's JSON as figures. Pure functions."""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

MIB = 1024 * 1024


class Test(NamedTuple):
    """One fio job. `side` is the half of fio's result that counts."""

    name: str
    rw: str
    side: str
    block: int
    depth: int


# 4 KiB blocks show operations per second and 1 MiB blocks show bandwidth. The queue depths keep one NVMe drive busy.
TESTS = (
    Test("sequential_read", "read", "read", MIB, 8),
    Test("sequential_write", "write", "write", MIB, 8),
    Test("random_read", "randread", "read", 4096, 32),
    Test("random_write", "randwrite", "write", 4096, 32),
)


class FioError(Exception):
    """fio has not measured; the text says why, for the user."""


def fio_command(fio: str, filename: str, size: int, runtime: int, engine: str) -> list[str]:
    """One fio run of all tests, one after the other, on the existing file `filename` of `size` bytes."""
    command = [fio, "--output-format=json", "--eta=never"]
    # Threads end with fio; forked jobs would outlive a fio that is killed.
    command += ["--thread", f"--ioengine={engine}", "--direct=1", "--time_based", f"--runtime={runtime}"]
    command += [f"--filename={filename}", f"--size={size}", "--allow_file_create=0", "--fallocate=none"]
    for number, test in enumerate(TESTS):
        command += [f"--name={test.name}"] + (["--stonewall"] if number else [])
        command += [f"--rw={test.rw}", f"--bs={test.block}", f"--iodepth={test.depth}"]
    return command


def choose_engine(listing: str) -> str:
    """The I/O engine, from `fio --enghelp`: psync has no queue, but every fio has it."""
    return "libaio" if "libaio" in listing.split() else "psync"


def _number(owner: Any, *path: str) -> float:
    """The number at `path`, not negative. Raises FioError."""
    value = owner
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise FioError(f"fio's result has {value!r} at {'.'.join(path)} where a number is expected: it needs fio 3")
    return float(value)


def _figures(job: dict[str, Any], test: Test) -> dict[str, Any]:
    result = job.get(test.side)
    if not _number(result, "total_ios"):
        raise FioError(f"fio did no I/O in {test.name}")
    return {
        "iops": round(_number(result, "iops")),
        "bw_mb": round(_number(result, "bw_bytes") / MIB, 1),
        "latency_mean_us": round(_number(result, "clat_ns", "mean") / 1000, 1),
        "latency_p99_us": round(_number(result, "clat_ns", "percentile", "99.000000") / 1000, 1),
        "block_bytes": test.block,
        "queue_depth": test.depth,
    }


def parse_fio(text: str, engine: str = "libaio") -> dict[str, Any]:
    """`{"version": ..., "tests": {name: figures}}` from fio's output. Raises FioError on anything else.

    fio may put notes before the JSON. `bw_mb` is in MiB/s, as in the specification (fio's KiB/s over 1024).
    """
    start = text.find("{")
    try:
        data = json.loads(text[start:]) if start >= 0 else None
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict) or not isinstance(data.get("jobs"), list):
        raise FioError(f"fio printed no JSON result but {text.strip()[:200]!r}")
    jobs = {str(job.get("jobname")): job for job in data["jobs"] if isinstance(job, dict)}
    tests = {}
    for test in TESTS:
        if test.name not in jobs:
            raise FioError(f"fio's result has no job {test.name}: it ended early")
        job = jobs[test.name]
        if job.get("error"):
            raise FioError(f"fio reports error {job['error']!r} in {test.name}")
        tests[test.name] = _figures(job, test)
        if engine == "psync":
            tests[test.name]["queue_depth"] = 1
    return {"version": str(data.get("fio version", "unknown")), "tests": tests}
