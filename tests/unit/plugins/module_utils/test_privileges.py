# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.homelab.ai.plugins.module_utils._privileges import (
    Privilege,
    parse_privileges,
    privilege_statements,
)

CASES = yaml.safe_load(Path(__file__).with_suffix(".yml").read_text())


@pytest.mark.parametrize(("text", "target", "parsed"), CASES["parsed"])
def test_parse(text: str, target: str, parsed: list[str]) -> None:
    assert sorted(str(one) for one in parse_privileges(text, target)) == parsed


@pytest.mark.parametrize(("text", "target"), CASES["refused"])
def test_refused(text: str, target: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        parse_privileges(text, target)


@pytest.mark.parametrize("case", CASES["differences"])
def test_difference(case: dict[str, str]) -> None:
    has, wants = parse_privileges(case["has"], "TABLE t"), parse_privileges(case["wants"], "TABLE t")
    statements, after = privilege_statements("r", has, wants, wants)
    assert [sql for _kind, sql in statements] == case["statements"]
    assert after == wants


def test_a_grant_option_is_taken_and_the_privilege_stays() -> None:
    select = Privilege("TABLE", "t", "SELECT")
    statements, after = privilege_statements("r", {select._replace(grantable=True)}, {select}, {select})
    assert [sql.split()[0] for _kind, sql in statements] == ["REVOKE", "GRANT"]
    assert after == {select}


def test_what_is_allowed_but_not_required_stays_and_is_not_given() -> None:
    usage, create = Privilege("SCHEMA", "public", "USAGE"), Privilege("SCHEMA", "public", "CREATE")
    statements, after = privilege_statements("PUBLIC", {usage, create}, set(), {usage})
    assert statements == [("SCHEMA", 'REVOKE CREATE ON SCHEMA "public" FROM PUBLIC CASCADE')]
    assert after == {usage}
    assert privilege_statements("PUBLIC", set(), set(), {usage}) == ([], set())


def test_names_are_quoted() -> None:
    odd = Privilege("DATABASE", 'a"b', "CONNECT")
    statements, _after = privilege_statements("r", set(), {odd}, {odd})
    assert statements == [("DATABASE", 'GRANT CONNECT ON DATABASE "a""b" TO "r"')]
