# SPDX-License-Identifier: GPL-3.0-or-later
"""What changes machines asks first; what reads does not."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.integration.roles.plays import Plays, local

AWAY = {"ansible_host": "192.0.2.7", "ansible_ssh_common_args": "-o ConnectTimeout=1"}


@pytest.fixture
def guarded(plays: Plays) -> Path:
    """A playbook that writes a file behind the guard."""
    playbook = plays.folder / "guarded.yml"
    write = {
        "name": "Change something",
        "ansible.builtin.copy": {"content": "x", "dest": str(plays.folder / "changed"), "mode": "0644"},
        "tags": ["hardware_audit", "deploy"],
    }
    guard = {"role": "homelab.ai.guard"}
    play = {"hosts": "all", "gather_facts": False, "roles": [guard], "tasks": [write]}
    playbook.write_text(json.dumps([play]))
    return playbook


def inventory(plays: Plays, control: dict[str, Any], **variables: Any) -> Path:
    groups = {"control_plane": {"hosts": control}, "workers": {"hosts": {"worker": local()}}}
    return plays.inventory({"vars": variables, "children": groups})


def test_without_homelab_nothing_is_touched_and_the_hosts_are_named(plays: Plays, guarded: Path) -> None:
    hosts = inventory(plays, {"desk": local()}, homelab_kube_context="rancher-desktop")
    play = plays.run(str(guarded), hosts, expect=2)
    assert "HOMELAB is not set and must be 1" in play.output
    assert "It would have touched desk, worker and the cluster of context rancher-desktop." in play.output
    assert not (plays.folder / "changed").exists()
    assert "HOMELAB is yes and must be 1" in plays.run(str(guarded), hosts, expect=2, HOMELAB="yes").output


def test_with_homelab_the_run_goes_on(plays: Plays, guarded: Path) -> None:
    plays.run(str(guarded), inventory(plays, {"desk": local()}), HOMELAB="1")
    assert (plays.folder / "changed").exists()


@pytest.mark.parametrize("own_name", [True, False])
def test_the_controller_must_be_of_the_control_plane(plays: Plays, guarded: Path, own_name: bool) -> None:
    name = socket.gethostname().split(".")[0] if own_name else "somewhere-else"
    hosts = inventory(plays, {f"{name}.tailnet.ts.net": {"ansible_host": f"{name}.tailnet.ts.net"}})
    if own_name:
        plays.run(str(guarded), hosts, "--limit", "worker", HOMELAB="1")
    else:
        play = plays.run(str(guarded), hosts, "--limit", "worker", expect=2, HOMELAB="1")
        assert (
            f"This machine is {socket.gethostname()}" in play.output and "somewhere-else.tailnet.ts.net" in play.output
        )
        plays.run(str(guarded), hosts, "--limit", "worker", "-e", "guard_control_plane=false", HOMELAB="1")


@pytest.mark.parametrize(
    ("tags", "passes"), [("hardware_audit", True), ("deploy", False), ("hardware_audit,deploy", False)]
)
def test_only_tags_that_read_pass(plays: Plays, guarded: Path, tags: str, passes: bool) -> None:
    plays.run(str(guarded), inventory(plays, {"desk": local()}), "--tags", tags, expect=0 if passes else 2)
    assert (plays.folder / "changed").exists() is passes


def test_a_running_platform_is_updated_only_when_confirmed(plays: Plays, guarded: Path) -> None:
    hosts = inventory(plays, {"desk": local()})
    play = plays.run(str(guarded), hosts, "-e", "guard_running=true", expect=2, HOMELAB="1")
    assert "DEPLOY_CONFIRM is not set" in play.output and "homelab.ai.plan" in play.output
    plays.run(str(guarded), hosts, "-e", "guard_running=true", HOMELAB="1", DEPLOY_CONFIRM="yes")


def test_site_asks_without_an_inventory_too(plays: Plays) -> None:
    empty = plays.folder / "empty"
    empty.touch()
    assert "It would have touched localhost." in plays.run("homelab.ai.site", empty, "--check", expect=2).output


def test_site_refuses_before_it_connects(plays: Plays) -> None:
    hosts = inventory(plays, {"desk": local(), "away": AWAY})
    play = plays.run("homelab.ai.site", hosts, expect=2)
    assert "HOMELAB is not set" in play.output and "It would have touched away, desk, worker." in play.output
