# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tests of pgvector_schema share: a database read back by another client, and filled."""

from __future__ import annotations

from typing import Any

from module_runner import CANARY, Postgres

OPTIONS: dict[str, Any] = {
    "dimension": 8,
    "roles": [{"service": service, "password": f"{CANARY}-{service}"} for service in ("embed", "graph", "chunk")],
}


def everything(server: Postgres, database: str) -> Any:
    """Objects with owners and privileges, roles, and what is recorded."""
    with server.connect(database=database) as admin:
        relations = admin.execute(
            "SELECT relname, pg_get_userbyid(relowner), relacl::text, (SELECT array_agg((attname, attacl::text)) "
            "FROM pg_attribute WHERE attrelid = c.oid AND attacl IS NOT NULL) FROM pg_class c "
            "WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
        ).fetchall()
        functions = admin.execute(
            "SELECT proname, pg_get_userbyid(proowner), proacl::text FROM pg_proc p WHERE NOT EXISTS "
            "(SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e') "
            "AND pronamespace = 'public'::regnamespace ORDER BY 1"
        ).fetchall()
        roles = admin.execute(
            "SELECT * FROM pg_authid WHERE starts_with(rolname, 'homelab_') ORDER BY rolname"
        ).fetchall()
        acls = admin.execute("SELECT datacl::text FROM pg_database WHERE datname = current_database()").fetchall()
        has = admin.execute("SELECT to_regclass('public.schema_migrations') IS NOT NULL").fetchone()[0]
        applied = admin.execute("SELECT * FROM schema_migrations").fetchall() if has else []
        return relations, functions, roles, acls, applied


def vectors(server: Postgres, database: str) -> dict[str, Any]:
    """Columns and indexes of the vectors, and every row that has to do with them."""
    with server.connect(database=database) as admin:
        there = "SELECT count(to_regclass('public.' || name)) FROM unnest(%s::text[]) name"
        if admin.execute(there, [["chunks_staged", "embeddings"]]).fetchone() != (2,):
            return {}
        columns = admin.execute(
            "SELECT attrelid::regclass::text, format_type(atttypid, atttypmod), attstorage::text, attnotnull "
            "FROM pg_attribute WHERE attname = 'embedding' "
            "AND attrelid IN ('embeddings'::regclass, 'chunks_staged'::regclass) ORDER BY 1"
        ).fetchall()
        indexes = admin.execute(
            "SELECT pg_get_indexdef(indexrelid), indisvalid FROM pg_index "
            "JOIN pg_class c ON c.oid = indexrelid JOIN pg_am a ON a.oid = c.relam "
            "WHERE indrelid = 'embeddings'::regclass AND amname IN ('hnsw', 'ivfflat') ORDER BY 1"
        ).fetchall()
        rows = {
            table: admin.execute(f"SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {table} t").fetchone()
            for table in ("documents", "document_versions", "chunks_staged", "embeddings")
        }
        return {"columns": columns, "indexes": indexes, "rows": rows}


def fill(admin: Any, rows: int) -> None:
    """A served document with as many chunks, of 8 dimensions."""
    admin.execute(
        "INSERT INTO documents (source_id, collection, wanted_seq, active_version) VALUES ('many', 'default', 1, 'v')"
    )
    admin.execute(
        "INSERT INTO document_versions (document_id, version, wanted_seq, state, source_uri, content_sha256, "
        "chunks_total, chunks_pending) SELECT id, 'v', 1, 'graphed', 'x', 'x', %s, 0 FROM documents",
        [rows],
    )
    admin.execute(
        "INSERT INTO embeddings (document_id, version, chunk_index, chunk_text, token_count, embedding, "
        "embedding_model, chunk_tsv) SELECT id, 'v', i, 'text', 1, "
        "(SELECT array_agg(sin(i * n)) FROM generate_series(1, 8) n)::real[]::vector, 'model', '' "
        "FROM documents, generate_series(1, %s) i",
        [rows],
    )
