# SPDX-License-Identifier: GPL-3.0-or-later
"""Each planted fault can still be planted. That its test turns red under it is what `./bootstrap faults` shows."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.run.stage import ROOT, known_files

# Also a folder that lacks its patch, which the runner would pass over.
FAULTS = sorted(
    {
        ROOT.joinpath(*Path(name).parts[:3])
        for name in known_files()
        if name.startswith("tests/faults/") and name.count("/") > 2
    }
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_patch_applies(fault: Path) -> None:
    command = ["git", "apply", "--check", str(fault / "fault.patch")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (fault / "test").read_text().strip()
