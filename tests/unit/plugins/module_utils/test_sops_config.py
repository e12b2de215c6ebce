# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.ai.plugins.module_utils._sops_config import (
    SopsConfigError,
    add_recipients,
    age_recipients,
    load_rules,
    path_regex,
)

CASES = yaml.safe_load(Path(__file__).with_suffix(".yml").read_text(encoding="utf-8"))
REGEX = r"^ours\.sops\.yaml$"
NEW = ["age1new1", "age1new2"]


def before_and_after(marked: str) -> tuple[str, str]:
    """The text without and with what is marked as [+inserted+]."""
    return re.sub(r"\[\+.*?\+\]", "", marked, flags=re.DOTALL), re.sub(r"\[\+(.*?)\+\]", r"\1", marked, flags=re.DOTALL)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_what_is_added_and_nothing_else(case: dict[str, Any]) -> None:
    before, after = before_and_after(case["marked"])
    assert add_recipients(before, REGEX, NEW) == after
    assert add_recipients(after, REGEX, NEW) == after
    (rule,) = [rule for rule in load_rules(after) if rule.get("path_regex") == REGEX]
    assert set(NEW) <= set(age_recipients(rule))


@pytest.mark.parametrize("value", ["[]", "[ ]  # none", "null", "~"])
def test_an_empty_value_is_replaced(value: str) -> None:
    after = add_recipients(f"a: 1\ncreation_rules: {value}\nstores: {{}}\n", REGEX, NEW)
    assert load_rules(after) == [{"path_regex": REGEX, "age": "age1new1,age1new2"}]
    assert after.startswith("a: 1\ncreation_rules:") and after.endswith("\nstores: {}\n")
    assert ("# none" in value) == ("# none" in after)


def test_a_last_line_without_end() -> None:
    after = add_recipients("creation_rules:\n  - age: age1aaa", REGEX, ["age1new1"])
    assert after == (f"creation_rules:\n  - age: age1aaa\n  - path_regex: '{REGEX}'\n    age: age1new1\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("creation_rules: [", "not valid YAML in line"),
        ("a: 1\n---\nb: 2\n", "2 YAML documents"),
        ("- a\n", "is a list and must be a mapping"),
        ("creation_rules: {a: b}\n", "must be a list of mappings"),
        ("creation_rules: [a]\n", "must be a list of mappings"),
        (f"creation_rules:\n  - path_regex: {REGEX}\n    pgp: A\n", "creation rule 1 has no age recipients"),
        ("{stores: {}}\n", "Add under creation_rules yourself"),
        # An alias: what is added for us would be added for the other rule.
        (
            f"creation_rules:\n  - {{path_regex: a, age: &k age1aaa}}\n  - {{path_regex: {REGEX}, age: *k}}\n",
            "Add under creation_rules yourself",
        ),
    ],
)
def test_what_cannot_be_edited_safely_is_refused(text: str, message: str) -> None:
    with pytest.raises(SopsConfigError, match=re.escape(message)):
        add_recipients(text, REGEX, NEW)


def test_the_expression_matches_its_path_only() -> None:
    path = "inv (old)/a+b.sops.yaml"
    assert re.search(path_regex(path), path)
    for other in (f"x{path}", f"{path}x", path.replace(".", "x"), f"x/{path}"):
        assert not re.search(path_regex(path), other)
