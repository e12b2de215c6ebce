# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Reads the state of a database, has a plan made, and carries it out."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.ai.plugins.module_utils._pgvector_index import (
    Index,
    IndexOptions,
    check_index_options,
)
from ansible_collections.homelab.ai.plugins.module_utils._pgvector_plan import (
    ATTRIBUTES,
    PREFIX,
    Options,
    Plan,
    State,
    Step,
    check_extension_min,
    known_objects,
    make_plan,
)
from ansible_collections.homelab.ai.plugins.module_utils._pgvector_vectors import TABLES, Column
from ansible_collections.homelab.ai.plugins.module_utils._postgres import (
    PostgresError,
    login,
    password_is,
    quote,
    scram_verifier,
)
from ansible_collections.homelab.ai.plugins.module_utils._privileges import Privilege
from ansible_collections.homelab.ai.plugins.module_utils._schema import CATALOG, DERIVED, OWNER

with contextlib.suppress(ImportError):  # reported by main, through PSYCOPG_IMPORT_ERROR
    import psycopg

MAX_DIMENSION = 16_000  # pgvector README: limit of a vector column
LOCK = 0x686F6D656C616221  # "homelab!": one run at a time in a database
LOCK_TIMEOUT = "60s"

_EXTENSION = "SELECT installed_version, default_version FROM pg_available_extensions WHERE name = 'vector'"
_EXTENSION_SCHEMA = "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'vector'"
_APPLIED = "SELECT version, name, settings FROM public.schema_migrations"
_ROLES = """
SELECT rolname, rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls
FROM pg_roles WHERE starts_with(rolname, %s)
"""
_MEMBERSHIPS = """
SELECT m.rolname, g.rolname FROM pg_auth_members a
JOIN pg_roles m ON m.oid = a.member JOIN pg_roles g ON g.oid = a.roleid
WHERE starts_with(m.rolname, %s)
"""
# NULL in an ACL column stands for the defaults, which acldefault() spells out; tables give none to others.
_PRIVILEGES = """
WITH ours AS (
    SELECT c.oid, c.relname, c.relacl FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        AND (c.relowner = (SELECT oid FROM pg_roles WHERE rolname = %(owner)s) OR c.relname = ANY (%(tables)s))
), entries AS (
    SELECT 'TABLE' AS kind, relname::text AS object, NULL::text AS col, acl.* FROM ours, aclexplode(relacl) acl
    UNION ALL
    SELECT 'TABLE', relname, a.attname, acl.* FROM ours
        JOIN pg_attribute a ON a.attrelid = ours.oid AND NOT a.attisdropped, aclexplode(a.attacl) acl
    UNION ALL
    SELECT 'FUNCTION', p.proname || '(' || oidvectortypes(p.proargtypes) || ')', NULL, acl.*
        FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) acl
        WHERE p.pronamespace = 'public'::regnamespace
            AND p.proowner = (SELECT oid FROM pg_roles WHERE rolname = %(owner)s)
    UNION ALL
    SELECT 'SCHEMA', nspname, NULL, acl.*
        FROM pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) acl WHERE nspname = 'public'
    UNION ALL
    SELECT 'DATABASE', datname, NULL, acl.*
        FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) acl WHERE datname = current_database()
)
SELECT CASE WHEN e.grantee = 0 THEN 'PUBLIC' ELSE r.rolname END,
    e.kind, e.object, e.privilege_type, e.col, e.is_grantable
FROM entries e LEFT JOIN pg_roles r ON r.oid = e.grantee
WHERE e.grantee = 0 OR (starts_with(r.rolname, %(prefix)s) AND r.rolname <> %(owner)s)
"""
_FOREIGN = """
SELECT 'TABLE', format('public.%%I', relname), pg_get_userbyid(relowner) FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND relname = ANY (%(tables)s)
UNION ALL
SELECT 'FUNCTION', oid::regprocedure::text, pg_get_userbyid(proowner) FROM pg_proc
WHERE pronamespace = 'public'::regnamespace
    AND proname || '(' || oidvectortypes(proargtypes) || ')' = ANY (%(functions)s)
ORDER BY 1, 2
"""

