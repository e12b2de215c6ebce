# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.faults.run [NAME…]`: plants known faults; the test that guards against each must turn red.

A fault is a folder beside this file: `fault.patch` (for `git apply`) and `test`, one line of shell that is run in a
copy of the tree: green without the patch, red with it. PATH starts with the folder of this interpreter.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.run.stage import copy_known

HERE = Path(__file__).resolve().parent


def copy_tree(target: Path) -> None:
    """The working tree, its uncommitted changes included, into `target`."""
    copy_known(target)
    # Plugins are imported as part of their collection, as ./bootstrap links it.
    link = target / ".ansible" / "collections" / "ansible_collections" / "homelab" / "ai"
    link.parent.mkdir(parents=True)
    link.symlink_to(target)


def run(command: str, tree: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    # A .pyc of the untouched file could be taken for the patched one's: same size, same second.
    env = os.environ | {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, shell=True, cwd=tree, env=env, text=True, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )


def check(name: str, tree: Path) -> str | None:
    """What is wrong with the fault `name`, or None when its test is green without it and red with it."""
    fault = HERE / name
    command = (fault / "test").read_text().strip()
    before = run(command, tree)
    if before.returncode != 0:
        return f"red without the fault:\n{before.stdout}{before.stderr}"
    patch = ["git", "apply", "--unsafe-paths", f"--directory={tree}", str(fault / "fault.patch")]
    applied = subprocess.run(patch, cwd=tree, text=True, capture_output=True, check=False)
    if applied.returncode != 0:
        return f"the patch does not apply, renew it:\n{applied.stderr}"
    after = run(command, tree)
    if after.returncode == 0:
        return f"`{command}` stayed green: nothing guards against this fault"
    # 1 is pytest's and most tools' verdict; anything else is a command that could not run.
    return (
        None if after.returncode == 1 else f"`{command}` ended with {after.returncode}:\n{after.stdout}{after.stderr}"
    )


def main(names: list[str]) -> int:
    known = sorted(path.parent.name for path in HERE.glob("*/fault.patch"))
    if unknown := sorted(set(names) - set(known)):
        print(f"no fault is called {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    failed = 0
    for name in names or known:
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="homelab-fault-") as folder:
            copy_tree(Path(folder))
            problem = check(name, Path(folder))
        print(f"{'FAILED' if problem else 'caught'} {name} ({time.monotonic() - started:.1f} s)", flush=True)
        if problem:
            failed += 1
            print(problem)
    print(f"{len(names or known) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
