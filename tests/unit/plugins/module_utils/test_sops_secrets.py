# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.ai.plugins.module_utils._secret_file import MIN_BYTES, SecretFileError, new_secret
from ansible_collections.homelab.ai.plugins.module_utils._sops import SopsError
from ansible_collections.homelab.ai.plugins.module_utils._sops_secrets import (
    Plan,
    age_recipients,
    find_config,
    in_clear,
    make_plan,
    read,
)

ENCRYPTED = """\
homelab_secrets:
    a: ENC[AES256_GCM,data:x,iv:y,tag:z,type:str]
    b: in clear
sops:
    age: [{recipient: age1b, enc: x}, {recipient: age1a, enc: y}]
    key_groups:
      - age: [{recipient: age1c, enc: z}]
      - pgp: [{fp: A}]
"""


@pytest.mark.parametrize(
    ("names", "rotate", "found", "plan"),
    [
        (["a", "b"], [], {}, Plan(["a", "b"], [])),
        (["a", "b"], [], {"a": "1", "b": "2", "theirs": "3"}, Plan([], [])),
        (["a", "b"], ["a"], {"a": "1"}, Plan(["b"], ["a"])),
        # What is made anew is created once, not rotated as well.
        (["a", "b"], ["b"], {"a": "1"}, Plan(["b"], [])),
        (["a"], ["a"], {"a": ""}, Plan([], ["a"])),
    ],
)
def test_plan(names: list[str], rotate: list[str], found: dict[str, Any], plan: Plan) -> None:
    assert make_plan(names, rotate, found) == plan


@pytest.mark.parametrize(
    ("names", "rotate", "found", "error", "message"),
    [
        (["a"], ["b"], {"b": "1"}, SopsError, "rotate holds b"),
        (["a"], [], {"a": " "}, SopsError, "holds no text for a"),
        (["a"], [], {"a": {"x": "1"}}, SopsError, "holds no text for a"),
        (["a", "a"], [], {}, SecretFileError, "more than once"),
        (["../a"], [], {}, SecretFileError, "is no name"),
    ],
)
def test_refusals(
    names: list[str], rotate: list[str], found: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make_plan(names, rotate, found)


def test_a_secret_is_long_enough_and_each_is_another() -> None:
    with pytest.raises(SecretFileError, match=f"must be at least {MIN_BYTES}"):
        new_secret(MIN_BYTES - 1)
    made = {new_secret(MIN_BYTES) for _unused in range(100)}
    assert len(made) == 100 and {len(one) for one in made} == {2 * MIN_BYTES}


def test_what_an_encrypted_file_tells_without_a_key() -> None:
    assert age_recipients(ENCRYPTED) == ["age1a", "age1b", "age1c"]
    assert in_clear(ENCRYPTED, ["a", "b", "missing"]) == ["b"]
    assert in_clear(ENCRYPTED.replace("in clear", '""'), ["a", "b"]) == []
    assert in_clear("homelab_secrets: [x]\nsops: {}\n", ["a"]) == []


def test_the_nearest_configuration_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOPS_CONFIG", raising=False)
    root = tmp_path / "project" / "inventory"
    file = root / "group_vars" / "x.sops.yaml"
    file.parent.mkdir(parents=True)
    assert find_config(str(file), str(root)) == str(root / ".sops.yaml")
    with pytest.raises(SopsError, match="must be above path"):
        find_config(str(file), str(tmp_path / "elsewhere"))
    (tmp_path / "project" / ".sops.yaml").touch()
    assert find_config(str(file), str(root)) == str(tmp_path / "project" / ".sops.yaml")
    (root / ".sops.yaml").touch()
    assert find_config(str(file), str(root)) == str(root / ".sops.yaml")
    monkeypatch.setenv("SOPS_CONFIG", str(tmp_path / "project" / "own.yaml"))
    assert find_config(str(file), str(root)) == str(tmp_path / "project" / "own.yaml")


def test_only_a_regular_file_in_utf_8_is_read(tmp_path: Path) -> None:
    file = tmp_path / "x"
    assert read(str(file)) is None
    file.write_bytes(b"a\r\n")
    assert read(str(file)) == "a\r\n"
    file.write_bytes(b"\xff")
    with pytest.raises(SopsError, match="is not UTF-8"):
        read(str(file))
    (tmp_path / "link").symlink_to(file)
    for path, reason in ((tmp_path / "link", "link is a symbolic link: replace it"), (tmp_path, "is no regular file")):
        with pytest.raises(SopsError, match=reason):
            read(str(path))
