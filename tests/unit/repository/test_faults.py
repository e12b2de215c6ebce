# SPDX-License-Identifier: GPL-3.0-or-later
"""Each planted fault can still be planted. That its test turns red under it is what `./bootstrap faults` shows."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.run.stage import ROOT

FAULTS = sorted(path.parent for path in (ROOT / "tests" / "faults").glob("*/fault.patch"))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_patch_applies(fault: Path) -> None:
    command = ["git", "apply", "--check", str(fault / "fault.patch")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (fault / "test").read_text().strip()
