# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Runs a tool without input and in the C locale, so that it cannot outlive its time limit or the module.

`AnsibleModule.run_command` has neither a time limit nor a way to end the tool when the module is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
from typing import NamedTuple

_PR_SET_PDEATHSIG = 1  # prctl(2), linux/prctl.h


class Done(NamedTuple):
    """What a tool left. `code` is None when it was stopped at its time limit, 127 when it could not be started."""

    code: int | None
    out: str
    err: str
    started: bool = True


def _libc() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(None, use_errno=True)
    except OSError:  # a static Python has no libc to load
        return None
    return library if hasattr(library, "prctl") else None


_LIBC = _libc()  # before the fork, where nothing may be loaded any more


def _die_with_parent() -> None:
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def run_tool(command: list[str], limit: float, pass_fds: tuple[int, ...] = ()) -> Done:
    """Run `command` for at most `limit` seconds, in the C locale. One that cannot start is code 127."""
    environment = dict(os.environ, LC_ALL="C", LANGUAGE="C")
    try:
        # run_command can do none of this.
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            pass_fds=pass_fds,
            preexec_fn=_die_with_parent,
            start_new_session=True,  # so that its children are stopped with it
        )
    except OSError as error:
        return Done(127, "", f"{command[0]} cannot be run: {error.strerror}", started=False)
    code: int | None
    try:
        out, err = process.communicate(timeout=limit)
        code = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        code, out, err = None, b"", b""
        # A process that hangs inside a driver does not even die; it is left behind rather than waited for.
        with contextlib.suppress(subprocess.TimeoutExpired):
            out, err = process.communicate(timeout=1)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    return Done(code, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))
