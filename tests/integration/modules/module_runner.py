# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs modules through ansible-playbook, as a user would, and knows the servers they run against."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent
# Never to be seen in any output. Long and odd, so that no chance match hides a leak.
CANARY = "canary-7Q2xv9-do-not-print"


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    for _unused in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, f"the server on port {port} ended with {process.returncode}"
        time.sleep(0.1)
    raise AssertionError(f"nothing listens on port {port} after 30 s")


def interpreter(folder: Path, script: str) -> str:
    """A program for `Runner.python`: `script`, which must end by running the real interpreter with its arguments."""
    program = folder / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


@dataclass
class Play:
    """Results of the tasks of one playbook run, in order, and everything that it printed."""

    tasks: list[dict[str, Any]]
    output: str


@dataclass
class Runner:
    """Runs tasks of one module on localhost. `defaults` are options that every task gets."""

    folder: Path
    module: str = ""
    defaults: dict[str, Any] = field(default_factory=dict)
    no_log: bool = False
    python: str = sys.executable

    def __call__(self, *tasks: dict[str, Any], verbosity: str = "") -> Play:
        """Each task is the module's options, and `check: True` for check mode."""
        body: list[dict[str, Any]] = []
        for number, task in enumerate(tasks):
            merged = {**self.defaults, **task}
            options = {name: value for name, value in merged.items() if value is not None}
            check = options.pop("check", False)
            body.append(
                {
                    "name": f"Task {number}",
                    f"homelab.ai.{self.module}": options,
                    "check_mode": check,
                    "diff": True,
                    "no_log": self.no_log,
                    "register": f"result_{number}",
                    "ignore_errors": True,
                }
            )
        return self.run(body, verbosity)

    def run(self, body: list[dict[str, Any]], verbosity: str = "") -> Play:
        """Tasks as they stand in a playbook; the results are those of the tasks that register something."""
        work = Path(tempfile.mkdtemp(prefix="play-", dir=self.folder))
        names = ", ".join(task["register"] for task in body if "register" in task)
        copy = {"content": "{{ [" + names + "] | to_json }}", "dest": str(work / "results.json"), "mode": "0600"}
        keep = {"name": "Keep the results", "ansible.builtin.copy": copy, "no_log": True}
        play = [{"name": "Test", "hosts": "localhost", "gather_facts": False, "tasks": [*body, keep]}]
        (work / "play.yml").write_text(json.dumps(play))  # JSON is YAML
        (work / "ansible.cfg").write_text("[defaults]\n")  # nobody else's settings
        command = [str(BIN / "ansible-playbook"), "-i", "localhost,", "-c", "local", str(work / "play.yml")]
        command += ["-e", f"ansible_python_interpreter={self.python}"]
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(self.folder / "collections"),
            "ANSIBLE_HOME": str(self.folder / "ansible"),
            "ANSIBLE_CONFIG": str(work / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "LC_ALL": "C.UTF-8",
        }
        done = subprocess.run(
            command + ([verbosity] if verbosity else []), env=environment, capture_output=True, text=True, check=False
        )
        output = done.stdout + done.stderr
        assert done.returncode == 0, output
        return Play(json.loads((work / "results.json").read_text()), output)

    def check(self, options: dict[str, Any], snapshot: Callable[[], Any]) -> dict[str, Any]:
        """The result of a run in check mode; `snapshot`, another client, must see no difference after it."""
        before = snapshot()
        (result,) = self({**options, "check": True}).tasks
        assert not result.get("failed"), result
        assert snapshot() == before, "check mode has changed something"
        return result

    def cycle(self, options: dict[str, Any], snapshot: Callable[[], Any], changes: bool = True) -> dict[str, Any]:
        """Check, apply, check again and apply again, in one playbook; returns the result of the first real run.

        That the real run finds the same difference as the check before it shows that the check has changed nothing.
        """
        before = snapshot()
        dry, real, dry_again, real_again = self(*({**options, "check": check} for check in (True, False) * 2)).tasks
        for result in (dry, real, dry_again, real_again):
            assert not result.get("failed"), result
        assert (dry["changed"], real["changed"]) == (changes, changes), (dry, real)
        assert real.get("diff") == dry.get("diff"), "check mode has announced another change"
        assert (dry_again["changed"], real_again["changed"]) == (False, False), (dry_again, real_again)
        assert (snapshot() != before) is changes
        return real

    def failures(self, *tasks: dict[str, Any]) -> list[str]:
        """The messages of tasks that must all fail, run in one playbook."""
        results = self(*tasks).tasks
        assert all(result.get("failed") for result in results), results
        return [str(result["msg"]) for result in results]

    def failure(self, **options: Any) -> str:
        """The message of a task that must fail."""
        return self.failures(options)[0]


@dataclass
class Nats:
    port: int
    url: str
    password: str = CANARY


@dataclass
class Postgres:
    port: int
    log: Path

    def connect(self, user: str = "postgres", password: str = CANARY, database: str = "postgres") -> Any:
        """A client that is not the module."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=user, password=password, dbname=database, autocommit=True
        )
