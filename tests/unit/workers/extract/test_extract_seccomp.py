# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter's program is interpreted here for both architectures, and installed for real in a child process."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from homelab_workers.adapters.docling import DoclingExtractor, seccomp

ALLOW = 0x7FFF0000
DENY = 0x00050000 | errno.EPERM
KILL = 0x80000000


def verdict(machine: str, number: int, audit: int | None = None) -> int:
    """Runs the program as the kernel would on one system call."""
    table = seccomp.ARCHITECTURES[machine]
    data = {0: number, 4: table.audit if audit is None else audit}
    program = seccomp.program(table)
    accumulator, position = 0, 0
    while True:
        code, jump_true, jump_false, k = program[position]
        position += 1
        if code == 0x20:
            accumulator = data[k]
        elif code == 0x15:
            position += jump_true if accumulator == k else jump_false
        elif code == 0x35:
            position += jump_true if accumulator >= k else jump_false
        elif code == 0x06:
            return k


# From the kernel's tables: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
@pytest.mark.parametrize(
    ("machine", "denied", "allowed"),
    [
        ("x86_64", [41, 101, 310, 311, 425, 438], [0, 1, 42, 53, 56, 59, 257, 435]),
        ("aarch64", [198, 117, 270, 271, 425, 438], [63, 64, 199, 203, 220, 221, 56, 435]),
    ],
)
def test_denied_and_allowed_calls(machine: str, denied: list[int], allowed: list[int]) -> None:
    assert {verdict(machine, number) for number in denied} == {DENY}
    assert {verdict(machine, number) for number in allowed} == {ALLOW}


def test_foreign_architecture_and_x32_are_killed() -> None:
    i386 = 0x40000003
    assert verdict("x86_64", 359, i386) == KILL
    assert verdict("aarch64", 281, 0x40000028) == KILL
    assert verdict("x86_64", 0x40000000 | 41) == KILL


def test_machine_without_a_table_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(seccomp.UnsupportedArchitecture, match=r"riscv64.*x86_64 and aarch64"):
        DoclingExtractor(tmp_path_factory.mktemp("work"))


EARLIER_THREAD = """
import errno, socket, sys, threading
from homelab_workers.adapters.docling import seccomp

installed, results = threading.Event(), {}

def attempt():
    socket.socket(socket.AF_UNIX).close()
    results["before"] = "open"
    started.set()
    installed.wait()
    for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK):
        try:
            socket.socket(family, socket.SOCK_RAW if family == socket.AF_NETLINK else socket.SOCK_STREAM).close()
            results[family.name] = "open"
        except OSError as error:
            results[family.name] = errno.errorcode[error.errno]
    left, right = socket.socketpair()
    results["socketpair"] = "open"

started = threading.Event()
thread = threading.Thread(target=attempt)
thread.start()
started.wait()
seccomp.install()
installed.set()
thread.join()
print(*results.values())
"""

OTHER_CALLS = """
import ctypes, errno
from homelab_workers.adapters.docling import seccomp
seccomp.install()
libc = ctypes.CDLL(None, use_errno=True)
for number in seccomp.architecture().denied.values():
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(0) for _ in range(6)))
    print(result, errno.errorcode[ctypes.get_errno()])
"""


def run(script: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_a_thread_that_was_started_earlier_is_filtered_too() -> None:
    assert run(EARLIER_THREAD).split() == ["open", "EPERM", "EPERM", "EPERM", "EPERM", "open"]


def test_every_denied_call_fails_for_real() -> None:
    assert run(OTHER_CALLS).splitlines() == ["-1 EPERM"] * len(seccomp.architecture().denied)


def test_parent_side_imports_nothing_of_docling() -> None:
    script = (
        "import sys, homelab_workers.adapters.docling as d; from pathlib import Path; d.DoclingExtractor(Path());"
        "print([m for m in sys.modules if m.split('.')[0] in ('docling', 'docling_core', 'docling_parse')])"
    )
    assert run(script).strip() == "[]"
