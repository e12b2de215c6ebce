# SPDX-License-Identifier: GPL-3.0-or-later
"""The gates of the Ansible community on a copy of the collection: ansible-test, documentation, Galaxy's importer.

ansible-test wants to stand below `ansible_collections/homelab/ai` and leaves files there, so it gets a copy of what git
knows. Its tests run twice: with the oldest ansible-core that we support, which is the one of this interpreter, and with
the newest one on Python 3.13 (requirements/newest.txt).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from tests.run import artefact
from tests.run.counts import Counts
from tests.run.stage import ROOT, Context, NotRun, copy_known

# ansible-test writes into the tree and the home of its core: one call at a time.
IN_USE = {"oldest": Lock(), "newest": Lock()}
NEWEST_PYTHON = "3.13"
IMPORTER_PYTHON = "3.12"

# What ansible-test would download from its own server to put pip into an empty venv: Python brings one.
BOOTSTRAP = """\
import subprocess, sys
subprocess.check_call([sys.executable, "-m", "ensurepip"], stdout=subprocess.DEVNULL)
wanted = [argument for argument in sys.argv[1:] if not argument.startswith("--no-")]
subprocess.check_call([sys.executable, "-m", "pip", "install", *wanted])
"""
BOOTSTRAP_NAMES = ("get_pip_24_2.py", "get_pip_25_2.py")
"""ansible-core 2.19, then 2.20 and newer."""

UNITS = tuple(
    f"tests/unit/plugins/{folder}/" for folder in ("module_utils", "audit", "audit_bench", "filter", "report")
)
"""What ansible-test runs: code of the targets. The tests of sizing run once, under pytest."""

IMPORTER_CONFIG = """\
[galaxy-importer]
RUN_ANSIBLE_TEST = False
RUN_FLAKE8 = False
CHECK_REQUIRED_TAGS = True
CHECK_CHANGELOG = True
OFFLINE_ANSIBLE_LINT = True
"""


def python(version: str) -> Path:
    """The interpreter of a version, from PATH or pyenv. Raises NotRun where there is none."""
    for folder in python_folders():
        candidate = folder / f"python{version}"
        if candidate.exists():
            return candidate
    raise NotRun(f"there is no Python {version} on PATH or in pyenv")


def python_folders() -> list[Path]:
    """Folders with interpreters, pyenv's real ones first: its shims exist for versions that are not selected."""
    pyenv = Path(os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv"))) / "versions"
    found = [path / "bin" for path in sorted(pyenv.glob("3.*"))]
    return found + [Path(part) for part in os.get_exec_path() if Path(part).name != "shims"]


def tree(context: Context, user: str) -> Path:
    """The copy for one user, who may write into it; made once a run."""
    target = context.scratch / user / "ansible_collections" / "homelab" / "ai"
    if not target.exists():
        copy_known(target)
    return target


def venv(context: Context, name: str, version: str) -> Path:
    """The bin folder of a venv with the packages that requirements/NAME.txt locks; made once a run."""
    folder = context.scratch / name
    if folder.exists():
        return folder / "bin"
    interpreter = python(version)
    command = ["uv", "venv", "--quiet", "--no-config", "--python", str(interpreter), str(folder)]
    if context.run(*command) != 0:
        raise NotRun(f"no venv could be made with {interpreter}")
    install = [
        "uv",
        "pip",
        "sync",
        "--quiet",
        "--no-config",
        "--require-hashes",
        "--python",
        str(folder / "bin/python"),
    ]
    if context.run(*install, str(ROOT / "requirements" / f"{name}.txt")) != 0:
        shutil.rmtree(folder)
        raise NotRun(f"requirements/{name}.txt could not be installed")
    return folder / "bin"


def ansible_test(context: Context, core: str, tools: Path, *arguments: str) -> Counts:
    """One call of ansible-test with the tools of one ansible-core."""
    home = context.scratch / f"{core}-home"
    cache = home / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for name in BOOTSTRAP_NAMES:
        (cache / name).write_text(BOOTSTRAP)
    path = os.pathsep.join([str(tools), *map(str, python_folders())])
    env = {"HOME": str(home), "PATH": path, "LC_ALL": "C.UTF-8"}
    return context.check("ansible-test", *arguments, "--venv", cwd=tree(context, f"{core}-tree"), env=env)


def oldest(*arguments: str) -> Callable[[Context], Counts]:
    """With this interpreter's ansible-core. sanity compiles and imports on every Python that is there, from 3.9 on."""

    def run(context: Context) -> Counts:
        with IN_USE["oldest"]:
            return ansible_test(context, "oldest", Path(context.env["PATH"].partition(os.pathsep)[0]), *arguments)

    return run


def newest(*arguments: str) -> Callable[[Context], Counts]:
    def run(context: Context) -> Counts:
        with IN_USE["newest"]:
            tools = venv(context, "newest", NEWEST_PYTHON)
            return ansible_test(context, "newest", tools, *arguments, "--python", NEWEST_PYTHON)

    return run


def docs_lint(context: Context) -> Counts:
    """Documentation of modules, plugins and roles, as the community's site would read it."""
    command = ["antsibull-docs", "lint-collection-docs", "--plugin-docs", "--skip-rstcheck", "."]
    return context.check(*command, cwd=tree(context, "docs-tree"))


def docs_site(context: Context) -> Counts:
    """Guides and reference as pages, without a warning."""
    return context.check("scripts/docs", str(context.scratch / "site"))


def importer(context: Context) -> Counts:
    """What Galaxy does with an upload."""
    tools = venv(context, "importer", IMPORTER_PYTHON)
    tarball = artefact.built(context)
    if tarball is None:
        return Counts(failed=1)
    folder = context.scratch / "import"
    folder.mkdir()
    config = folder / "importer.cfg"
    config.write_text(IMPORTER_CONFIG)
    path = f"{tools}{os.pathsep}{context.env['PATH']}"
    env = {"GALAXY_IMPORTER_CONFIG": str(config), "PATH": path}
    return context.check(str(tools / "python"), "-m", "galaxy_importer.main", str(tarball), cwd=folder, env=env)
