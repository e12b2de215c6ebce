# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""The catalog's schema as data: migrations, and what each service may do with it.

Migrations are applied once, in order, each in its own transaction, and never edited after a
release. `{dimension}` and `{type}` (vector or halfvec) are filled in by the module. Objects
belong to the NOLOGIN role `homelab_owner`; the flip runs with its rights.
"""

from __future__ import annotations

OWNER = "homelab_owner"

_CATALOG = """
CREATE TABLE collections (
    name text PRIMARY KEY,
    language regconfig NOT NULL DEFAULT 'english',
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO collections (name) VALUES ('default');

CREATE TABLE documents (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    content text,
    metadata jsonb NOT NULL DEFAULT '{{}}',
    created_at timestamptz NOT NULL DEFAULT now(),
    source_id text NOT NULL UNIQUE,
    collection text NOT NULL REFERENCES collections (name),
    title text,
    mime_type text,
    wanted_seq bigint NOT NULL DEFAULT 0,
    deleted_seq bigint NOT NULL DEFAULT 0,
    active_version text
);
COMMENT ON COLUMN documents.wanted_seq IS 'raised by each accepted request; only the version that holds it may flip';
COMMENT ON COLUMN documents.deleted_seq IS 'wanted_seq of the last deletion: versions below it are dead';

CREATE TABLE document_versions (
    document_id uuid NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    version text NOT NULL,
    wanted_seq bigint NOT NULL,
    state text NOT NULL DEFAULT 'received' CHECK (state IN (
        'received', 'extracted', 'chunked', 'embedded', 'graphed',
        'failed', 'superseded', 'deleting', 'deleted', 'raw_expired')),
    source_uri text NOT NULL,
    content_sha256 text NOT NULL,
    title text,
    mime_type text,
    engine text,
    pages int,
    attempts int NOT NULL DEFAULT 0,
    reissues int NOT NULL DEFAULT 0,
    chunks_total int,
    chunks_pending int,
    warnings jsonb NOT NULL DEFAULT '[]',
    error jsonb,
    request_id text,
    traceparent text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (document_id, version)
);
CREATE INDEX document_versions_unfinished ON document_versions (updated_at)
    WHERE state IN ('received', 'extracted', 'chunked', 'embedded', 'deleting');
CREATE INDEX document_versions_content ON document_versions (content_sha256);
"""
_CHUNKS_STAGED = """
CREATE TABLE chunks_staged (
    id uuid PRIMARY KEY,
    document_id uuid NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    version text NOT NULL,
    chunk_index int NOT NULL,
    chunk_text text NOT NULL,
    heading text NOT NULL DEFAULT '',
    section int NOT NULL DEFAULT 0,
    page int,
    token_count int NOT NULL,
    embedding {type}({dimension}),
    UNIQUE (document_id, version, chunk_index)
);
ALTER TABLE chunks_staged ALTER COLUMN embedding SET STORAGE PLAIN;
"""
_EMBEDDINGS = """
CREATE TABLE embeddings (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    document_id uuid NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    version text NOT NULL,
    chunk_index int NOT NULL,
    chunk_text text NOT NULL,
    heading text NOT NULL DEFAULT '',
    section int NOT NULL DEFAULT 0,
    page int,
    token_count int NOT NULL,
    embedding {type}({dimension}) NOT NULL,
    embedding_model text NOT NULL,
    chunk_tsv tsvector NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (document_id, version, chunk_index)
);
ALTER TABLE embeddings ALTER COLUMN embedding SET STORAGE PLAIN;
CREATE INDEX embeddings_tsv ON embeddings USING gin (chunk_tsv);
"""
_FLIP = """
CREATE FUNCTION homelab_flip(p_document uuid, p_version text, p_model text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $flip$
DECLARE
    v_doc public.documents;
    v_version public.document_versions;
    v_moved int;
BEGIN
    SELECT * INTO STRICT v_doc FROM public.documents WHERE id = p_document FOR UPDATE;
    SELECT * INTO STRICT v_version FROM public.document_versions
        WHERE document_id = p_document AND version = p_version FOR UPDATE;
    IF v_version.state IN ('embedded', 'graphed') THEN
        RETURN 'already';
    END IF;
    IF v_version.wanted_seq < v_doc.wanted_seq OR v_version.wanted_seq <= v_doc.deleted_seq THEN
        UPDATE public.document_versions SET state = 'superseded', updated_at = now()
            WHERE document_id = p_document AND version = p_version;
        DELETE FROM public.chunks_staged WHERE document_id = p_document AND version = p_version;
        RETURN 'superseded';
    END IF;
    IF v_version.state <> 'chunked' OR v_version.chunks_pending <> 0 THEN
        RAISE EXCEPTION 'version % of document % is % with % chunks pending: it cannot be served yet',
            p_version, p_document, v_version.state, v_version.chunks_pending;
    END IF;
    DELETE FROM public.embeddings WHERE document_id = p_document;
    INSERT INTO public.embeddings (id, document_id, version, chunk_index, chunk_text, heading, section, page,
                                   token_count, embedding, embedding_model, chunk_tsv)
        SELECT s.id, s.document_id, s.version, s.chunk_index, s.chunk_text, s.heading, s.section, s.page,
               s.token_count, s.embedding, p_model,
               setweight(to_tsvector(c.language, s.heading), 'A') || to_tsvector(c.language, s.chunk_text)
               -- Codes such as KX-1147-A also as one lexeme, as search asks for them: the parser splits them.
               || coalesce((
                   SELECT string_agg(DISTINCT '''' || lower(code[1]) || ''':1', ' ')
                   FROM regexp_matches(s.heading || ' ' || s.chunk_text, '(?=\\S*\\d)\\w+(?:[-_./:]\\w+)+', 'g') code
                   WHERE length(code[1]) <= 100
               )::tsvector, '')
        FROM public.chunks_staged s, public.collections c
        WHERE s.document_id = p_document AND s.version = p_version
            AND s.chunk_index < v_version.chunks_total AND c.name = v_doc.collection;
    GET DIAGNOSTICS v_moved = ROW_COUNT;
    IF v_moved <> v_version.chunks_total THEN
        RAISE EXCEPTION 'version % of document % has % staged chunks of %',
            p_version, p_document, v_moved, v_version.chunks_total;
    END IF;
    UPDATE public.document_versions SET state = 'superseded', updated_at = now()
        WHERE document_id = p_document AND version <> p_version AND wanted_seq < v_version.wanted_seq
            AND state IN ('received', 'extracted', 'chunked', 'embedded', 'graphed');
    DELETE FROM public.chunks_staged s USING public.document_versions v
        WHERE s.document_id = p_document AND v.document_id = p_document AND v.version = s.version
            AND (v.version = p_version OR v.wanted_seq < v_version.wanted_seq);
    UPDATE public.document_versions SET state = 'embedded', attempts = 0, updated_at = now()
        WHERE document_id = p_document AND version = p_version;
    UPDATE public.documents SET active_version = p_version,
            title = coalesce(v_version.title, title), mime_type = coalesce(v_version.mime_type, mime_type)
        WHERE id = p_document;
    RETURN 'flipped';
END
$flip$;
REVOKE ALL ON FUNCTION homelab_flip(uuid, text, text) FROM PUBLIC;
"""

MIGRATIONS = [
    (1, "documents, versions, chunks and embeddings", _CATALOG + _CHUNKS_STAGED + _EMBEDDINGS + _FLIP),
]

CATALOG = ("collections", "documents", "document_versions")
# What holds nothing that stored documents could not bring back, as the last migration leaves it.
DERIVED = {"chunks_staged": _CHUNKS_STAGED, "embeddings": _EMBEDDINGS, "homelab_flip(uuid, text, text)": _FLIP}

# service -> statements' ingredients: (privileges, object). Columns in brackets narrow UPDATE.
# No service but delete holds DELETE; nobody but the owner may change the schema.
_ACCEPTS = [
    ("SELECT, INSERT, UPDATE (metadata, collection, title, mime_type, wanted_seq)", "TABLE documents"),
    ("SELECT, INSERT, UPDATE", "TABLE document_versions"),
    ("SELECT, INSERT", "TABLE collections"),
    ("SELECT", "TABLE schema_migrations"),
]
_FOLLOWS = [
    ("SELECT", "TABLE documents"),
    ("SELECT, UPDATE", "TABLE document_versions"),
    ("SELECT", "TABLE schema_migrations"),
]

GRANTS = {
    "extract": _ACCEPTS,
    "chunk": _FOLLOWS
    + [
        ("SELECT, INSERT, UPDATE", "TABLE chunks_staged"),
        ("EXECUTE", "FUNCTION homelab_flip(uuid, text, text)"),
    ],
    "embed": _FOLLOWS
    + [
        ("SELECT, UPDATE (embedding)", "TABLE chunks_staged"),
        ("EXECUTE", "FUNCTION homelab_flip(uuid, text, text)"),
    ],
    "graph": _FOLLOWS + [("SELECT", "TABLE embeddings")],
    "enrich": _FOLLOWS + [("SELECT", "TABLE embeddings")],
    "delete": [
        ("SELECT, UPDATE, DELETE", "TABLE documents"),
        ("SELECT, UPDATE, DELETE", "TABLE document_versions"),
        ("SELECT, DELETE", "TABLE chunks_staged"),
        ("SELECT, DELETE", "TABLE embeddings"),
        ("SELECT", "TABLE schema_migrations"),
    ],
    "query": _ACCEPTS
    + [
        ("UPDATE (deleted_seq, active_version)", "TABLE documents"),
        ("SELECT", "TABLE embeddings"),
        ("SELECT", "TABLE chunks_staged"),
    ],
    "reconcile": _FOLLOWS
    + [
        ("SELECT", "TABLE chunks_staged"),
        ("SELECT", "TABLE embeddings"),
        ("SELECT", "TABLE collections"),
    ],
}
