# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Without a key, a tool or a sound file the role stops before it has changed anything, and says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.sops.project import Project

ONE = ["one"]


@pytest.mark.parametrize("key_file", [None, "/nonexistent/keys.txt"])
def test_no_key(project: Project, key_file: str | None) -> None:
    message = project.refusal(secrets_names=ONE, env={"SOPS_AGE_KEY_FILE": key_file})
    path = key_file or f"{project.environment['HOME']}/.config/sops/age/keys.txt"
    assert f"There is no age key in {path}" in message
    assert f"age-keygen -o {path}" in message and "SOPS_AGE_KEY_FILE" in message
    assert project.refusal("--check", secrets_names=ONE, env={"SOPS_AGE_KEY_FILE": key_file}) == message


def test_the_key_in_the_environment_or_in_an_option_is_enough(project: Project) -> None:
    key = Path(project.key("second")).read_text().split("\n")[-2]
    assert key.startswith("AGE-SECRET-KEY-")
    project.succeed(secrets_names=ONE, env={"SOPS_AGE_KEY_FILE": None, "SOPS_AGE_KEY": key})
    before = project.secrets("second")
    # The first key is in the environment; what the inventory names goes before it.
    assert project.succeed(secrets_names=ONE, secrets_age_key_file=project.key("second")).changed == 0
    assert project.secrets("second") == before
    assert key not in "".join(run.output for run in project.runs)
    assert key not in (project.folder / "arguments").read_text()


def test_another_key(project: Project) -> None:
    project.succeed(secrets_names=ONE)
    for names in (ONE, ["one", "two"]):
        message = project.refusal(secrets_names=names, env={"SOPS_AGE_KEY_FILE": project.key("second")})
        assert f"No key at hand decrypts {project.file}" in message
        assert project.keys["first"] in message and f"At hand: {project.keys['second']}" in message
        assert "Set SOPS_AGE_KEY_FILE" in message
    message = project.refusal(secrets_names=ONE, env={"SOPS_AGE_KEY_FILE": None})
    assert "No key at hand decrypts" in message and "There is no age key in" in message


def test_recipients_without_the_own_key(project: Project) -> None:
    message = project.refusal(secrets_names=ONE, secrets_age_recipients=[project.keys["second"]])
    assert f"It is encrypted for {project.keys['second']}" in message and "or add your key" in message


@pytest.mark.parametrize(("tool", "package"), [("sops", "package sops"), ("age-keygen", "the package age")])
def test_a_missing_tool(project: Project, tool: str, package: str) -> None:
    path = project.folder / "path"
    path.mkdir()
    # The system's commands and the wrappers, but for the one tool.
    for command in [*(project.folder / "bin").iterdir(), *Path("/usr/bin").iterdir()]:
        if command.name != tool and not (path / command.name).is_symlink():
            (path / command.name).symlink_to(command)
    message = project.refusal(secrets_names=ONE, env={"PATH": str(path)})
    assert f"{tool} is not on the controller's PATH ({path})" in message and package in message


def test_an_old_sops(project: Project) -> None:
    (project.folder / "bin" / "sops").write_text("#!/bin/sh\necho sops 3.9.4\n")
    message = project.refusal(secrets_names=ONE)
    assert "'sops 3.9.4'" in message and "3.11 or newer is needed" in message


def test_files_that_are_not_sound(project: Project) -> None:
    project.file.parent.mkdir(parents=True)
    project.file.write_text("homelab_secrets: {one: canary-plain}\n")
    assert "is not encrypted: run sops encrypt" in project.refusal(secrets_names=ONE)

    project.encrypt({"homelab_secrets": {"one": "canary-plain"}})
    good = project.file.read_text()
    project.file.write_text(good.replace("mac: ENC[AES256_GCM,data:", "mac: ENC[AES256_GCM,data:AAAA"))
    assert "Restore the file from your backup" in project.refusal(secrets_names=ONE)

    text = project.sops(
        "encrypt", "--age", project.keys["first"], "--unencrypted-regex", "^one$", "--filename-override", "x.yaml",
        data="homelab_secrets: {one: canary-plain}\n",
    )  # fmt: skip
    project.file.write_text(text)
    assert "one in" in (message := project.refusal(secrets_names=ONE)) and "stand in clear text" in message

    project.encrypt({"homelab_secrets": ["canary-plain"]})
    assert "is no mapping of names" in project.refusal(secrets_names=ONE)
    project.encrypt({"homelab_secrets": {"one": ""}})
    assert "holds no text for one" in project.refusal(secrets_names=ONE)

    project.file.unlink()
    project.file.symlink_to(project.folder / "elsewhere.sops.yaml")
    assert "symbolic link" in project.refusal(secrets_names=ONE)
    assert "canary-plain" not in "".join(run.output for run in project.runs)


def test_a_name_that_nothing_decrypts(project: Project) -> None:
    assert "must end with .sops.yaml or .sops.yml" in project.refusal(secrets_names=ONE, secrets_file="secrets.yml")
