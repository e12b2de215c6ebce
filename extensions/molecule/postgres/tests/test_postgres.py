# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role made in the database, seen by psycopg as the superuser and as the services."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors

CONFIG = Path("/var/tmp/homelab-molecule-postgres/config")


def connect(role: str, password: str) -> psycopg.Connection[Any]:
    return psycopg.connect(host="127.0.0.1", port=17432, user=role, password=password, dbname="postgres")


def value(connection: psycopg.Connection[Any], statement: str) -> Any:
    row = connection.execute(statement).fetchone()
    assert row is not None
    return row[0]


def test_the_server_runs_with_the_rendered_configuration() -> None:
    with connect("postgres", "password-of-postgres") as admin:
        assert value(admin, "SHOW config_file") == str(CONFIG / "postgresql.conf")
        assert value(admin, "SHOW hba_file") == str(CONFIG / "pg_hba.conf")
        assert (value(admin, "SHOW jit"), value(admin, "SHOW password_encryption")) == ("off", "scram-sha-256")
        wanted = next(
            line.split(" = ")[1]
            for line in (CONFIG / "postgresql.conf").read_text().splitlines()
            if line.startswith("shared_buffers")
        )
        assert value(admin, f"SELECT pg_size_bytes(current_setting('shared_buffers')) = pg_size_bytes('{wanted}')")


def test_the_schema_has_vectors_of_the_dimension() -> None:
    with connect("postgres", "password-of-postgres") as admin:
        column = "pg_attribute WHERE attrelid = 'embeddings'::regclass AND attname = 'embedding'"
        assert value(admin, f"SELECT format_type(atttypid, atttypmod) FROM {column}") == "vector(384)"
        services = "pg_roles WHERE starts_with(rolname, 'homelab_') AND rolcanlogin"
        roles = value(admin, f"SELECT array_agg(rolname::text ORDER BY rolname) FROM {services}")
        assert roles == ["homelab_embed", "homelab_query"]


def test_a_service_does_its_own_work_and_nothing_else() -> None:
    with connect("homelab_query", "password-of-query") as query:
        assert value(query, "SELECT count(*) FROM embeddings") == 0
        for refused in ("DROP TABLE embeddings", "DELETE FROM embeddings", "CREATE TABLE mine (id int)"):
            with pytest.raises(errors.InsufficientPrivilege):
                query.execute(refused)
            query.rollback()


@pytest.mark.parametrize("password", ["password-of-embed", ""])
def test_nobody_connects_without_the_right_password(password: str) -> None:
    with pytest.raises(psycopg.OperationalError, match=r"password"):
        connect("homelab_query", password)
