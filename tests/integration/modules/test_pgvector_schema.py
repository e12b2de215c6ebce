# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""pgvector_schema against a real server, read back and misused with psycopg."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from module_runner import CANARY, Postgres, Runner
from pgvector_rig import OPTIONS, everything

from tests.ports import free_port


def test_cycle(schema: Runner, bare_postgres: Postgres, database: str) -> None:
    def snapshot() -> Any:
        return everything(bare_postgres, database)

    assert schema.check(OPTIONS, snapshot)["changed"] is True
    created = schema.cycle(OPTIONS, snapshot)
    assert created["migrations"][0] == {"version": 1, "name": "documents, versions, chunks and embeddings"}
    assert created["diff"]["before"]["migrations"] == []
    assert created["diff"]["after"]["migrations"] == ["1 documents, versions, chunks and embeddings"]
    relations, functions, roles, _acls, applied = snapshot()
    assert {"documents", "document_versions", "chunks_staged", "embeddings"} <= {row[0] for row in relations}
    assert {owner for _name, owner, *_rest in relations} == {"homelab_owner"}
    assert [(name, owner) for name, owner, _acl in functions] == [("homelab_flip", "homelab_owner")]
    assert applied[0][3] == {"dimension": 8, "type": "vector"}
    assert len(roles) == 4

    # Another service later: its role and its privileges, nothing else.
    more = {**OPTIONS, "roles": [*OPTIONS["roles"], {"service": "delete", "password": f"{CANARY}-delete"}]}
    added = schema.cycle(more, snapshot)
    assert added["migrations"] == []
    assert all("homelab_delete" in statement for statement in added["statements"])


