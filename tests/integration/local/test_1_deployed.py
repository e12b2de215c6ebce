# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role leaves on the machine: processes, files, secrets; and that a second run finds nothing to do.

The numbers in the names of these files order them: the later ones change the stack, the last removes it.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from tests.integration.local.conftest import Foretold
from tests.integration.local.deployment import Deployment, Run, answers, wait_until

PROGRAMS = {
    *("nats", "postgres", "oxigraph", "litellm", "llama-chat", "llama-embed"),
    *("extract", "extract-2", "chunk", "embed", "graph", "delete", "reconcile", "query"),
}


def test_check_mode_on_a_fresh_machine_foretells_and_creates_nothing(foretold: Foretold) -> None:
    assert foretold.run.changed > 0
    assert "Create the service user" in foretold.run.changed_tasks()
    assert "The runtime would be made in /opt/hltest/venv" in foretold.run.output
    assert foretold.before == foretold.after == []


def test_all_programs_run(stack: Deployment) -> None:
    assert stack.pids().keys() == PROGRAMS


def test_replicas_have_their_own_ports(stack: Deployment) -> None:
    assert answers(stack.url(9101) + "/readyz") and answers(stack.url(9201) + "/readyz")
    assert not answers(stack.url(9204) + "/readyz")


def test_the_second_run_changes_nothing(stack: Deployment) -> None:
    pids = stack.pids()
    assert stack.run().changed_tasks() == []
    assert stack.pids() == pids


def test_check_mode_on_the_running_stack_foretells_no_change(stack: Deployment) -> None:
    run = stack.run("--check")
    assert run.changed_tasks() == []
    assert run.changed == 0


def test_no_process_has_root_s_rights(stack: Deployment) -> None:
    processes = stack.processes()
    assert len(processes) > len(PROGRAMS)
    for process in processes:
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
        assert "0" not in fields["Uid"].split() and "0" not in fields["Gid"].split(), fields["Name"]
        assert int(fields["CapEff"], 16) == 0, fields["Name"]


def test_the_service_user_may_not_write_what_root_executes_or_configures(stack: Deployment) -> None:
    """Its secrets are its own files, 0600; nothing but they may be writable there."""
    find = ["setpriv", "--reuid", stack.name, "--regid", stack.name, "--init-groups", "find"]
    places = [str(stack.lib), str(stack.config)]
    done = subprocess.run(
        [*find, *places, "-writable", "-not", "-type", "l"], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""  # a folder that could not be looked into would prove nothing
    secrets = [path for folder in ("secrets", "services") for path in (stack.config / folder).rglob("*")]
    own = {str(path) for path in secrets if path.is_file()}
    own |= {str(stack.config / "nats" / "users.conf"), str(stack.config / "litellm" / "keys.json")}
    assert set(done.stdout.split()) == own


def test_secrets_are_for_the_service_user_alone(stack: Deployment) -> None:
    secrets = stack.secrets()
    assert len(secrets) > 20 and len(set(secrets.values())) == len(secrets)
    holding = [
        path
        for path in stack.config.rglob("*")
        if path.is_file() and any(value in path.read_text() for value in secrets.values())
    ]
    assert len(holding) > len(secrets)
    assert [str(path) for path in holding if path.stat().st_mode & 0o777 != 0o600] == []


def test_no_output_shows_a_secret(stack: Deployment, deployed: Run) -> None:
    """The first run made them; every later one is checked where it runs."""
    assert len(stack.outputs) >= 2 and all("TASK [" in output for output in stack.outputs)
    assert stack.leaked(deployed.output) == []


def test_no_process_shows_a_secret(stack: Deployment) -> None:
    lines = [Path(f"/proc/{process}/cmdline").read_bytes().decode() for process in stack.processes()]
    assert any("nats-server" in line for line in lines)
    assert stack.leaked("\n".join(lines)) == []


def test_no_log_shows_a_secret(stack: Deployment) -> None:
    logs = {path.name: path.read_text(errors="replace") for path in stack.logs.iterdir()}
    assert {f"{program}.log" for program in PROGRAMS} <= logs.keys()
    assert stack.leaked("".join(logs.values())) == []


def test_a_killed_server_comes_back(stack: Deployment) -> None:
    before = stack.pids()
    os.kill(before["nats"], signal.SIGKILL)
    wait_until(lambda: stack.pids().get("nats", before["nats"]) != before["nats"], "nats runs again")
    wait_until(lambda: answers(stack.url(8222) + "/healthz"), "nats is healthy")
    # The workers connect again by themselves, and their health says so.
    wait_until(lambda: answers(stack.url(9102) + "/readyz"), "chunk is ready")
    assert {name: pid for name, pid in stack.pids().items() if name != "nats"} == {
        name: pid for name, pid in before.items() if name != "nats"
    }