_MISSING = """
SELECT name FROM unnest(%s::text[]) WITH ORDINALITY AS known (name, place)
WHERE to_regclass('public.' || split_part(name, '(', 1)) IS NULL AND to_regprocedure('public.' || name) IS NULL
ORDER BY place
"""
_COLUMNS = """
SELECT c.relname::text, t.typname::text, a.atttypmod,
    CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname = ANY (%s)
    AND a.attname = 'embedding' AND NOT a.attisdropped
"""
# An index on an expression has no column, so its row of pg_attribute is missing.
_INDEXES = """
SELECT c.relname::text, m.amname::text, o.opcname::text, coalesce(c.reloptions, '{}'), x.indisvalid AND x.indisready,
    x.indpred IS NULL AND coalesce(a.attname = 'embedding', false)
FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_am m ON m.oid = c.relam
JOIN pg_opclass o ON o.oid = x.indclass[0]
LEFT JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0]
WHERE x.indrelid = to_regclass('public.embeddings') AND m.amname IN ('hnsw', 'ivfflat')
ORDER BY 1
"""


def _row(connection: Any, sql: str, *parameters: Any) -> Any:
    return connection.execute(sql, parameters or None).fetchone()


def _read_vectors(connection: Any, state: State) -> None:
    for table, kind, dimension, storage in connection.execute(_COLUMNS, [list(TABLES)]):
        state.columns[table] = Column(kind, dimension, storage)
    for name, method, operators, reloptions, valid, whole in connection.execute(_INDEXES):
        options = {key: int(value) for key, _equals, value in (one.partition("=") for one in reloptions)}
        state.indexes.append(Index(name, method, operators, options, valid, whole))
    if "embeddings" in state.columns:
        (state.rows,) = _row(connection, "SELECT count(*) FROM public.embeddings")


def read_state(connection: Any) -> State:
    """What the catalogs of the connected database say. Passwords are tried by the caller."""
    database, superuser = _row(
        connection, "SELECT current_database()::text, rolsuper FROM pg_roles WHERE rolname = current_user"
    )
    state = State(database=database, superuser=superuser, may_become_owner=superuser)
    found = _row(connection, _EXTENSION)
    state.extension, state.available = found or (None, None)
    for name, *flags in connection.execute(_ROLES, [PREFIX]):
        state.roles[name] = dict(zip(("LOGIN", *ATTRIBUTES), flags))
    for member, group in connection.execute(_MEMBERSHIPS, [PREFIX]):
        state.memberships.setdefault(member, set()).add(group)
    if OWNER in state.roles:
        # Since PostgreSQL 16 the creator of a role administers it, but may not become it before it says so.
        right = "SET" if connection.info.server_version >= 160000 else "MEMBER"
        state.may_become_owner, state.schema_create = _row(
            connection,
            "SELECT pg_has_role(current_user, %s, %s), has_schema_privilege(%s, 'public', 'CREATE')",
            OWNER,
            right,
            OWNER,
        )
    state.ledger = _row(connection, "SELECT to_regclass('public.schema_migrations') IS NOT NULL")[0]
    if state.ledger:
        for version, name, settings in connection.execute(_APPLIED):
            state.migrations[version] = (name, settings)
        if state.migrations:
            state.missing = [name for (name,) in connection.execute(_MISSING, [[*CATALOG, *DERIVED]])]
        _read_vectors(connection, state)
    known = known_objects()
    names = {"owner": OWNER, "prefix": PREFIX, "tables": list(known["TABLE"]), "functions": list(known["FUNCTION"])}
    for role, kind, name, privilege, column, grantable in connection.execute(_PRIVILEGES, names):
        state.privileges.setdefault(role, set()).add(Privilege(kind, name, privilege, column, grantable))
    state.foreign = [(kind, name) for kind, name, owner in connection.execute(_FOREIGN, names) if owner != OWNER]
    return state


def plan_for(connection: Any, module: AnsibleModule, options: Options) -> Plan:
    """The plan for the module's options in the connected database. Raises PostgresError."""
    params = module.params
    try:
        state = read_state(connection)
    except psycopg.errors.InsufficientPrivilege as error:
        raise PostgresError(
            f"user {params['login_user']} may not read the catalog: {error.diag.message_primary}. "
            f"Log in as a superuser, or as a member of {OWNER}"
        ) from error
    verifiers: dict[str, str | None] = {}
    for entry in params["roles"]:
        role, password = PREFIX + entry["service"], entry["password"]
        if role in state.roles:
            state.passwords[role] = password_is(module, role, password)
        verifiers[role] = None if state.passwords.get(role) else scram_verifier(connection, role, password)
    settings = {"dimension": params["dimension"], "type": params["vector_type"]}
    return make_plan(state, settings, verifiers, options)


