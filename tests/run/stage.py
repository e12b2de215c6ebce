# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stage is, and the two common kinds: a tool that is right or wrong, and a folder of pytest tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from tests.run.counts import Counts, from_junit

ROOT = Path(__file__).resolve().parents[2]


def known_files() -> list[str]:
    """Paths from ROOT of the files that git knows or would add, and that are there."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    # A file that was deleted in the working tree is listed still.
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def copy_known(target: Path) -> None:
    """Those files into `target`, links as links."""
    for name in known_files():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name, follow_symlinks=False)


class NotRun(Exception):
    """The stage cannot run on this machine; the message is the reason."""


@dataclass
class Context:
    """What the stages of one run share: `scratch` is a folder of the run, `env` the environment of its commands.

    `output` takes what a stage prints; None is the terminal.
    """

    scratch: Path
    env: dict[str, str]
    output: TextIO | None = None

    def say(self, text: str) -> None:
        print(text, file=self.output, flush=True)

    def run(self, *command: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> int:
        """Runs `command` with its output shown, and returns its exit code."""
        # Both streams in one order, so that nothing of a stage appears behind the sum.
        return subprocess.run(
            command,
            cwd=cwd,
            env=self.env | dict(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode

    def check(self, *command: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> Counts:
        """Runs `command` as one check: right when it exits with 0."""
        return Counts(passed=1) if self.run(*command, cwd=cwd, env=env) == 0 else Counts(failed=1)


@dataclass(frozen=True)
class Stage:
    """One line of the summary. `group` selects several stages at once. Any two may run side by side."""

    group: str
    name: str
    run: Callable[[Context], Counts]


def tool(name: str, *command: str, env: Mapping[str, str] | None = None) -> Stage:
    """A linter."""
    return Stage("lint", name, lambda context: context.check(*command, env=env))


def run_pytest(context: Context, folder: str, *arguments: str, env: Mapping[str, str] | None = None) -> Counts:
    if not (ROOT / folder).is_dir():
        context.say(f"{folder} does not exist: correct tests/run/stages.py")
        return Counts(failed=1)
    report = context.scratch / f"{folder.replace('/', '-')}.xml"
    command = [sys.executable, "-m", "pytest", folder, "-q", "--durations=5", f"--junitxml={report}", *arguments]
    return from_junit(report, context.run(*command, env=env))


def pytest(group: str, folder: str, *arguments: str) -> Stage:
    return Stage(group, folder, lambda context: run_pytest(context, folder, *arguments))


def select(stages: Sequence[Stage], names: Sequence[str]) -> list[Stage]:
    """The stages that are named, or whose group is; all of them without names. Raises ValueError for an unknown one."""
    known = {stage.name for stage in stages} | {stage.group for stage in stages}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"no stage or group is called {', '.join(unknown)}; there are: {', '.join(sorted(known))}")
    return [stage for stage in stages if not names or stage.name in names or stage.group in names]


def environment(scratch: Path) -> dict[str, str]:
    """The caller's environment with this interpreter's tools first."""
    env = dict(os.environ)
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env.get('PATH', os.defpath)}"
    # ansible-lint may install a copy of the collection below ANSIBLE_HOME: not through the link to the checkout.
    env["ANSIBLE_HOME"] = str(scratch / "ansible")
    env["ANSIBLE_NOCOLOR"] = env["NO_COLOR"] = "1"
    return env
