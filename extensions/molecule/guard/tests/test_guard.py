# SPDX-License-Identifier: GPL-3.0-or-later
"""What was meant happened; what was not is refused with its reason, and changes nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRATCH = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "scratch"
SCENARIO = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])


def converge(*arguments: str, homelab: str = "1", confirm: str = "") -> subprocess.CompletedProcess[str]:
    command = ["ansible-playbook", "-i", str(SCENARIO.parent / "inventory.yml"), str(SCENARIO / "converge.yml")]
    env = os.environ | {"HOMELAB": homelab, "DEPLOY_CONFIRM": confirm}
    command += ["-e", "behind_the_guard=not-meant", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)


def test_what_was_meant_happened() -> None:
    assert (SCRATCH / "meant").read_text() == "changed\n"


@pytest.mark.parametrize(
    ("arguments", "homelab", "said"),
    [
        ((), "", "HOMELAB is not set and must be 1"),
        ((), "yes", "HOMELAB is yes and must be 1"),
        (("-e", "guard_control_plane_group=others"), "1", "the group others has no hosts"),
        (("-e", "guard_running=true"), "1", "DEPLOY_CONFIRM is not set"),
    ],
)
def test_what_was_not_meant_is_refused(arguments: tuple[str, ...], homelab: str, said: str) -> None:
    refused = converge(*arguments, homelab=homelab)
    output = " ".join((refused.stdout + refused.stderr).split())
    assert refused.returncode == 2 and said in output
    assert "It would have touched localhost." in output
    assert not (SCRATCH / "not-meant").exists()


def test_an_update_that_is_confirmed_passes() -> None:
    done = converge("-e", "guard_running=true", confirm="yes")
    assert done.returncode == 0, done.stdout
    (SCRATCH / "not-meant").unlink()