def test_services_can_do_their_work_and_nothing_else(schema: Runner, bare_postgres: Postgres, database: str) -> None:
    schema(OPTIONS)
    with bare_postgres.connect("homelab_embed", f"{CANARY}-embed", database) as embed:
        embed.execute("CREATE TEMPORARY TABLE incoming (id uuid, embedding vector(8))")
        embed.execute("UPDATE chunks_staged SET embedding = NULL")
        for statement in (
            "UPDATE chunks_staged SET chunk_text = ''",
            "DELETE FROM chunks_staged",
            "SELECT * FROM embeddings",
            "CREATE TABLE mine (id int)",
            "SET ROLE homelab_owner",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                embed.execute(statement)
        with pytest.raises(psycopg.errors.NoDataFound):  # the function runs, and there is no such document
            embed.execute("SELECT homelab_flip(gen_random_uuid(), 'v', 'm')")
    with bare_postgres.connect("homelab_graph", f"{CANARY}-graph", database) as graph:
        graph.execute("SELECT * FROM embeddings")
        for statement in ("CREATE TEMPORARY TABLE t (id int)", "SELECT homelab_flip(gen_random_uuid(), 'v', 'm')"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                graph.execute(statement)


def test_drift_is_repaired_in_both_directions(schema: Runner, bare_postgres: Postgres, database: str) -> None:
    def snapshot() -> Any:
        return everything(bare_postgres, database)

    schema(OPTIONS)
    _relations, functions, roles, _acls, applied = snapshot()
    with bare_postgres.connect(database=database) as admin:
        for statement in (
            # The whole table instead of one column: taking it back takes the column's right too.
            "GRANT UPDATE, DELETE ON chunks_staged TO homelab_embed",
            "GRANT SELECT (chunk_text) ON embeddings TO homelab_chunk",
            "GRANT SELECT ON documents TO homelab_graph WITH GRANT OPTION",
            "REVOKE SELECT ON documents FROM homelab_chunk",
            "GRANT ALL ON embeddings TO PUBLIC",
            "GRANT EXECUTE ON FUNCTION homelab_flip TO PUBLIC",
            "GRANT CREATE ON SCHEMA public TO PUBLIC",
            "GRANT homelab_owner TO homelab_graph",
            "ALTER ROLE homelab_chunk CREATEDB NOLOGIN",
            "ALTER TABLE chunks_staged OWNER TO postgres",
            "CREATE ROLE homelab_query LOGIN",  # not deployed: loses what is too much, is given nothing
            "GRANT SELECT, DELETE ON embeddings TO homelab_query",
        ):
            admin.execute(statement)
    assert schema.check(OPTIONS, snapshot)["changed"] is True
    result = schema.cycle(OPTIONS, snapshot)
    after = result["diff"]["after"]["privileges"]
    assert "DELETE ON TABLE chunks_staged" in result["diff"]["before"]["privileges"]["homelab_embed"]
    assert "UPDATE (embedding) ON TABLE chunks_staged" in after["homelab_embed"]
    assert "UPDATE ON TABLE chunks_staged" not in after["homelab_embed"]
    assert after["PUBLIC"] == [f"CONNECT ON DATABASE {database}", "USAGE ON SCHEMA public"]
    assert after["homelab_query"] == ["SELECT ON TABLE embeddings"]
    with bare_postgres.connect(database=database) as admin:
        held = admin.execute(
            "SELECT has_table_privilege('homelab_embed', 'chunks_staged', 'UPDATE'), "
            "has_column_privilege('homelab_embed', 'chunks_staged', 'embedding', 'UPDATE'), "
            "has_column_privilege('homelab_chunk', 'embeddings', 'chunk_text', 'SELECT'), "
            "has_table_privilege('homelab_graph', 'documents', 'SELECT WITH GRANT OPTION'), "
            "has_table_privilege('homelab_chunk', 'documents', 'SELECT'), "
            "pg_has_role('homelab_graph', 'homelab_owner', 'MEMBER')"
        ).fetchone()
        assert held == (False, True, False, False, True, False)
        # Everything is as it was at first, but for the role that is not ours to remove.
        admin.execute("DROP OWNED BY homelab_query; DROP ROLE homelab_query")
    now = snapshot()
    assert (now[1], now[2], now[4]) == (functions, roles, applied)


def test_passwords(schema: Runner, bare_postgres: Postgres, database: str) -> None:
    schema(OPTIONS)
    with bare_postgres.connect(database=database) as admin:
        before = admin.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'homelab_graph'").fetchone()
    changed = {**OPTIONS, "roles": [{"service": "graph", "password": f"{CANARY}-other"}]}
    result = schema.cycle(changed, lambda: everything(bare_postgres, database))
    assert result["statements"] == ["ALTER ROLE \"homelab_graph\" PASSWORD '********'"]
    assert result["diff"]["before"]["roles"]["homelab_graph"]["password"] == "another one"
    bare_postgres.connect("homelab_graph", f"{CANARY}-other", database).close()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        bare_postgres.connect("homelab_graph", f"{CANARY}-graph", database)
    with bare_postgres.connect(database=database) as admin:
        after = admin.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'homelab_graph'").fetchone()
    assert after != before and after[0].startswith("SCRAM-SHA-256$")


def test_secrets_stay_out_of_output_and_server_log(
    schema: Runner, bare_postgres: Postgres, database: str, folder: Path
) -> None:
    file = folder / "admin-password"
    file.write_text(f"{CANARY}\n")
    options = {**schema.defaults, "login_password": None, "login_password_file": str(file)}
    play = replace(schema, defaults=options)(OPTIONS, verbosity="-vvv")
    assert play.tasks[0]["changed"] is True
    assert CANARY not in play.output and "SCRAM-SHA-256$" not in play.output
    log = bare_postgres.log.read_text()
    assert 'CREATE ROLE "homelab_embed"' in log, "the log must hold the statements, or this test shows nothing"
    assert CANARY not in log


def test_refusals(schema: Runner, bare_postgres: Postgres, database: str) -> None:
    schema({"dimension": 8})
    before = everything(bare_postgres, database)
    twice = [{"service": "graph", "password": CANARY}] * 2
    other = [{"dimension": 16}, {"dimension": 8, "vector_type": "halfvec"}]
    messages = schema.failures(
        *({**one, "check": check} for check in (True, False) for one in other),
        {"dimension": 0},
        {"dimension": 8, "roles": twice},
    )
    for dimension, vector_type in (messages[:2], messages[2:4]):
        assert "dimension 8 and 16 is wanted" in dimension and "Set dimension: 8" in dimension
        assert "vector_type vector and halfvec" in vector_type
    assert "between 1 and 16000" in messages[4]
    assert "twice" in messages[5]
    assert everything(bare_postgres, database) == before
    with bare_postgres.connect(database=database) as admin:
        admin.execute("INSERT INTO schema_migrations VALUES (999, 'from the future', now(), '{}')")
    assert "migration 999 (from the future)" in schema.failure(dimension=8)


def test_each_failure_has_its_own_message(schema: Runner, bare_postgres: Postgres, database: str) -> None:
    port = free_port()
    unreachable, password, nowhere = schema.failures(
        {"dimension": 8, "login_port": port},
        {"dimension": 8, "login_password": "wrong-password"},
        {"dimension": 8, "login_db": "nowhere"},
    )
    assert f"cannot reach PostgreSQL at 127.0.0.1:{port} as user postgres" in unreachable
    assert "refused user postgres" in password and "wrong-password" not in password
    assert "database nowhere" in nowhere
    with bare_postgres.connect(database=database) as admin:
        admin.execute("CREATE ROLE weak LOGIN PASSWORD 'weak-password'")
    try:
        message = schema.failure(dimension=8, login_user="weak", login_password="weak-password")
        assert "user weak may not run" in message and "Log in as a superuser" in message
        schema({"dimension": 8})
        message = schema.failure(dimension=8, login_user="weak", login_password="weak-password")
        assert "user weak may not read the catalog" in message and "member of homelab_owner" in message
    finally:
        with bare_postgres.connect(database=database) as admin:
            admin.execute("DROP ROLE weak")


def test_a_failing_migration_leaves_nothing_behind(schema: Runner, bare_postgres: Postgres, database: str) -> None:
    with bare_postgres.connect(database=database) as admin:
        admin.execute("CREATE TABLE embeddings (id int)")
    message = schema.failure(**OPTIONS)
    assert "migration 1" in message and "already exists" in message and "rolled back" in message
    relations, _functions, _roles, _acls, applied = everything(bare_postgres, database)
    assert applied == []
    assert "documents" not in {row[0] for row in relations}


def test_missing_library_names_interpreter_and_package(schema: Runner) -> None:
    message = replace(schema, python="/usr/bin/python3").failure(dimension=8)
    assert "psycopg" in message and "/usr/bin/python3" in message


def test_a_database_owner_without_superuser_is_enough(schema: Runner, bare_postgres: Postgres, database: str) -> None:
    """Managed PostgreSQL: the administrator made the extension, we own the database and may create roles."""
    password = "not-a-superuser"
    with bare_postgres.connect(database=database) as admin:
        admin.execute("CREATE EXTENSION vector")
        admin.execute(f"CREATE ROLE manager LOGIN CREATEROLE PASSWORD '{password}'")
        admin.execute(f'ALTER DATABASE "{database}" OWNER TO manager')
    manager = replace(schema, defaults={**schema.defaults, "login_user": "manager", "login_password": password})
    try:
        manager.cycle(OPTIONS, lambda: everything(bare_postgres, database))
        bare_postgres.connect("homelab_embed", f"{CANARY}-embed", database).close()
    finally:
        with bare_postgres.connect() as admin:
            admin.execute(f'ALTER DATABASE "{database}" OWNER TO postgres')
        with bare_postgres.connect(database=database) as admin:
            admin.execute("REASSIGN OWNED BY manager TO postgres; DROP OWNED BY manager")
            for (role,) in admin.execute(
                "SELECT rolname FROM pg_roles WHERE starts_with(rolname, 'homelab_')"
            ).fetchall():
                admin.execute(f'DROP OWNED BY "{role}"; DROP ROLE "{role}"')
            admin.execute("DROP ROLE manager")
