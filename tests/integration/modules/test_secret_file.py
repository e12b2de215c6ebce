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
from module_runner import CANARY, Runner


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


def test_cycle_of_contents(secret: Runner, tmp_path: Path) -> None:
    (tmp_path / "extract").mkdir()

    def snapshot() -> Any:
        return files(tmp_path / "extract")

    wanted = {"contents": {"extract/URL": f"nats://extract:{CANARY}@127.0.0.1", "extract/KEY": "one"}}
    secret.check(wanted, snapshot)
    created = secret.cycle(wanted, snapshot)
    assert created["written"] == ["extract/URL", "extract/KEY"] and created["secrets"] == {}
    assert snapshot() == {"URL": (f"nats://extract:{CANARY}@127.0.0.1", 0o600), "KEY": ("one", 0o600)}

    # Another content, an edited file and a changed mode are each brought back, and nothing else is written.
    (tmp_path / "extract" / "KEY").chmod(0o644)
    assert secret.cycle(wanted, snapshot)["written"] == ["extract/KEY"]
    (tmp_path / "extract" / "URL").write_text("edited")
    assert secret.cycle(wanted, snapshot)["written"] == ["extract/URL"]
    wanted["contents"]["extract/KEY"] = "two"
    assert secret.cycle({**wanted, "names": []}, snapshot)["written"] == ["extract/KEY"]
    assert snapshot() == {"URL": (f"nats://extract:{CANARY}@127.0.0.1", 0o600), "KEY": ("two", 0o600)}


def test_values_are_never_printed(secret: Runner, tmp_path: Path) -> None:
    play = secret({"names": ["one"]}, verbosity="-vvv")
    value = (tmp_path / "one").read_text()
    assert play.tasks[0]["secrets"] == {"one": value}
    assert value not in play.output
    play = secret({"contents": {"two": CANARY}}, verbosity="-vvv")
    assert (tmp_path / "two").read_text() == CANARY and CANARY not in play.output
    message = replace(secret, no_log=False).failure(names=["one"])
    assert "no_log: true" in message


def test_refusals(secret: Runner, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "directory-link").symlink_to(tmp_path)
    cases = [
        ({"names": ["fresh", "link"]}, "symbolic link"),
        ({"names": ["fresh", "dangling"]}, "symbolic link"),
        ({"names": ["fresh", "empty"]}, "delete the file"),
        ({"names": ["fresh", "binary"]}, "is not UTF-8"),
        ({"names": ["fresh", "../up"]}, "is no name"),
        ({"names": ["fresh", "folder"]}, "no regular file"),
        ({"names": ["fresh"], "contents": {"link": "x"}}, "symbolic link"),
        ({"names": ["fresh"], "contents": {"folder": "x"}}, "no regular file"),
        ({"names": ["fresh"], "contents": {"a/../../b": "x"}}, "is no name"),
        ({"names": ["fresh"], "contents": {"fresh": "x"}}, "fresh is in names, to be generated, and in contents"),
        ({"names": ["fresh"], "contents": {"number": 5}}, "number is a int and must be a string"),
        ({"names": ["fresh"], "contents": {"missing/x": "x"}}, "Create it first"),
        ({}, "name at least one secret"),
        ({"names": ["fresh"], "length": 8}, "must be at least 16"),
        ({"names": ["fresh"], "path": str(tmp_path / "missing")}, "Create it first"),
        ({"names": ["fresh"], "path": str(tmp_path / "directory-link")}, "symbolic link"),
    ]
    messages = secret.failures(*(options for options, _reason in cases))
    for message, (_options, reason) in zip(messages, cases, strict=True):
        assert reason in message
    assert not (tmp_path / "fresh").exists() and not (tmp_path / "nowhere").exists()
