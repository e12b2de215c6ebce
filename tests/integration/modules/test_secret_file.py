# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""secret_file on a real directory."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from module_runner import Runner


@pytest.fixture
def secret(runner: Runner, tmp_path: Path) -> Runner:
    return replace(runner, module="secret_file", defaults={"path": str(tmp_path)}, no_log=True)


def files(folder: Path) -> dict[str, tuple[str, int]]:
    return {path.name: (path.read_text(), path.stat().st_mode & 0o7777) for path in sorted(folder.iterdir())}


def test_cycle(secret: Runner, tmp_path: Path) -> None:
    def snapshot() -> Any:
        return files(tmp_path)

    check = secret.check({"names": ["one"]}, snapshot)
    assert check["secrets"] == {"one": "NOT-YET-GENERATED"} and check["created"] == ["one"]
    created = secret.cycle({"names": ["one", "two"]}, snapshot)
    found = snapshot()
    assert created["secrets"] == {name: content for name, (content, _mode) in found.items()}
    assert all(re.fullmatch(r"[0-9a-f]{64}", content) and mode == 0o600 for content, mode in found.values())
    assert found["one"] != found["two"]

    # One more name creates one more file; the mode of existing files is repaired, their content never changes.
    (tmp_path / "one").chmod(0o644)
    secret.cycle({"names": ["one", "two", "three"], "length": 16}, snapshot)
    now = snapshot()
    assert {name: now[name] for name in found} == found
    assert len(now["three"][0]) == 32
    secret.cycle({"names": ["one"], "mode": "0640"}, snapshot)
    assert snapshot()["one"] == (found["one"][0], 0o640)


def test_values_are_never_printed(secret: Runner, tmp_path: Path) -> None:
    play = secret({"names": ["one"]}, verbosity="-vvv")
    value = (tmp_path / "one").read_text()
    assert play.tasks[0]["secrets"] == {"one": value}
    assert value not in play.output
    message = replace(secret, no_log=False).failure(names=["one"])
    assert "no_log: true" in message


def test_refusals(secret: Runner, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "empty").touch()
    (tmp_path / "directory-link").symlink_to(tmp_path)
    cases = [
        ({"names": ["fresh", "link"]}, "symbolic link"),
        ({"names": ["fresh", "dangling"]}, "symbolic link"),
        ({"names": ["fresh", "empty"]}, "delete the file"),
        ({"names": ["fresh", "../up"]}, "is no name"),
        ({"names": ["fresh"], "length": 8}, "must be at least 16"),
        ({"names": ["fresh"], "path": str(tmp_path / "missing")}, "Create it first"),
        ({"names": ["fresh"], "path": str(tmp_path / "directory-link")}, "symbolic link"),
    ]
    messages = secret.failures(*(options for options, _reason in cases))
    for message, (_options, reason) in zip(messages, cases, strict=True):
        assert reason in message
    assert not (tmp_path / "fresh").exists() and not (tmp_path / "nowhere").exists()
