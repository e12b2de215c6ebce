# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Can this machine carry the local stack? One line per problem and exit status 3, silence and 0 otherwise.

Ports count as taken only if the holder is not a process of this very stack (a child of the
supervisor whose configuration is named). Standard library only, Python 3.9 and newer.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path


def free_mib(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free >> 20


def memory_mib() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) >> 10
    return 0


def has_avx2() -> bool:
    flags = [
        line for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines() if line.startswith("flags")
    ]
    return not flags or "avx2" in flags[0].split()


FIX_PYTHON = "install Python 3.11 or newer with venv (Debian: apt-get install python3-venv)"


def python_problem(python: str) -> str | None:
    if not os.access(python, os.X_OK):
        return f"local_stack_python {python} cannot be run: {FIX_PYTHON}."
    check = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
    if subprocess.run([python, "-c", check], capture_output=True, check=False).returncode != 0:
        return f"local_stack_python {python} is older than 3.11 or has no venv module: {FIX_PYTHON}."
    return None


def library_problem(python: str, library: str, package: str) -> str | None:
    """What a wheel takes from the system, as no wheel may bring its own: seen by the Python that will load it."""
    if not os.access(python, os.X_OK):
        return None  # That is said already.
    check = "import ctypes, sys; ctypes.CDLL(sys.argv[1])"
    if subprocess.run([python, "-c", check, library], capture_output=True, check=False).returncode == 0:
        return None
    return f"{library} is missing, which the llama.cpp wheel needs: install it (Debian: apt-get install {package})."


def llama_problems(machine: str, python: str) -> list[str]:
    """What llama.cpp's wheel needs of a machine that runs a model."""
    problems = []
    if machine == "x86_64" and not has_avx2():
        problems.append(
            "the processor has no AVX2, which the llama.cpp wheel needs: "
            "set local_stack_chat and local_stack_embed to a base_url."
        )
    if (problem := library_problem(python, "libgomp.so.1", "libgomp1")) is not None:
        problems.append(problem)
    return problems


def listeners() -> dict[int, tuple[str, int]]:
    """Inode and user of the listening socket by port, from the kernel's table."""
    found = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not Path(table).exists():
            continue
        for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                found[int(fields[1].rpartition(":")[2], 16)] = fields[9], int(fields[7])
    return found


def holder(inode: str) -> int | None:
    """The process that holds a socket; None where we may not look."""
    for process in (path.name for path in Path("/proc").iterdir() if path.name.isdigit()):
        try:
            descriptors = list(Path(f"/proc/{process}/fd").iterdir())
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                if str(descriptor.readlink()) == f"socket:[{inode}]":
                    return int(process)
            except OSError:
                continue
    return None


def command_line(process: int) -> list[str]:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def belongs_to(process: int, config: str) -> bool:
    """True for the supervisor that runs this configuration, and for everything below it."""
    while process > 1:
        command = command_line(process)
        # Its own name, or that of the script that Python runs.
        if "supervisord" in [Path(word).name for word in command[:2]] and config in command:
            return True
        try:
            stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False
        process = int(stat.rpartition(")")[2].split()[1])
    return False


@functools.cache
def users_of(config: str) -> set[int]:
    """The users of this very stack's processes."""
    found = set()
    for path in Path("/proc").iterdir():
        if path.name.isdigit() and belongs_to(int(path.name), config):
            with contextlib.suppress(OSError):
                found.add(path.stat().st_uid)
    return found


def port_problem(port: int, inode: str, user: int, config: str, variable: str) -> str | None:
    process = holder(inode)
    # Root without CAP_SYS_PTRACE, as in some containers, sees users of sockets, but not in which process they are.
    if belongs_to(process, config) if process is not None else user in users_of(config):
        return None
    who = "a process of another user"
    if process is not None:
        who = f"process {process} ({' '.join(command_line(process)).strip()[:80]})"
    return f"port {port} is taken by {who}: stop it, or move the stack with {variable}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--python", required=True)
    parser.add_argument("--config", required=True)
    parser.add_argument("--ports", required=True)
    parser.add_argument("--port-variable", required=True)
    parser.add_argument("--disk-mib", type=int, required=True)
    parser.add_argument("--memory-mib", type=int, required=True)
    parser.add_argument("--llama", action="store_true", help="this machine runs a model")
    options = parser.parse_args()
    problems = []
    machine = platform.machine()
    if machine not in ("x86_64", "aarch64"):
        problems.append(f"the machine is {machine}: the servers come for x86_64 and aarch64.")
    if options.llama:
        problems += llama_problems(machine, options.python)
    if (problem := python_problem(options.python)) is not None:
        problems.append(problem)
    # A deployed stack has spent its disk already.
    if not Path(options.config).exists() and free_mib(options.data_dir) < options.disk_mib:
        free = free_mib(options.data_dir)
        problems.append(
            f"{options.data_dir} has {free} MiB free, {options.disk_mib} are needed: "
            "free some, or set local_stack_data_dir."
        )
    if memory_mib() < options.memory_mib:
        problems.append(f"the machine has {memory_mib()} MiB of memory, {options.memory_mib} are needed.")
    taken = listeners()
    for port in map(int, options.ports.split(",")):
        if port in taken and (problem := port_problem(port, *taken[port], options.config, options.port_variable)):
            problems.append(problem)
    if problems:
        print("\n".join(problems))
        sys.exit(3)


if __name__ == "__main__":
    main()
