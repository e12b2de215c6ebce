# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a playbook of the collection on an inventory of the test's own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
RECAP = re.compile(
    r"^(\S+) +: ok=(\d+) +changed=(\d+) +unreachable=(\d+) +failed=(\d+) +skipped=\d+ +rescued=(\d+)", re.M
)


@dataclass
class Play:
    code: int
    output: str

    def changed(self, host: str) -> int:
        return self._recap(host)[1]

    def _recap(self, host: str) -> tuple[int, ...]:
        for found in RECAP.finditer(self.output):
            if found[1] == host:
                return tuple(int(number) for number in found.groups()[1:])
        raise AssertionError(f"{host} is not in the recap:\n{self.output[-3000:]}")


class Plays:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        link = folder / "collections" / "ansible_collections" / "homelab" / "ai"
        link.parent.mkdir(parents=True)
        link.symlink_to(ROOT)

    def inventory(self, content: dict[str, Any]) -> Path:
        path = self.folder / "hosts.yml"
        path.write_text(yaml.safe_dump({"all": content}))
        return path

    def run(self, playbook: str, inventory: Path, *arguments: str, expect: int = 0, **environment: str) -> Play:
        env = {name: value for name, value in os.environ.items() if name not in ("HOMELAB", "DEPLOY_CONFIRM")}
        env |= {
            "ANSIBLE_COLLECTIONS_PATH": str(self.folder / "collections"),
            "ANSIBLE_HOME": str(self.folder / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
            "LC_ALL": "C.UTF-8",
            "PWD": str(self.folder),  # as a shell sets it
        }
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory), playbook, *arguments]
        done = subprocess.run(
            command, env=env | environment, cwd=self.folder, capture_output=True, text=True, check=False, timeout=300
        )
        play = Play(done.returncode, done.stdout + done.stderr)
        assert play.code == expect, f"exit {play.code}\n{play.output[-5000:]}"
        return play


def local(**variables: Any) -> dict[str, Any]:
    """A host that is this machine."""
    return {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, **variables}
