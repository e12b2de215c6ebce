# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""The vector columns: what they are, how they are stored, the change to another dimension or type, and how what was
dropped comes back. No database here.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from ansible_collections.homelab.ai.plugins.module_utils._postgres import literal, quote
from ansible_collections.homelab.ai.plugins.module_utils._schema import DERIVED

TABLES = ("chunks_staged", "embeddings")
BYTES = {"vector": 4, "halfvec": 2}
# A row must fit into a page of 8 KiB; this leaves room for its other columns, which TOAST shortens.
PLAIN_BYTES = 7_000


class Column(NamedTuple):
    """The column `embedding` of a table."""

    type: str
    dimension: int
    storage: str = "PLAIN"

    def __str__(self) -> str:
        return f"{self.type}({self.dimension}) {self.storage}"


def wanted_column(settings: dict[str, Any]) -> Column:
    """PLAIN keeps vectors in the row, which an exact scan reads four times faster, as long as they fit."""
    kind, dimension = settings["type"], settings["dimension"]
    return Column(kind, dimension, "PLAIN" if BYTES[kind] * dimension <= PLAIN_BYTES else "EXTERNAL")


def storage_statements(columns: dict[str, Column], wanted: Column) -> list[str]:
    """A table that is not there yet will be PLAIN: migration 1 says so."""
    return [
        f"ALTER TABLE public.{table} ALTER COLUMN embedding SET STORAGE {wanted.storage}"
        for table in TABLES
        if (columns[table].storage if table in columns else "PLAIN") != wanted.storage
    ]


def back_statements(served: str, state: str) -> list[str]:
    """Served versions go back to an earlier state, from where the reconciler has them processed again.

    `served` selects document and version, `state` is assigned. Until it is done the document is not searchable, so its
    active_version is empty.
    """
    return [
        # A version that is served because its successor failed is what the document has: it counts as requested anew,
        # or the pipeline would take it for outdated. A successor that is still under way takes over by itself.
        f"""WITH orphaned AS (
    UPDATE public.documents d SET wanted_seq = d.wanted_seq + 1 FROM public.document_versions v
    WHERE v.document_id = d.id AND v.version = d.active_version AND v.wanted_seq < d.wanted_seq
        AND (d.id, d.active_version) IN ({served})
        AND NOT EXISTS (SELECT FROM public.document_versions n WHERE n.document_id = d.id
            AND n.wanted_seq = d.wanted_seq AND n.state IN ('received', 'extracted', 'chunked'))
    RETURNING d.id, d.active_version, d.wanted_seq
)
UPDATE public.document_versions v SET wanted_seq = o.wanted_seq FROM orphaned o
WHERE v.document_id = o.id AND v.version = o.active_version""",
        f"""UPDATE public.document_versions SET {state}, attempts = 0, error = NULL, updated_at = now()
WHERE (document_id, version) IN ({served})""",
        f"""UPDATE public.documents SET active_version = NULL
WHERE (id, active_version) IN ({served})""",
    ]


def rebuild_statements(settings: dict[str, Any], missing: list[str]) -> list[str]:
    """Makes again what was dropped, for one transaction. What it held comes back from the stored documents."""
    chunk_again = "state = 'extracted', chunks_total = NULL, chunks_pending = NULL"
    statements = [DERIVED[name].format(**settings).strip() for name in missing]
    if "chunks_staged" in missing:
        waiting = f"UPDATE public.document_versions SET {chunk_again}, attempts = 0, updated_at = now()"
        statements.append(f"{waiting} WHERE state = 'chunked'")
    if "embeddings" in missing:
        served = "SELECT id, active_version FROM public.documents WHERE active_version IS NOT NULL"
        statements += back_statements(served, chunk_again)
    return statements


def reembed_statements(settings: dict[str, Any], indexes: list[str]) -> list[str]:
    """The change of dimension or type, for one transaction.

    Served chunks go back to where chunks wait for their vectors and their versions to the state `chunked` with all
    chunks pending. The reconciler finds such versions and sends `doc.chunked` again, the embedding stage fills the
    vectors in and homelab_flip serves the version anew.
    """
    wanted = wanted_column(settings)
    column = f"{wanted.type}({wanted.dimension})"
    served = "SELECT DISTINCT document_id, version FROM public.embeddings"
    return [
        "LOCK TABLE public.documents, public.document_versions, public.chunks_staged, public.embeddings "
        "IN ACCESS EXCLUSIVE MODE",
        *(f"DROP INDEX public.{quote(name)}" for name in indexes),
        # Before the served chunks come in: only what waits is written twice.
        f"ALTER TABLE public.chunks_staged ALTER COLUMN embedding TYPE {column} USING NULL",
        # Rows of a document that is being deleted (no active version) only go away.
        """DELETE FROM public.embeddings e WHERE NOT EXISTS (
    SELECT FROM public.documents d WHERE d.id = e.document_id AND d.active_version = e.version)""",
        *back_statements(served, "state = 'chunked'"),
        """INSERT INTO public.chunks_staged
    (id, document_id, version, chunk_index, chunk_text, heading, section, page, token_count)
SELECT id, document_id, version, chunk_index, chunk_text, heading, section, page, token_count FROM public.embeddings
ON CONFLICT DO NOTHING""",
        "TRUNCATE public.embeddings",
        f"ALTER TABLE public.embeddings ALTER COLUMN embedding TYPE {column}",
        # Versions that were waiting for their last vectors wait for all again, failed ones too: a retry resumes them.
        """UPDATE public.document_versions v SET chunks_pending = chunks_total, updated_at = now()
WHERE chunks_pending IS NOT NULL AND EXISTS (
    SELECT FROM public.chunks_staged s WHERE s.document_id = v.document_id AND s.version = v.version)""",
        # A new type brings its own storage along.
        *(f"ALTER TABLE public.{table} ALTER COLUMN embedding SET STORAGE {wanted.storage}" for table in TABLES),
        f"UPDATE public.schema_migrations SET settings = {literal(json.dumps(settings))}",
    ]
