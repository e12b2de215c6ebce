# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What becomes of a .sops.yaml that is there already, and of the recipients of the file."""

from __future__ import annotations

import re

from tests.integration.sops.project import Project

ONE = ["one"]


def recipients(project: Project) -> set[str]:
    return set(re.findall(r"recipient: (age1\w+)", project.file.read_text()))


def test_rules_of_others_stay_byte_for_byte(project: Project) -> None:
    foreign = (
        "# Keys of the house.\n"
        "creation_rules:\n"
        "  - path_regex: k8s/.*\\.ya?ml$   # flux\n"
        "    encrypted_regex: ^(data|stringData)$\n"
        f"    age: >-\n      {project.keys['second']}\n"
    )
    after = "\n# how files are written\nstores: {yaml: {indent: 2}}\n"
    outer = project.folder / ".sops.yaml"  # above the inventory: the nearest one is the one that counts
    outer.write_text(foreign + after)
    outer.chmod(0o640)
    assert project.succeed("--check", secrets_names=ONE).changed == 1
    assert outer.read_text() == foreign + after
    project.succeed(secrets_names=ONE)
    text = outer.read_text()
    assert text.startswith(foreign) and text.endswith(after)
    assert text[len(foreign) : -len(after)] == (
        "  - path_regex: '^inventory/group_vars/all/homelab_secrets\\.sops\\.yaml$'\n"
        f"    age: {project.keys['first']}\n"
    )
    assert outer.stat().st_mode & 0o777 == 0o640
    assert not project.config.exists()
    assert recipients(project) == {project.keys["first"]}
    assert project.succeed(secrets_names=ONE).changed == 0
    assert outer.read_text() == text


def test_a_rule_that_covers_the_file_is_used_as_it_is(project: Project) -> None:
    both = f"{project.keys['second']},{project.keys['first']}"
    project.config.write_text(f"creation_rules:\n  - age: {both}  # everything\n")
    before = project.config.read_bytes()
    project.succeed(secrets_names=ONE)
    project.succeed(secrets_names=ONE, secrets_age_recipients=[project.keys["first"]])
    assert project.config.read_bytes() == before
    assert recipients(project) == set(project.keys.values())
    assert project.secrets("second") == project.secrets("first")


def test_recipients_are_extended_and_the_file_follows(project: Project) -> None:
    both = list(project.keys.values())
    project.succeed(secrets_names=ONE)
    before = project.secrets()
    assert project.succeed("--check", secrets_names=ONE, secrets_age_recipients=both).changed == 1
    assert recipients(project) == {both[0]} and both[1] not in project.config.read_text()
    assert project.succeed(secrets_names=ONE, secrets_age_recipients=both).changed == 1
    assert f"    age: {both[0]},{both[1]}\n" in project.config.read_text()
    assert project.secrets("second") == before
    assert project.succeed(secrets_names=ONE, secrets_age_recipients=both).changed == 0
    # Nobody names recipients any more: the rule keeps them, with either key.
    assert project.succeed(secrets_names=ONE, env={"SOPS_AGE_KEY_FILE": project.key("second")}).changed == 0
    # Without its rule, the file gets one for all who can read it, not for the one key at hand.
    project.config.unlink()
    assert project.succeed(secrets_names=ONE).changed == 1
    assert all(key in project.config.read_text() for key in both) and recipients(project) == set(both)
    # A recipient that was taken out of the rule is taken out of the file.
    project.config.write_text(project.config.read_text().replace(both[1], "").replace(",", ""))
    assert project.succeed(secrets_names=ONE).changed == 1
    assert recipients(project) == {both[0]} and project.secrets() == before


def test_rules_that_do_not_fit_are_refused(project: Project) -> None:
    first, second = project.keys.values()
    project.config.write_text(f"creation_rules:\n  - age: {second}\n")
    message = project.refusal(secrets_names=ONE)
    assert project.refusal("--check", secrets_names=ONE) == message
    assert first in message and "add them to that rule, or put a rule with path_regex" in message

    # Ours stands behind one that takes the file first.
    ours = r"^group_vars/all/homelab_secrets\.sops\.yaml$"
    project.config.write_text(f"creation_rules:\n  - age: {second}\n  - path_regex: {ours}\n    age: {second}\n")
    assert "put a rule with path_regex" in project.refusal(secrets_names=ONE)

    for option in ("encrypted_suffix: env", "encrypted_regex: ^(data|stringData)$", "unencrypted_regex: ^one$"):
        project.config.write_text(f"creation_rules:\n  - age: {first}\n    {option}\n")
        assert "leaves one in clear text" in project.refusal(secrets_names=ONE)

    project.config.write_text("creation_rules: [\n")
    message = project.refusal(secrets_names=ONE)
    assert f"does not take the rules of {project.config}" in message and "correct them" in message


def test_recipients_in_the_environment_do_not_replace_the_rule(project: Project) -> None:
    project.succeed(secrets_names=ONE, env={"SOPS_AGE_RECIPIENTS": project.keys["second"]})
    assert recipients(project) == {project.keys["first"]}
