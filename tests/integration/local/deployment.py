# SPDX-License-Identifier: GPL-3.0-or-later
"""A stack of this checkout's own role beside whatever runs here: other name, user, ports and directories."""

from __future__ import annotations

import grp
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[3]
NAME = "hltest"
PORT_BASE = 5000
TUNING: dict[str, Any] = {
    # Two of one kind and one of the other, whatever the machine has.
    "max_replicas": {"extract": 2, "graph": 1},
    "settings": {"reconcile": {"grace_seconds": 5, "every_seconds": 2}},
}
# What `ansible-galaxy collection install` would bring of the checkout, as far as the role needs it.
SHIPPED = ("galaxy.yml", "meta", "playbooks", "plugins", "roles", "workers")
RECAP = re.compile(r"^localhost +: ok=(\d+) +changed=(\d+) +unreachable=(\d+) +failed=(\d+)", re.MULTILINE)


@dataclass
class Run:
    """One ansible-playbook run: exit code, everything it printed, and what its last line counts."""

    code: int
    output: str

    @property
    def changed(self) -> int:
        found = RECAP.search(self.output)
        assert found, self.output[-3000:]
        return int(found[2])

    def changed_tasks(self) -> list[str]:
        names = []
        for block in re.split(r"^TASK \[", self.output, flags=re.MULTILINE)[1:]:
            if re.search(r"^changed: \[localhost\]", block, re.MULTILINE):
                names.append(block.partition("]")[0].rpartition(" : ")[2])
        return names


