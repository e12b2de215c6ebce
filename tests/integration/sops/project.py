# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A user's project: an inventory, a playbook with the role, age keys, and what every call of sops could have leaked."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent

PLAY = """\
- name: Secrets
  hosts: all
  gather_facts: false
  roles:
    - role: homelab.ai.secrets
"""
HOSTS = "all: {hosts: {one: {ansible_connection: local}, two: {ansible_connection: local}}}\n"

# Notes the arguments, and copies all temporary files before and after the tool runs.
WRAPPER = """\
#!/bin/sh
printf '%s\\n' "$*" >> {log}
mkdir -p {seen}/$$ && cp -r {temporary} {seen}/$$/before
{tool} "$@"
code=$?
cp -r {temporary} {seen}/$$/after
exit $code
"""


def need(tool: str) -> str:
    path = shutil.which(tool)
    assert path is not None, f"{tool} is gone since the fixture looked for it"
    return path


@dataclass
class Run:
    code: int
    output: str

    @property
    def changed(self) -> int:
        return sum(int(number) for number in re.findall(r"changed=(\d+)", self.output))


@dataclass
class Project:
    folder: Path
    keys: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("inventory", "temporary", "home", "bin", "seen"):
            (self.folder / name).mkdir()
        link = self.folder / "collections" / "ansible_collections" / "homelab" / "ai"
        link.parent.mkdir(parents=True)
        link.symlink_to(ROOT)
        (self.folder / "play.yml").write_text(PLAY)
        (self.folder / "ansible.cfg").write_text("[defaults]\n")  # nobody else's settings
        (self.inventory / "hosts.yml").write_text(HOSTS)
        for name in ("first", "second"):
            subprocess.run([need("age-keygen"), "-o", self.key(name)], check=True, capture_output=True)
            done = subprocess.run(
                [need("age-keygen"), "-y", self.key(name)], check=True, capture_output=True, text=True
            )
            self.keys[name] = done.stdout.strip()
        for name in ("sops", "age-keygen"):
            self.wrap(name)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SOPS_", "ANSIBLE_"))}
        temporary = str(self.folder / "temporary")
        self.environment = {
            **inherited,
            "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin",
            "HOME": str(self.folder / "home"),
            "TMPDIR": temporary,
            "ANSIBLE_HOME": temporary,
            "ANSIBLE_REMOTE_TMP": temporary,
            "ANSIBLE_LOCAL_TEMP": temporary,
            "ANSIBLE_COLLECTIONS_PATH": str(self.folder / "collections"),
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "LC_ALL": "C.UTF-8",
            "SOPS_AGE_KEY_FILE": self.key("first"),
        }
        self.environment.pop("XDG_CONFIG_HOME", None)

    def wrap(self, name: str) -> None:
        text = WRAPPER.format(
            log=self.folder / "arguments",
            seen=self.folder / "seen",
            temporary=self.folder / "temporary",
            tool=need(name),
        )
        (self.folder / "bin" / name).write_text(text)
        (self.folder / "bin" / name).chmod(0o755)

    @property
    def inventory(self) -> Path:
        return self.folder / "inventory"

    @property
    def file(self) -> Path:
        return self.inventory / "group_vars" / "all" / "homelab_secrets.sops.yaml"

    @property
    def config(self) -> Path:
        return self.inventory / ".sops.yaml"

    def key(self, name: str) -> str:
        return str(self.folder / f"{name}.key")

    def run(self, *arguments: str, env: dict[str, str | None] | None = None, **variables: Any) -> Run:
        """One playbook run, with the most that Ansible prints. A variable of `env` that is None is not set."""
        command = [
            str(BIN / "ansible-playbook"),
            "-i",
            str(self.inventory / "hosts.yml"),
            str(self.folder / "play.yml"),
        ]
        command += ["--diff", "-vvv", "-e", json.dumps(variables), *arguments]
        merged = {**self.environment, **(env or {})}
        environment = {name: value for name, value in merged.items() if value is not None}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=self.folder)
        run = Run(done.returncode, done.stdout + done.stderr)
        self.runs.append(run)
        return run

    def succeed(self, *arguments: str, env: dict[str, str | None] | None = None, **variables: Any) -> Run:
        run = self.run(*arguments, env=env, **variables)
        assert run.code == 0, run.output
        return run

    def refusal(self, *arguments: str, env: dict[str, str | None] | None = None, **variables: Any) -> str:
        """The message of a run that must fail and change no file."""
        before = self.snapshot()
        run = self.run(*arguments, env=env, **variables)
        assert run.code != 0, run.output
        assert self.snapshot() == before
        found = re.findall(r'"msg": ("(?:[^"\\]|\\.)*")', run.output)
        assert found, run.output
        return str(json.loads(found[-1]))

    def snapshot(self) -> dict[str, tuple[bytes, int]]:
        """Content and mode of every file of the inventory."""
        return {
            str(path.relative_to(self.inventory)): (path.read_bytes(), path.stat().st_mode & 0o7777)
            for path in sorted(self.inventory.rglob("*"))
            if path.is_file()
        }

    def sops(self, *arguments: str, key: str = "first", data: str = "") -> str:
        """The real sops as a user calls it, in the inventory's directory."""
        environment = {**self.environment, "SOPS_AGE_KEY_FILE": self.key(key)}
        done = subprocess.run(
            [need("sops"), *arguments],
            env=environment, input=data, capture_output=True, text=True, check=False, cwd=self.inventory,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def decrypted(self, key: str = "first") -> dict[str, Any]:
        return dict(yaml.safe_load(self.sops("-d", str(self.file), key=key)))

    def secrets(self, key: str = "first") -> dict[str, str]:
        return dict(self.decrypted(key)["homelab_secrets"])

    def encrypt(self, content: dict[str, Any], key: str = "first") -> None:
        """A file made by hand, for one key."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        text = self.sops(
            "encrypt", "--age", self.keys[key], "--filename-override", "x.yaml", "--input-type", "json",
            data=json.dumps(content),
        )  # fmt: skip
        self.file.write_text(text)
        self.file.chmod(0o600)

    def traces(self, secret: str) -> list[str]:
        """Where `secret` can be read: output of the runs, arguments of the tools, any file, temporary ones included."""
        found = [f"output of run {number}" for number, run in enumerate(self.runs) if secret in run.output]
        for path in self.folder.rglob("*"):
            if path.is_file() and not path.is_symlink() and secret.encode() in path.read_bytes():
                found.append(str(path))
        return found
