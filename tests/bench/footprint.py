# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running stack takes: memory by process, disk by directory.

    ./bootstrap bench footprint [--user NAME] [--directories DIRECTORY...] [--json]

RSS counts a shared page in each process that maps it; PSS divides it among them, so that only PSS may be summed.
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

DIRECTORIES = ("/opt/homelab/*", "/var/lib/homelab/*", "/var/log/homelab")
MIB = 1024 * 1024


@dataclass
class Memory:
    """KiB of the processes of one name."""

    processes: int = 0
    rss: int = 0
    pss: int = 0


def memory(uid: int) -> dict[str, Memory]:
    """By program; Postgres' many processes are one line."""
    found: dict[str, Memory] = defaultdict(Memory)
    ours = Path("/proc/self/ns/pid").stat().st_ino
    for process in Path("/proc").glob("[0-9]*"):
        try:
            # The same number may be another user's in a container.
            if process.stat().st_uid != uid or (process / "ns/pid").stat().st_ino != ours:
                continue
            arguments = (process / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            numbers = _numbers((process / "smaps_rollup").read_text(encoding="ascii"))
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended while we looked
        except PermissionError:
            sys.exit(f"{process}/smaps_rollup may not be read: run as root or as the stack's user")
        entry = found[name_of(arguments)]
        entry.processes += 1
        entry.rss += numbers["Rss"]
        entry.pss += numbers["Pss"]
    return found


def _numbers(rollup: str) -> dict[str, int]:
    """`Rss:   123 kB` lines; the first line is the address range."""
    pairs = (line.split(":", 1) for line in rollup.splitlines()[1:])
    return {name: int(value.split()[0]) for name, value in pairs}


def name_of(arguments: list[str]) -> str:
    """What the process is, in the names of the configuration."""
    if "homelab_workers.adapters.docling.child" in arguments:
        return "extract child"
    for place, argument in enumerate(arguments):
        program = argument.rpartition("/")[2]
        if program == "homelab-service":
            return arguments[place + 1]
        if program == "llama_server.py":
            return f"llama-{arguments[arguments.index('--alias') + 1]}"
        if program.startswith("litellm"):
            return "litellm"
        if program == "supervisord":
            return "supervisord"
    # A Postgres child rewrites its arguments into `postgres: walwriter`.
    return arguments[0].split(":")[0].rpartition("/")[2]


def disk(directory: Path) -> int:
    """Bytes that are allocated below; a file with several names counts once, links are not followed."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for folder, _unused, files in os.walk(directory):
        for name in ("", *files):
            try:
                entry = (Path(folder) / name).lstat()
            except FileNotFoundError:
                continue  # removed while we looked
            if (entry.st_dev, entry.st_ino) not in seen:
                seen.add((entry.st_dev, entry.st_ino))
                total += entry.st_blocks * 512
    return total


def expanded(patterns: list[str]) -> list[Path]:
    found = []
    for pattern in patterns:
        matches = sorted(path for path in Path("/").glob(pattern.lstrip("/")) if path.is_dir())
        if not matches:
            print(f"{pattern}: no such directory", file=sys.stderr)
        found += matches
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--user", default="homelab", help="whose processes, default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument(
        "--directories",
        nargs="+",
        default=list(DIRECTORIES),
        help=f"absolute, `*` allowed, default: {' '.join(DIRECTORIES)}",
    )
    given = parser.parse_args()
    try:
        uid = pwd.getpwnam(given.user).pw_uid
    except KeyError:
        sys.exit(f"there is no user {given.user!r}: name the stack's user with --user")
    processes = memory(uid)
    if not processes:
        sys.exit(f"no process belongs to {given.user}: start the stack first")
    sizes = {str(directory): disk(directory) for directory in expanded(given.directories)}
    if given.json:
        print(json.dumps({"memory_kib": {n: vars(m) for n, m in processes.items()}, "disk_bytes": sizes}, indent=1))
        return
    print(f"{'process':<20}{'count':>6}{'RSS MiB':>9}{'PSS MiB':>9}")
    for name, entry in sorted(processes.items(), key=lambda item: -item[1].pss):
        print(f"{name:<20}{entry.processes:>6}{entry.rss / 1024:>9.0f}{entry.pss / 1024:>9.0f}")
    print(f"{'sum':<35}{sum(entry.pss for entry in processes.values()) / 1024:>9.0f}")
    print(f"\n{'directory':<36}{'MiB':>8}")
    for directory, size in sizes.items():
        print(f"{directory:<36}{size / MIB:>8.0f}")
    print(f"{'sum':<36}{sum(sizes.values()) / MIB:>8.0f}")


if __name__ == "__main__":
    main()
