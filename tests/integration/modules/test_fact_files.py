# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""fact_files on a real directory."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from examples import run_examples
from module_runner import Runner, interpreter


@pytest.fixture
def facts(runner: Runner, tmp_path: Path) -> Runner:
    return replace(runner, module="fact_files", defaults={"path": str(tmp_path / "etc" / "facts.d")})


def files(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Text, mode and inode of each file: one that is written again has another inode."""
    return {
        path.name: (path.read_text(), path.stat().st_mode & 0o7777, path.stat().st_ino)
        for path in (sorted(folder.iterdir()) if folder.is_dir() else [])
    }


def test_cycle(facts: Runner, tmp_path: Path) -> None:
    folder = tmp_path / "etc" / "facts.d"

    def snapshot() -> Any:
        return files(folder)

    wanted = {"files": {"one.fact": {"b": 1, "a": ["é", None]}, "two.json": {"x": True}}}
    facts.check(wanted, folder.parent.exists)
    created = facts.cycle(wanted, snapshot)
    assert created["written"] == ["one.fact", "two.json"] and folder.stat().st_mode & 0o7777 == 0o755
    found = snapshot()
    assert json.loads(found["one.fact"][0]) == {"a": ["é", None], "b": 1}
    assert found["two.json"][:2] == ('{\n    "x": true\n}\n', 0o644)

    # A changed fact, an edited file, a deleted one and a changed mode are each brought back; nothing else is touched.
    wanted["files"]["two.json"]["x"] = False
    assert facts.cycle(wanted, snapshot)["written"] == ["two.json"]
    assert snapshot()["one.fact"] == found["one.fact"]
    (folder / "one.fact").write_text("{}")
    edited = facts.cycle(wanted, snapshot)
    (shown,) = edited["diff"]
    assert edited["written"] == ["one.fact"] and snapshot()["one.fact"][0] == found["one.fact"][0]
    assert (shown["before"], shown["after"]) == ("{}", found["one.fact"][0])
    assert shown["after_header"] == str(folder / "one.fact")
    (folder / "one.fact").unlink()
    assert facts.cycle(wanted, snapshot)["written"] == ["one.fact"]
    (folder / "one.fact").chmod(0o600)
    assert facts.cycle(wanted, snapshot)["written"] == ["one.fact"]
    assert snapshot()["one.fact"][:2] == found["one.fact"][:2]

    # What other programs keep there stays, and so do files that are no longer named.
    (folder / "other.fact").write_text("not ours")
    del wanted["files"]["one.fact"]
    before = snapshot()
    assert facts.cycle(wanted, snapshot, changes=False)["written"] == [] and snapshot() == before


def test_everybody_may_read_the_facts_whatever_the_umask(facts: Runner, tmp_path: Path) -> None:
    python = interpreter(tmp_path, f'umask 077\nexec {sys.executable} "$@"')
    (result,) = replace(facts, python=python)({"files": {"one.fact": {}}}).tasks
    assert result["changed"]
    modes = {path.name: path.stat().st_mode & 0o7777 for path in (tmp_path / "etc").rglob("*")}
    assert modes == {"facts.d": 0o755, "one.fact": 0o644} and (tmp_path / "etc").stat().st_mode & 0o7777 == 0o755


def test_refusals(facts: Runner, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link.fact").symlink_to(tmp_path / "file")
    (tmp_path / "folder.fact").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    fine = {"fine.fact": {}}
    cases = [
        ({"files": {}}, "files is empty: name at least one file"),
        ({"files": {**fine, "../up.fact": {}}}, "'../up.fact' is no name for a file: use letters"),
        ({"files": {**fine, ".hidden": {}}}, "'.hidden' is no name for a file: use letters"),
        ({"path": str(tmp_path), "files": {**fine, "link.fact": {}}}, "link.fact is a symbolic link: replace it"),
        ({"path": str(tmp_path), "files": {**fine, "folder.fact": {}}}, "folder.fact is no regular file"),
        ({"path": str(tmp_path / "file" / "facts.d"), "files": fine}, f"{tmp_path / 'file'} is not a directory"),
        ({"path": str(tmp_path / "dangling"), "files": fine}, "cannot use or create the directory"),
    ]
    before = files_below(tmp_path)
    for (_options, expected), message in zip(
        cases, facts.failures(*(options for options, _expected in cases)), strict=True
    ):
        assert expected in message
    # Check mode refuses the same but for what only an attempt can tell.
    for (_options, expected), message in zip(
        cases[:-1], facts.failures(*({**options, "check": True} for options, _expected in cases[:-1])), strict=True
    ):
        assert expected in message
    assert files_below(tmp_path) == before and (tmp_path / "file").read_text() == "x"


def test_a_directory_of_someone_else_is_named_and_stays(facts: Runner, tmp_path: Path) -> None:
    # Root without the right to go where the modes say no.
    drop = "setpriv --bounding-set=-dac_override,-dac_read_search" if os.geteuid() == 0 else ""
    python = interpreter(tmp_path, f'exec {drop} {sys.executable} "$@"')
    closed, listed = tmp_path / "closed", tmp_path / "listed"
    for folder, mode in ((closed, 0o000), (listed, 0o555)):
        folder.mkdir()
        folder.chmod(mode)
    (closed_below, closed_itself, not_written) = replace(facts, python=python).failures(
        *({"path": str(path), "files": {"one.fact": {}}} for path in (closed / "facts.d", closed, listed))
    )
    assert f"cannot use or create the directory {closed}/facts.d: Permission denied" in closed_below
    assert f"cannot read {closed}/one.fact: Permission denied" in closed_itself
    assert f"cannot write {listed}/one.fact: Permission denied" in not_written
    closed.chmod(0o755)
    assert not [*closed.iterdir(), *listed.iterdir()]


def files_below(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_examples(runner: Runner, tmp_path: Path) -> None:
    run_examples(runner, "fact_files", {"path": str(tmp_path)})
    assert json.loads((tmp_path / "rack.fact").read_text()) == {"row": 2, "rack": 7}
