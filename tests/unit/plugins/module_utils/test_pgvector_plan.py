# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.homelab.ai.plugins.module_utils._pgvector_plan import (
    ATTRIBUTES,
    MIN_PGVECTOR,
    State,
    make_plan,
    required_privileges,
)
from ansible_collections.homelab.ai.plugins.module_utils._postgres import PostgresError
from ansible_collections.homelab.ai.plugins.module_utils._schema import GRANTS, MIGRATIONS, OWNER
from ansible_collections.homelab.ai.plugins.modules.pgvector_schema import SERVICES

SETTINGS: dict[str, Any] = {"dimension": 8, "type": "vector"}
VERIFIER = "SCRAM-SHA-256$4096:secret"


def state(**changes: Any) -> State:
    return State(**{"database": "d", "superuser": True, "may_become_owner": True, "available": "0.8.6", **changes})


def finished() -> State:
    """A database in which everything is done for the one service graph."""
    attributes = dict.fromkeys(ATTRIBUTES, False)
    return state(
        extension="0.8.6",
        schema_create=True,
        ledger=True,
        migrations={number: (name, SETTINGS) for number, name, _sql in MIGRATIONS},
        roles={OWNER: {"LOGIN": False, **attributes}, "homelab_graph": {"LOGIN": True, **attributes}},
        passwords={"homelab_graph": True},
        privileges={"homelab_graph": required_privileges("graph", "d")},
    )


def test_nothing_is_left_to_do_when_all_is_done() -> None:
    plan = make_plan(finished(), SETTINGS, {"homelab_graph": None})
    assert plan.statements == []
    assert plan.before == plan.after


def test_an_empty_database_gets_everything_in_order_and_no_secret_is_shown() -> None:
    plan = make_plan(state(), SETTINGS, {"homelab_graph": VERIFIER})
    shown = plan.statements
    assert shown[0] == "CREATE EXTENSION vector WITH SCHEMA public"
    assert shown.index('CREATE ROLE "homelab_owner" NOLOGIN') < shown.index(f"-- migration 1: {MIGRATIONS[0][1]}")
    assert "CREATE ROLE \"homelab_graph\" LOGIN PASSWORD '********'" in shown
    assert VERIFIER not in "".join(shown)
    assert any(VERIFIER in step.sql for group in plan.groups for step in group)
    assert plan.migrations == [(number, name) for number, name, _sql in MIGRATIONS]


def test_migrations_are_filled_in_and_run_as_the_owner() -> None:
    for settings in (SETTINGS, {"dimension": 1024, "type": "halfvec"}):
        groups = make_plan(state(), settings, {}).groups
        (migration, record), *_unused = [group for group in groups if group[0].shown.startswith("-- migration 1")]
        assert f"embedding {settings['type']}({settings['dimension']})" in migration.sql
        assert "DEFAULT '{}'" in migration.sql and "{{" not in migration.sql
        assert migration.as_owner and record.as_owner


@pytest.mark.parametrize(
    ("change", "statement"),
    [
        ({"extension": "0.8.0"}, "ALTER EXTENSION vector UPDATE"),
        ({"memberships": {"homelab_graph": {OWNER}}}, 'REVOKE "homelab_owner" FROM "homelab_graph"'),
        ({"foreign": [("TABLE", "public.documents")]}, 'ALTER TABLE public.documents OWNER TO "homelab_owner"'),
        ({"superuser": False, "may_become_owner": False}, 'GRANT "homelab_owner" TO CURRENT_USER'),
    ],
)
def test_one_difference_takes_one_statement(change: dict[str, Any], statement: str) -> None:
    found = finished()
    for name, value in change.items():
        setattr(found, name, value)
    assert make_plan(found, SETTINGS, {"homelab_graph": None}).statements == [statement]


def test_attributes_of_a_role_are_taken_back() -> None:
    found = finished()
    found.roles["homelab_graph"].update(LOGIN=False, SUPERUSER=True)
    plan = make_plan(found, SETTINGS, {"homelab_graph": None})
    assert plan.statements == ['ALTER ROLE "homelab_graph" LOGIN NOSUPERUSER']


@pytest.mark.parametrize("service", sorted(GRANTS))
def test_only_embed_may_make_temporary_tables(service: str) -> None:
    held = {one.privilege for one in required_privileges(service, "d") if one.kind == "DATABASE"}
    assert held == ({"CONNECT", "TEMPORARY"} if service == "embed" else {"CONNECT"})


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        ({"available": None}, SETTINGS, "has no pgvector"),
        ({"available": "0.8.3"}, SETTINGS, f"pgvector 0.8.3 was found and {MIN_PGVECTOR} or newer is wanted"),
        ({}, {"dimension": 16, "type": "vector"}, "dimension 8 and 16 is wanted"),
        ({}, {"dimension": 8, "type": "halfvec"}, "vector_type vector and halfvec is wanted"),
        ({"migrations": {999: ("later", SETTINGS)}}, SETTINGS, r"migration 999 \(later\)"),
    ],
)
def test_refusals(change: dict[str, Any], settings: dict[str, Any], message: str) -> None:
    found = finished()
    if "available" in change:
        found.extension = None
    for name, value in change.items():
        setattr(found, name, value)
    with pytest.raises(PostgresError, match=message):
        make_plan(found, settings, {})


def test_two_digit_versions_are_compared_as_numbers() -> None:
    assert make_plan(state(available="0.10.0"), SETTINGS, {}).statements[0].startswith("CREATE EXTENSION")


def test_the_module_offers_exactly_the_services_that_have_grants() -> None:
    assert sorted(GRANTS) == SERVICES
