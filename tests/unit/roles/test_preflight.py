# SPDX-License-Identifier: GPL-3.0-or-later
"""What the local stack takes from the system beside its wheels."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

PREFLIGHT = runpy.run_path(str(Path(__file__).resolve().parents[3] / "roles/local_stack/files/preflight.py"))


def test_a_missing_library_is_named_with_its_package() -> None:
    problem = PREFLIGHT["library_problem"](sys.executable, "libnone-of-this-name.so.1", "libnone1")
    assert problem.startswith("libnone-of-this-name.so.1 is missing")
    assert problem.endswith("install it (Debian: apt-get install libnone1).")


def test_a_library_that_is_there_is_no_problem() -> None:
    assert PREFLIGHT["library_problem"](sys.executable, "libc.so.6", "libc6") is None
