# SPDX-License-Identifier: GPL-3.0-or-later
"""The sizing bench says what is missing, before it puts a load on anything."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import Any

import pytest

from tests.bench import sizing, sizing_watch
from tests.bench.footprint import Memory


def said(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str:
    monkeypatch.setattr("sys.argv", ["sizing", "--user", getpass.getuser(), *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        sizing.main()
    return str(ended.value)


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "api-user").write_text("key\n")
    return folder


def test_a_missing_cgroup_user_or_stack_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, secrets: Path
) -> None:
    assert f"{tmp_path} is no memory cgroup (v1)" in said(monkeypatch, "--secrets", secrets, "--cgroup", tmp_path)
    assert "there is no user 'nobody-here': deploy homelab.ai.local first" in said(monkeypatch, "--user", "nobody-here")
    assert "deploy homelab.ai.local first" in said(monkeypatch, "--secrets", tmp_path / "absent")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        ("{", "is no plan of homelab.ai.plan"),
        ({"desktop": {}}, "is no plan of homelab.ai.plan for localhost"),
        ({"localhost": {"problem": "preset core does not fit"}}, "nothing fits: preset core does not fit"),
    ],
)
def test_what_is_no_plan_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, secrets: Path, content: Any, words: str
) -> None:
    plan = tmp_path / "plan.json"
    if content is not None:
        plan.write_text(content if isinstance(content, str) else json.dumps(content))
    assert words in said(monkeypatch, "--secrets", secrets, "--plan", plan)


def test_a_stack_outside_of_the_cgroup_does_not_count(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, secrets: Path
) -> None:
    group = tmp_path / "group"
    group.mkdir()
    for name in ("limit_in_bytes", "max_usage_in_bytes", "failcnt"):
        (group / f"memory.{name}").write_text("0\n")
    (group / "memory.stat").write_text("total_rss 1048576\ntotal_mapped_file 0\n")
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"localhost": {"components": {}}}))
    monkeypatch.setattr(sizing_watch, "memory", lambda uid: {"query": Memory(processes=1, pss=100 * 1024)})
    monkeypatch.setattr(sizing, "load", lambda name, folder: sizing.Load(name, {}, []))
    monkeypatch.setattr(sizing, "put_on", lambda *given, **more: {})
    ended = said(monkeypatch, "--secrets", secrets, "--plan", plan, "--cgroup", group)
    assert ended == "the cgroup holds 1 of 100 MiB: the stack was not started in it"
