# SPDX-License-Identifier: Apache-2.0
"""What the child does to itself before it imports a parser."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from pathlib import Path

from . import seccomp

_PR_SET_PDEATHSIG = 1
_MAX_FILE_BYTES = 2 * 1024**3
_MAX_OPEN_FILES = 256


def confine(parent: int) -> None:
    """Dies with `parent` (a pid), writes no core, opens no socket. Raises OSError, UnsupportedArchitecture."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        # It ended before the line above took effect.
        raise ProcessLookupError(f"the parent {parent} has ended")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MAX_FILE_BYTES, _MAX_FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_MAX_OPEN_FILES, _MAX_OPEN_FILES))
    seccomp.install()


def bound_address_space(growth_mib: int) -> None:
    """Lets the address space grow by `growth_mib` from here.

    A backstop for allocations faster than the parent's look at the RSS; generous, because address space
    is not memory. Going over it raises MemoryError here instead of pressing the whole machine.
    """
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    _unused, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = pages * resource.getpagesize() + growth_mib * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
