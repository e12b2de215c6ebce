# SPDX-License-Identifier: Apache-2.0
"""A seccomp filter for the process that parses strangers' documents: no sockets, no looking into others.

Unprivileged (no_new_privs) and with TSYNC, so that threads that were started earlier are filtered too.
`socketpair` stays: asyncio and multiprocessing need it, and it reaches nobody outside. Numbers and
layouts: linux/seccomp.h, linux/filter.h, linux/audit.h and the kernel's syscall tables.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_FILTER_FLAG_TSYNC = 1
_RET_ALLOW = 0x7FFF0000
_RET_ERRNO = 0x00050000
_RET_KILL_PROCESS = 0x80000000

_LOAD_WORD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K
_OFFSET_NR = 0  # of struct seccomp_data
_OFFSET_ARCH = 4
_X32_BIT = 0x40000000


@dataclass(frozen=True, slots=True)
class Architecture:
    """One row of the table: the audit number, the number of seccomp(2), and the calls that are denied."""

    audit: int
    seccomp: int
    denied: Mapping[str, int]
    x32: bool = False


ARCHITECTURES: Mapping[str, Architecture] = {
    "x86_64": Architecture(
        audit=0xC000003E,
        seccomp=317,
        denied={
            "socket": 41,
            "ptrace": 101,
            "process_vm_readv": 310,
            "process_vm_writev": 311,
            "io_uring_setup": 425,
            "pidfd_getfd": 438,
        },
        x32=True,
    ),
    "aarch64": Architecture(
        audit=0xC00000B7,
        seccomp=277,
        denied={
            "socket": 198,
            "ptrace": 117,
            "process_vm_readv": 270,
            "process_vm_writev": 271,
            "io_uring_setup": 425,
            "pidfd_getfd": 438,
        },
    ),
}


class UnsupportedArchitecture(RuntimeError):
    """No table for this machine: documents are not parsed without the filter."""


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("jump_true", ctypes.c_uint8),
        ("jump_false", ctypes.c_uint8),
        ("k", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("filter", ctypes.POINTER(_Instruction)))


def architecture(machine: str | None = None) -> Architecture:
    """The table for `machine` (default: this one); raises UnsupportedArchitecture."""
    machine = machine or platform.machine()
    try:
        return ARCHITECTURES[machine]
    except KeyError:
        raise UnsupportedArchitecture(
            f"no seccomp table for machine {machine!r}: documents are parsed on {' and '.join(ARCHITECTURES)} only. "
            "Fix: run the extract service on one of these, or add a row to ARCHITECTURES in adapters/docling/seccomp.py"
        ) from None


def program(table: Architecture) -> list[tuple[int, int, int, int]]:
    """The filter as (code, jump if true, jump if false, k): EPERM for what is denied, death for a foreign ABI."""
    return list(_program(table))


def _program(table: Architecture) -> Iterator[tuple[int, int, int, int]]:
    yield _LOAD_WORD, 0, 0, _OFFSET_ARCH
    yield _JUMP_EQUAL, 1, 0, table.audit
    yield _RETURN, 0, 0, _RET_KILL_PROCESS
    yield _LOAD_WORD, 0, 0, _OFFSET_NR
    if table.x32:
        # x32 calls carry the same audit number as x86_64 and would slip past the comparisons below.
        yield _JUMP_AT_LEAST, 0, 1, _X32_BIT
        yield _RETURN, 0, 0, _RET_KILL_PROCESS
    for number in table.denied.values():
        yield _JUMP_EQUAL, 0, 1, number
        yield _RETURN, 0, 0, _RET_ERRNO | errno.EPERM
    yield _RETURN, 0, 0, _RET_ALLOW


def install() -> None:
    """Filters every thread of this process and all its descendants, for good.

    Raises UnsupportedArchitecture, or OSError where the kernel refuses.
    """
    table = architecture()
    instructions = program(table)
    filters = (_Instruction * len(instructions))(*(_Instruction(*line) for line in instructions))
    bpf = _Program(len(instructions), filters)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise _refused("prctl(PR_SET_NO_NEW_PRIVS)")
    result = libc.syscall(
        ctypes.c_long(table.seccomp),
        ctypes.c_uint(_SECCOMP_SET_MODE_FILTER),
        ctypes.c_uint(_SECCOMP_FILTER_FLAG_TSYNC),
        ctypes.byref(bpf),
    )
    if result > 0:
        raise OSError(errno.EBUSY, f"seccomp(2): thread {result} has a filter of its own and cannot be synchronised")
    if result < 0:
        raise _refused("seccomp(2)")


def _refused(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call} refused: {os.strerror(number)}; documents are not parsed without the filter")
