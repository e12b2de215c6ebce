# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role secrets with the real sops and age, in a project of its own."""

from __future__ import annotations

import re

import yaml

from tests.integration.sops.project import ROOT, Project

CANARY = "canary-7Q2xv9-do-not-print"
NAMES = yaml.safe_load((ROOT / "roles/secrets/defaults/main.yml").read_text())["secrets_names"]


def test_generated_once_and_read_back(project: Project) -> None:
    check = project.succeed("--check")
    assert check.changed == 1
    assert set(project.snapshot()) == {"hosts.yml"}, "check mode has written"
    assert '"nats-extract": "created"' in check.output and "+creation_rules:" in check.output

    assert project.succeed().changed == 1
    secrets = project.secrets()
    assert list(secrets) == NAMES and len(set(secrets.values())) == len(NAMES)
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in secrets.values())
    assert project.snapshot()["group_vars/all/homelab_secrets.sops.yaml"][1] == 0o600
    assert yaml.safe_load(project.config.read_text())["creation_rules"] == [
        {"path_regex": r"^group_vars/all/homelab_secrets\.sops\.yaml$", "age": project.keys["first"]}
    ]
    # The rule is one that sops applies to the user's own calls, too.
    project.sops("updatekeys", "--yes", str(project.file))

    before = project.snapshot()
    for mode in (["--check"], []):
        assert project.succeed(*mode).changed == 0
        assert project.snapshot() == before


def test_a_new_name_and_a_rotation_change_one_line_each(project: Project) -> None:
    project.succeed(secrets_names=["one", "two"])
    before, lines = project.secrets(), project.file.read_text().splitlines()

    project.succeed(secrets_names=["one", "three"])  # `two` is no longer wanted, and stays
    assert {**project.secrets(), "three": ""} == {**before, "three": ""}
    now, grown = project.secrets(), project.file.read_text().splitlines()
    assert [line for line in lines if "mac:" not in line and "lastmodified:" not in line and line not in grown] == []

    snapshot = project.snapshot()
    check = project.succeed("--check", secrets_names=["one", "two", "three"], secrets_rotate=["two"])
    assert check.changed == 1 and '"two": "rotated"' in check.output
    assert project.snapshot() == snapshot
    assert project.succeed(secrets_names=["one", "two", "three"], secrets_rotate=["two"]).changed == 1
    rotated = project.secrets()
    assert rotated["two"] != now["two"] and {**rotated, "two": ""} == {**now, "two": ""}
    kept = [line for line in grown if re.match(r" +(one|three): ENC", line)]
    assert len(kept) == 2 and set(kept) <= set(project.file.read_text().splitlines())
    assert "rotate holds four" in project.refusal(secrets_names=["one"], secrets_rotate=["four"])


def test_no_secret_is_left_anywhere(project: Project) -> None:
    project.encrypt({"homelab_secrets": {"one": CANARY, "two": CANARY + "-2"}, "theirs": CANARY + "-3"})
    project.succeed("--check", secrets_names=["one", "three"])
    project.succeed(secrets_names=["one", "three"])
    project.succeed(secrets_names=["one", "two", "three"], secrets_rotate=["two"])
    project.succeed(secrets_names=["one"], secrets_age_recipients=[project.keys["first"], project.keys["second"]])
    content = project.decrypted()
    assert content["theirs"] == CANARY + "-3" and content["homelab_secrets"]["one"] == CANARY
    project.run(secrets_names=["one"], env={"SOPS_AGE_KEY_FILE": project.key("second") + "x"})
    assert project.runs[-1].code != 0

    assert (project.folder / "arguments").read_text().count("\n") > 20, "the wrappers were not called"
    assert list((project.folder / "seen").rglob("*.sops.yaml")), "no temporary file was seen"
    for secret in (CANARY, *content["homelab_secrets"].values()):
        assert project.traces(secret) == []
    assert set(project.traces("AGE-SECRET-KEY-")) == {project.key("first"), project.key("second")}
    left = [path for path in (project.folder / "temporary").rglob("*") if "sops" in path.name and path.is_file()]
    assert left == []


def test_a_changed_mode_is_repaired(project: Project) -> None:
    project.succeed(secrets_names=["one"])
    before = project.snapshot()
    project.file.chmod(0o644)
    assert project.succeed("--check", secrets_names=["one"]).changed == 1
    assert project.file.stat().st_mode & 0o777 == 0o644
    assert project.succeed(secrets_names=["one"]).changed == 1
    assert project.snapshot() == before


def test_comments_and_other_variables_stay(project: Project) -> None:
    project.encrypt({"theirs": "value"})
    project.sops("set", str(project.file), '["homelab_secrets"]', '{"one": "1"}')
    editor = project.folder / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/^theirs/# remark\\ntheirs/; s/^    one/    # inner\\n    one/' \"$1\"\n")
    editor.chmod(0o755)
    project.environment["EDITOR"] = str(editor)
    project.sops("edit", str(project.file))
    assert "# remark" in project.sops("-d", str(project.file))
    project.succeed(secrets_names=["one", "two"])
    text = project.sops("-d", str(project.file))
    assert "# remark\ntheirs: value\n" in text and '    # inner\n    one: "1"\n    two:' in text


def test_the_module_returns_values_only_under_no_log(project: Project) -> None:
    play = project.folder / "play.yml"
    options = {"path": str(project.file), "root": str(project.inventory), "names": ["one"], "return_values": True}
    task = {"name": "Get", "homelab.ai.sops_secrets": options, "delegate_to": "localhost", "register": "got"}
    check = {"name": "Compare", "ansible.builtin.assert": {"that": ["got.secrets.one is match(wanted)"], "quiet": True}}

    def tasks(**more: bool) -> None:
        play.write_text(
            yaml.safe_dump([{"name": "T", "hosts": "one", "gather_facts": False, "tasks": [task | more, check]}])
        )

    tasks()
    assert "set no_log: true" in project.refusal()
    tasks(no_log=True)
    project.succeed("--check", wanted="^NOT-YET-GENERATED$")
    project.succeed(wanted="^[0-9a-f]{64}$")
    assert project.traces(project.secrets()["one"]) == []