def _run(connection: Any, step: Step, user: str) -> None:
    role = f"{'SET' if step.alone else 'SET LOCAL'} ROLE {quote(OWNER)}"
    try:
        if step.as_owner:
            connection.execute(role)
        connection.execute(step.sql)
        if step.as_owner:
            connection.execute("RESET ROLE")
    except psycopg.errors.InsufficientPrivilege as error:
        raise PostgresError(
            f"user {user} may not run {step.title!r}: {error.diag.message_primary}. "
            "Log in as a superuser, or as the owner of the database with CREATEROLE"
        ) from error
    except psycopg.Error as error:
        reason = error.diag.message_primary or error
        if step.alone:
            raise PostgresError(
                f"{step.title!r} failed: {reason}. Everything before it is done, searches go on as before, and the "
                "next run removes what is left of it. It waits for every older transaction on the server to end"
            ) from error
        raise PostgresError(f"{step.title!r} failed and was rolled back: {reason}") from error


def _search_path(connection: Any) -> None:
    # Some installations keep the extension in a schema of its own; its types must be found by name.
    row = _row(connection, _EXTENSION_SCHEMA)
    if row is not None and row[0] != "public":
        connection.execute(f"SET search_path = public, {row[0]}")


def execute(connection: Any, plan: Plan, user: str) -> None:
    """Run the plan's groups, each in a transaction of its own. Raises PostgresError."""
    for group in plan.groups:
        _search_path(connection)
        alone = any(step.alone for step in group)
        with contextlib.nullcontext() if alone else connection.transaction():
            for step in group:
                _run(connection, step, user)


def _lock(connection: Any) -> None:
    connection.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
    try:
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
    except psycopg.errors.LockNotAvailable as error:
        raise PostgresError(
            f"another run of pgvector_schema holds the database for more than {LOCK_TIMEOUT}: wait until it has ended"
        ) from error


def _options(params: dict[str, Any]) -> Options:
    """The module's options. Raises PostgresError for values that nothing could be made of."""
    check_extension_min(params["extension_version_min"])
    index = IndexOptions(**(params["index"] or {}))
    check_index_options(index)
    return Options(params["extension_version_min"], params["on_dimension_change"] == "reembed", index)


def ensure_schema(module: AnsibleModule) -> dict[str, Any]:
    """Bring the database to the schema, or say in check mode what that would take. Raises PostgresError."""
    params = module.params
    if not 1 <= params["dimension"] <= MAX_DIMENSION:
        raise PostgresError(f"dimension is {params['dimension']} and must be between 1 and {MAX_DIMENSION}")
    wanted = _options(params)
    services = [entry["service"] for entry in params["roles"]]
    if len(set(services)) != len(services):
        raise PostgresError(f"roles names a service twice ({', '.join(sorted(services))}): list each service once")
    # In check mode the server itself refuses every write.
    connection_options = "-c default_transaction_read_only=on" if module.check_mode else ""
    with login(module, connection_options) as connection:
        connection.prepare_threshold = None
        _lock(connection)
        plan = plan_for(connection, module, wanted)
        if plan.groups and not module.check_mode:
            execute(connection, plan, params["login_user"])
            # Rows that came in meanwhile must not make auto decide otherwise.
            rest = plan_for(connection, module, replace(wanted, index=plan.index))
            if rest.groups:
                raise PostgresError(
                    f"the server accepted everything but still wants {'; '.join(rest.titles)}: "
                    f"user {params['login_user']} has not the right to it. Log in as a superuser"
                )
    result: dict[str, Any] = {
        "changed": bool(plan.groups),
        "statements": plan.statements,
        "migrations": [{"version": number, "name": name} for number, name in plan.migrations],
        "index_method": plan.index.method,
    }
    if module._diff:
        what = f"database {params['login_db']}"
        result["diff"] = {"before": plan.before, "after": plan.after, "before_header": what, "after_header": what}
    return result