@dataclass
class Deployment:
    scratch: Path
    name: str = NAME
    outputs: list[str] = field(default_factory=list)
    store: str = "directory"  # even where a Garage is on PATH, until test_5_objects.py moves it

    @property
    def config(self) -> Path:
        return Path("/etc") / self.name

    @property
    def data(self) -> Path:
        return Path("/var/lib") / self.name

    @property
    def logs(self) -> Path:
        return Path("/var/log") / self.name

    @property
    def lib(self) -> Path:
        return Path("/opt") / self.name

    @property
    def places(self) -> list[Path]:
        """Every path that may be there because of this stack."""
        unit = Path("/etc/systemd/system") / f"{self.name}-local.service"
        return [self.config, self.data, self.logs, self.lib, Path("/run") / self.name, unit]

    # ------------------------------------------------------------ the role

    @property
    def collection(self) -> Path:
        return self.scratch / "collections" / "ansible_collections" / "homelab" / "ai"

    def take_snapshot(self) -> None:
        """The collection as it is now: an edit of the checkout in the middle of the tests would change the runtime."""
        self.collection.mkdir(parents=True)
        ignore = shutil.ignore_patterns("__pycache__", ".*_cache", "build")
        for name in SHIPPED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, self.collection / name, ignore=ignore)
            else:
                shutil.copy2(source, self.collection / name)

    def play(self, playbook: str, *arguments: str, expect: int = 0) -> Run:
        """Runs with everything shown (-vvv --diff), and holds that no secret is among it."""
        env = os.environ | {
            "ANSIBLE_COLLECTIONS_PATH": str(self.scratch / "collections"),
            "ANSIBLE_HOME": str(self.scratch / "ansible"),
            "ANSIBLE_LOCALHOST_WARNING": "False",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False",
            "ANSIBLE_NOCOLOR": "1",
            "LC_ALL": "C.UTF-8",
        }
        command = [str(Path(sys.executable).with_name("ansible-playbook")), playbook, "-vvv", "--diff", *arguments]
        done = subprocess.run(
            command, env=env, cwd=self.scratch, capture_output=True, text=True, check=False, timeout=580
        )
        run = Run(done.returncode, done.stdout + done.stderr)
        self.outputs.append(run.output)
        assert run.code == expect, f"exit {run.code}\n{run.output[-6000:]}"
        assert self.leaked(run.output) == []
        return run

    def run(self, *arguments: str, expect: int = 0, **variables: Any) -> Run:
        return self.play("homelab.ai.local", "-e", json.dumps(self.variables | variables), *arguments, expect=expect)

    @property
    def variables(self) -> dict[str, Any]:
        return {
            "local_stack_name": self.name,
            "local_stack_user": self.name,
            "local_stack_port_base": PORT_BASE,
            "local_stack_cli_link": False,
            "local_stack_object_store": self.store,
            "homelab_tuning_overrides": TUNING,
        }

    # ------------------------------------------------------------ what stands on the machine

    def secrets(self) -> dict[str, str]:
        folder = self.config / "secrets"
        return {path.name: path.read_text().strip() for path in folder.iterdir()} if folder.is_dir() else {}

    def leaked(self, text: str) -> list[str]:
        """Names of the secrets that a text holds."""
        return [name for name, value in self.secrets().items() if value in text]

    def listing(self) -> list[str]:
        """All files of the stack's places, its user and its group: what a run without effects leaves as it was."""
        found = [str(path) for place in self.places if place.exists() for path in (place, *place.rglob("*"))]
        users = [f"user {entry.pw_name}" for entry in pwd.getpwall() if entry.pw_name == self.name]
        groups = [f"group {entry.gr_name}" for entry in grp.getgrall() if entry.gr_name == self.name]
        return sorted(found) + users + groups

    def supervise(self, *arguments: str) -> str:
        control = [f"{self.lib}/venv/bin/supervisorctl", "-c", f"{self.config}/supervisord.conf", *arguments]
        # Its exit status says whether all programs run, which is not what these callers ask.
        return subprocess.run(control, capture_output=True, text=True, check=False, timeout=120).stdout.strip()

    def pids(self) -> dict[str, int]:
        """Process by running program, once none is starting: the supervisor says so for its first two seconds."""
        found = {}
        deadline = time.monotonic() + 15
        while " STARTING " in (status := self.supervise("status") + "\n") and time.monotonic() < deadline:
            time.sleep(0.2)
        for line in status.splitlines():
            if match := re.match(r"(\S+) +RUNNING +pid (\d+)", line):
                found[match[1]] = int(match[2])
        return found

    def processes(self) -> list[int]:
        """The supervisor and everything below it; empty when it does not run."""
        pid_file = Path("/run") / self.name / "supervisord.pid"
        if not pid_file.is_file():
            return []
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and (parent := parent_of(int(entry.name))) is not None:
                children.setdefault(parent, []).append(int(entry.name))
        found = [int(pid_file.read_text())]
        for process in found:
            found += children.get(process, [])
        return found

    # ------------------------------------------------------------ addresses

    def url(self, offset: int) -> str:
        return f"http://127.0.0.1:{PORT_BASE + offset}"

    def api(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """The answer of the query service to the user's key."""
        key = {"Authorization": f"Bearer {self.secrets()['api-user']}"}
        answer = httpx.request(method, self.url(8080) + path, headers=key, timeout=60, trust_env=False, **request)
        answer.raise_for_status()
        body: dict[str, Any] = answer.json()
        return body

    def ingest(self, name: str, content: bytes) -> str:
        """Id of the document that was taken in; it is not served yet."""
        return str(self.api("POST", "/v1/documents", files={"file": (name, content)})["id"])

    def nats_url(self, user: str) -> str:
        return f"nats://{user}:{self.secrets()[f'nats-{user}']}@127.0.0.1:{PORT_BASE + 4222}"

    def postgres_url(self, service: str) -> str:
        role = "postgres" if service == "admin" else f"homelab_{service}"
        return f"postgresql://{role}:{self.secrets()[f'postgres-{service}']}@127.0.0.1:{PORT_BASE + 5432}/postgres"


def parent_of(process: int) -> int | None:
    try:
        stat = Path(f"/proc/{process}/stat").read_text(errors="replace")
    except OSError:
        return None  # it has ended
    return int(stat.rpartition(")")[2].split()[1])


def wait_until(true: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
