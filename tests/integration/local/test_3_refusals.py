# SPDX-License-Identifier: GPL-3.0-or-later
"""Inputs and machines that the role refuses: before it changes anything, and with the value and the way out."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.local.deployment import PORT_BASE, Deployment, Run

# local_stack_chat or local_stack_embed, by a name for the reader.
BAD_MODELS: dict[str, tuple[str, Any]] = {
    "an unknown word": ("local_stack_chat", "bundeld"),
    "nothing": ("local_stack_chat", {}),
    "a list": ("local_stack_chat", ["/srv/model.gguf"]),
    "an address without its sum": ("local_stack_chat", {"url": "https://models.example/m.gguf"}),
    "a server without a key": ("local_stack_chat", {"base_url": "http://models.example/v1", "model": "m"}),
    "an embedding model without its name": ("local_stack_embed", {"gguf": "/srv/model.gguf"}),
}

# A file that is not there, by the option that names it.
MISSING: dict[str, tuple[str, Any]] = {
    "local_stack_chat.gguf": ("local_stack_chat", {"gguf": "/srv/no-such.gguf"}),
    "local_stack_chat.api_key_file": (
        "local_stack_chat",
        {"base_url": "http://models.example/v1", "model": "m", "api_key_file": "/srv/no-such.key"},
    ),
    "local_stack_embed.tokenizer": (
        "local_stack_embed",
        {"gguf": "/etc/hostname", "name": "all-MiniLM-L6-v2", "tokenizer": "/srv/no-such.json"},
    ),
}


@pytest.fixture(scope="module")
def refused(bare: Deployment) -> Run:
    """Every bad input in one run of the role each, and after each what it said."""
    tasks = []
    for title, (variable, value) in (BAD_MODELS | MISSING).items():
        call = {
            "name": f"Try {title}",
            "ansible.builtin.include_role": {"name": "homelab.ai.local_stack"},
            "vars": {variable: value},
        }
        said = {
            "name": "Show",
            "ansible.builtin.debug": {"msg": f"{title} >>> {{{{ ansible_failed_result | to_json }}}}"},
        }
        tasks.append({"name": title, "block": [call], "rescue": [said]})
    machine = {"memory_mib": 15900, "cores": 8, "has_avx2": True, "storage": {"total_gib": 512}}
    tuning = {"homelab_tuning": f"{{{{ {json.dumps(machine)} | homelab.ai.tuning_profile }}}}"}
    other = tuning | bare.variables | {"local_stack_name": "hltest-bad", "local_stack_user": "hltest-bad"}
    play = {"hosts": "localhost", "gather_facts": False, "vars": other, "tasks": tasks}
    playbook = bare.scratch / "bad-inputs.yml"
    playbook.write_text(json.dumps([play]))
    return bare.play(str(playbook), "--check")


@pytest.mark.parametrize("title", BAD_MODELS)
def test_a_bad_model_is_refused_with_its_value_and_what_is_allowed(refused: Run, title: str) -> None:
    variable, value = BAD_MODELS[title]
    (said,) = (line for line in refused.output.splitlines() if f"{title} >>> " in line)
    said = said.replace("\\", "")
    assert f"{variable} is {json.dumps(value)}".replace("\\", "") in said
    assert (
        "use bundled, {gguf: PATH}, {url: URL, sha256: SUM} or {base_url: URL, model: NAME, api_key_file: PATH}" in said
    )
    assert "an embedding model also needs name and tokenizer" in said


@pytest.mark.parametrize("option", MISSING)
def test_a_missing_file_of_a_model_is_named(refused: Run, option: str) -> None:
    (said,) = (line for line in refused.output.splitlines() if f"{option} >>> " in line)
    assert f"{option} is /srv/no-such." in said and "there is no such file on localhost" in said


def test_a_taken_port_is_refused_with_its_holder_and_the_way_out(bare: Deployment) -> None:
    other = Deployment(bare.scratch, "hltest-ports", bare.outputs)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 7000 + 8080))
        taken.listen()
        run = other.run(local_stack_port_base=7000, expect=2)
    assert f"port 15080 is taken by process {os.getpid()} (" in run.output
    assert "stop it, or move the stack with local_stack_port_base" in run.output
    assert run.changed == 0 and other.listing() == []


def test_the_ports_of_another_stack_are_taken_too(stack: Deployment) -> None:
    other = Deployment(stack.scratch, "hltest-ports", stack.outputs)
    run = other.run(expect=2)
    for program, port in (("nats", 5000 + 4222), ("query", 5000 + 8080)):
        assert f"port {port} is taken by process {stack.pids()[program]} (" in run.output
    assert run.changed == 0 and other.listing() == []


def test_root_that_may_not_look_into_processes_knows_the_stack_by_its_user(stack: Deployment) -> None:
    preflight = stack.collection / "roles" / "local_stack" / "files" / "preflight.py"
    command = ["setpriv", "--bounding-set=-sys_ptrace", sys.executable, str(preflight), f"--data-dir={stack.data}"]
    command += [f"--python={sys.executable}", "--disk-mib=1", "--memory-mib=1", "--port-variable=local_stack_port_base"]

    def said(config: Path, *offsets: int) -> str:
        ports = ",".join(str(PORT_BASE + offset) for offset in offsets)
        return subprocess.run(
            [*command, f"--config={config}", f"--ports={ports}"], capture_output=True, text=True, check=False
        ).stdout

    assert said(stack.config / "supervisord.conf", 4222, 5432, 8080) == ""
    assert "port 9222 is taken by a process of another user" in said(Path("/etc/hltest-ports/supervisord.conf"), 4222)
