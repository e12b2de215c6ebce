# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Index and extension, as pgvector_schema keeps them on a real server."""

from __future__ import annotations

from typing import Any

import pytest
from module_runner import Postgres, Runner
from pgvector_rig import everything, fill, vectors

HNSW = (
    "CREATE INDEX embeddings_hnsw_m16_ef64 ON public.embeddings "
    "USING hnsw (embedding vector_cosine_ops) WITH (m='16', ef_construction='64')"
)


class Case:
    """The module with a database of 8 dimensions, and what another client sees there."""

    def __init__(self, schema: Runner, server: Postgres, database: str) -> None:
        self.schema, self.server, self.database = schema, server, database

    def snapshot(self) -> Any:
        return everything(self.server, self.database), vectors(self.server, self.database)

    def indexes(self) -> list[tuple[str, bool]]:
        found: list[tuple[str, bool]] = vectors(self.server, self.database)["indexes"]
        return found

    def cycle(self, changes: bool = True, **index: Any) -> dict[str, Any]:
        return self.schema.cycle({"dimension": 8, **({"index": index} if index else {})}, self.snapshot, changes)

    def sql(self, *statements: str) -> None:
        with self.server.connect(database=self.database) as admin:
            for statement in statements:
                admin.execute(statement)

    def fill(self, rows: int) -> None:
        with self.server.connect(database=self.database) as admin:
            fill(admin, rows)


@pytest.fixture
def case(schema: Runner, bare_postgres: Postgres, database: str) -> Case:
    schema({"dimension": 8})
    return Case(schema, bare_postgres, database)


def test_methods_and_options(case: Case) -> None:
    case.fill(50)
    created = case.cycle(method="hnsw")
    assert case.indexes() == [(HNSW, True)]
    assert created["statements"] == [
        'CREATE INDEX CONCURRENTLY "embeddings_hnsw_m16_ef64" ON public.embeddings '
        "USING hnsw (embedding vector_cosine_ops) WITH (m = 16, ef_construction = 64)"
    ]
    assert created["diff"]["before"]["index"] == []
    assert created["diff"]["after"]["index"] == [
        "embeddings_hnsw_m16_ef64: hnsw vector_cosine_ops ef_construction=64 m=16"
    ]
    changed = case.cycle(method="hnsw", m=8, ef_construction=32)
    assert [one.split()[0] for one in changed["statements"]] == ["CREATE", "DROP"], "searches keep an index meanwhile"
    case.cycle(method="ivfflat")
    assert "ivfflat (embedding vector_cosine_ops) WITH (lists='1')" in case.indexes()[0][0]
    case.cycle(method="ivfflat", lists=3)
    assert "(lists='3')" in case.indexes()[0][0]
    case.cycle(changes=False, method="ivfflat")
    case.cycle(method="none")
    assert case.indexes() == []


def test_auto_follows_the_number_of_chunks(case: Case) -> None:
    case.fill(19_999)
    assert case.cycle(changes=False)["index_method"] == "none"
    case.sql(
        "INSERT INTO embeddings SELECT (jsonb_populate_record(e, jsonb_build_object('id', gen_random_uuid(), "
        "'chunk_index', 0))).* FROM embeddings e LIMIT 1"
    )
    assert case.cycle()["index_method"] == "hnsw"
    assert case.indexes() == [(HNSW, True)]
    case.sql("DELETE FROM embeddings WHERE chunk_index = 0")
    case.cycle()
    assert case.indexes() == []


def test_drift(case: Case) -> None:
    case.fill(50)
    case.schema({"dimension": 8, "index": {"method": "hnsw"}})
    wanted = case.snapshot()
    for drift in (
        ["DROP INDEX embeddings_hnsw_m16_ef64"],
        ["ALTER INDEX embeddings_hnsw_m16_ef64 SET (m = 8)"],
        ["CREATE INDEX mine ON embeddings USING hnsw ((embedding::halfvec(8)) halfvec_cosine_ops)"],
        [
            "DROP INDEX embeddings_hnsw_m16_ef64",
            "CREATE INDEX mine ON embeddings USING hnsw (embedding vector_cosine_ops) WHERE page = 1",
        ],
        ["ALTER TABLE embeddings ALTER COLUMN embedding SET STORAGE EXTENDED"],
    ):
        case.sql(*drift)
        assert case.snapshot() != wanted, drift
        case.cycle(method="hnsw")
        assert case.snapshot() == wanted, drift


def test_an_interrupted_build_is_cleaned_up(case: Case) -> None:
    """A transaction that has seen the table keeps the build from ending."""
    case.fill(50)
    old = {"method": "hnsw", "m": 8}
    case.schema({"dimension": 8, "index": old})
    with case.server.connect(database=case.database) as reader, case.server.connect() as admin:
        admin.execute(f"ALTER DATABASE \"{case.database}\" SET statement_timeout = '5s'")
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM embeddings")
        message = case.schema.failure(dimension=8, index={"method": "hnsw"})
        assert "CREATE INDEX CONCURRENTLY" in message and "statement timeout" in message
        assert "older transaction" in message and "next run removes" in message
        assert sorted(valid for _definition, valid in case.indexes()) == [False, True]
        reader.execute("ROLLBACK")
        admin.execute(f'ALTER DATABASE "{case.database}" RESET statement_timeout')
    repaired = case.cycle(method="hnsw")
    assert [one.split()[0] for one in repaired["statements"]] == ["DROP", "CREATE", "DROP"]
    assert any(one.endswith(" invalid") for one in repaired["diff"]["before"]["index"])
    assert case.indexes() == [(HNSW, True)]


def test_refusals(case: Case) -> None:
    before = case.snapshot()
    messages = case.schema.failures(
        *({"dimension": 8, "index": {"method": "ivfflat"}, "check": check} for check in (True, False)),
        {"dimension": 8, "index": {"m": 1}},
        {"dimension": 8, "extension_version_min": "0.7.0"},
        {"dimension": 8, "extension_version_min": "99.0"},
        {"dimension": 2001, "on_dimension_change": "reembed", "index": {"method": "hnsw"}},
    )
    assert all("the table embeddings is empty" in message for message in messages[:2])
    assert "index.m is 1" in messages[2]
    assert "extension_version_min is 0.7.0" in messages[3] and "set extension_version_min: 0.8.0" in messages[3]
    assert "99.0 or newer is wanted: install a newer pgvector" in messages[4]
    assert "at most 2000 dimensions of type vector" in messages[5] and "vector_type: halfvec" in messages[5]
    assert case.snapshot() == before


def test_an_old_extension_is_updated_when_it_is_too_old(case: Case) -> None:
    def version() -> str:
        with case.server.connect(database=case.database) as admin:
            return str(admin.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()[0])

    newest = version()
    # The server has scripts of the newest release only; what they changed since 0.8.3 is no SQL.
    case.sql("UPDATE pg_extension SET extversion = '0.8.3' WHERE extname = 'vector'")
    case.schema.cycle({"dimension": 8, "extension_version_min": "0.8.3"}, version, changes=False)
    updated = case.schema.cycle({"dimension": 8}, version)
    assert updated["statements"] == ["ALTER EXTENSION vector UPDATE"]
    assert (updated["diff"]["before"]["extension"], updated["diff"]["after"]["extension"]) == ("0.8.3", newest)
    assert version() == newest
