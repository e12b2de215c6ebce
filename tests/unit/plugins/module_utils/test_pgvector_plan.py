# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.homelab.ai.plugins.module_utils._pgvector_index import Index, IndexOptions
from ansible_collections.homelab.ai.plugins.module_utils._pgvector_plan import (
    ATTRIBUTES,
    MIN_PGVECTOR,
    Options,
    State,
    check_extension_min,
    make_plan,
    required_privileges,
)
from ansible_collections.homelab.ai.plugins.module_utils._pgvector_vectors import TABLES, Column
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
        columns=dict.fromkeys(TABLES, Column("vector", 8)),
    )


def test_nothing_is_left_to_do_when_all_is_done() -> None:
    plan = make_plan(finished(), SETTINGS, {"homelab_graph": None})
    assert plan.statements == []
    assert plan.before == plan.after


def test_an_empty_database_gets_everything_in_order_and_no_secret_is_shown() -> None:
    plan = make_plan(state(), SETTINGS, {"homelab_graph": VERIFIER})
    shown, titles = plan.statements, plan.titles
    assert shown[0] == "CREATE EXTENSION vector WITH SCHEMA public"
    assert titles.index('CREATE ROLE "homelab_owner" NOLOGIN') < titles.index(f"-- migration 1: {MIGRATIONS[0][1]}")
    assert "embedding vector(8) NOT NULL" in shown[titles.index(f"-- migration 1: {MIGRATIONS[0][1]}")]
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
        (
            {"columns": {**dict.fromkeys(TABLES, Column("vector", 8)), "embeddings": Column("vector", 8, "EXTERNAL")}},
            "ALTER TABLE public.embeddings ALTER COLUMN embedding SET STORAGE PLAIN",
        ),
        ({"indexes": [Index("left", "hnsw", "", {}, False)]}, 'DROP INDEX CONCURRENTLY public."left"'),
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


@pytest.mark.parametrize(
    ("installed", "available", "minimum", "statements"),
    [
        ("0.8.4", "0.8.6", "0.8.4", []),
        ("0.8.4", "0.8.6", "0.8.5", ["ALTER EXTENSION vector UPDATE"]),
        ("0.8.0", "0.8.0", "0.8.0", []),
    ],
)
def test_the_extension_is_updated_only_below_the_wanted_version(
    installed: str, available: str, minimum: str, statements: list[str]
) -> None:
    found = finished()
    found.extension, found.available = installed, available
    assert make_plan(found, SETTINGS, {"homelab_graph": None}, Options(minimum)).statements == statements


def test_a_server_without_the_wanted_version_is_refused() -> None:
    with pytest.raises(PostgresError, match=r"pgvector 0\.8\.6 was found and 0\.9 or newer is wanted: install a newer"):
        make_plan(finished(), SETTINGS, {}, Options("0.9"))


@pytest.mark.parametrize("version", ["0.7.4", "latest", ""])
def test_versions_that_searches_cannot_use(version: str) -> None:
    with pytest.raises(PostgresError, match="extension_version_min is "):
        check_extension_min(version)
    check_extension_min("0.8.0")


REEMBED = Options(reembed=True)


@pytest.mark.parametrize("settings", [{"dimension": 16, "type": "vector"}, {"dimension": 8, "type": "halfvec"}])
def test_a_change_is_one_transaction_and_leaves_no_index(settings: dict[str, Any]) -> None:
    found = finished()
    found.rows = 30_000
    found.indexes = [Index("some", "hnsw", "vector_cosine_ops", {})]
    plan = make_plan(found, settings, {"homelab_graph": None}, REEMBED)
    (group,) = plan.groups
    assert all(step.as_owner and not step.alone for step in group)
    assert group[0].sql.startswith("LOCK TABLE") and group[1].sql == 'DROP INDEX public."some"'
    assert plan.index.method == "none", "no row is left, so auto means none"
    assert plan.after["index"] == []
    assert plan.after["vectors"]["embeddings"] == f"{settings['type']}({settings['dimension']}) PLAIN"


def test_an_index_that_needs_no_rows_is_built_after_the_change() -> None:
    settings = {"dimension": 16, "type": "halfvec"}
    plan = make_plan(finished(), settings, {}, Options(reembed=True, index=IndexOptions("hnsw")))
    assert [step.alone for group in plan.groups for step in group][-2:] == [False, True]
    assert "halfvec_cosine_ops" in plan.statements[-1]


def test_ivfflat_cannot_follow_a_change() -> None:
    found = finished()
    found.rows = 50
    with pytest.raises(PostgresError, match="ivfflat and the table embeddings is empty"):
        make_plan(found, {"dimension": 16, "type": "vector"}, {}, Options(reembed=True, index=IndexOptions("ivfflat")))


def test_columns_that_differ_from_what_is_recorded_are_a_change() -> None:
    found = finished()
    found.columns["embeddings"] = Column("vector", 16)
    with pytest.raises(PostgresError, match="the catalog has dimension 16 and 8 is wanted"):
        make_plan(found, SETTINGS, {})
    assert make_plan(found, SETTINGS, {}, REEMBED).statements[0].startswith("LOCK TABLE")


@pytest.mark.parametrize(
    ("settings", "storage"),
    [
        ({"dimension": 1536, "type": "vector"}, None),
        ({"dimension": 3072, "type": "vector"}, "EXTERNAL"),
        ({"dimension": 3072, "type": "halfvec"}, None),
        ({"dimension": 4096, "type": "halfvec"}, "EXTERNAL"),
    ],
)
def test_vectors_that_do_not_fit_into_a_page_are_stored_apart(settings: dict[str, Any], storage: str | None) -> None:
    statements = [sql for sql in make_plan(state(), settings, {}).statements if sql.startswith("ALTER TABLE")]
    wanted = [f"ALTER TABLE public.{table} ALTER COLUMN embedding SET STORAGE {storage}" for table in TABLES]
    assert statements == (wanted if storage else [])
