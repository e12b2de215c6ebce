# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold for the lock files and for every file of the checkout."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.run.stage import ROOT, known_files

WORKERS = ROOT / "workers" / "requirements"
RUNTIME = [WORKERS / "workers.txt", WORKERS / "servers.txt", WORKERS / "models.txt"]
LOCKS = [*RUNTIME, WORKERS / "uv.txt", ROOT / "requirements" / "controller.txt", ROOT / "requirements" / "test.txt"]

# name -> {environment marker: version}
Pins = dict[str, dict[str, str]]


def pins(lock: Path) -> Pins:
    found: Pins = {}
    for name, version, marker in re.findall(
        r"^([a-z0-9-]+)==([^\s;]+)(?: ; ([^\\\n]+))? *\\?$", lock.read_text(), re.MULTILINE
    ):
        # Only the Python decides between two versions of a package; the rest of a marker differs by group.
        python = " ".join(re.findall(r"python_full_version \S+ '[^']+'", marker))
        found.setdefault(name, {})[python] = version
    return found


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_pin_has_a_hash(lock: Path) -> None:
    lines = lock.read_text().splitlines()
    requirements = [number for number, line in enumerate(lines) if re.match(r"[A-Za-z]", line)]
    assert requirements
    for number in requirements:
        assert "==" in lines[number], f"{lock}:{number + 1} is not a pin"
        assert lines[number + 1].lstrip().startswith("--hash=sha256:"), f"{lock}:{number + 1} has no hash"


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_lock_names_no_address(lock: Path) -> None:
    assert not re.search(r"://|index-url|find-links", lock.read_text())


def test_groups_that_share_a_venv_agree() -> None:
    """Workers, servers and models are installed together, and with the gates' tools for the tests."""
    wanted: Pins = {}
    for lock in (*RUNTIME, ROOT / "requirements" / "test.txt"):
        for name, versions in pins(lock).items():
            for marker, version in versions.items():
                assert wanted.setdefault(name, {}).setdefault(marker, version) == version, (name, lock.name)
    assert wanted["docling-slim"] == {"": "2.142.1"}


def test_no_torch_and_no_tampered_release() -> None:
    names = {name for lock in LOCKS for name in pins(lock)}
    assert not names & {"torch", "sentence-transformers", "llama-cpp-python", "ansible"}
    assert pins(WORKERS / "servers.txt")["litellm"][""] not in {"1.82.7", "1.82.8"}


def test_no_file_names_a_registry() -> None:
    # Written in parts: this file is searched too.
    hosts = re.compile(
        "|".join(("pypi" + r"\.org", "python" + "hosted", "npm" + r"js\.", "galaxy" + r"\.ansible\.com"))
    )
    files = known_files()
    assert len(files) > 50
    assert not [name for name in files if hosts.search((ROOT / name).read_bytes().decode("utf-8", "replace"))]
