# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""From the state of a database to the statements that bring it to the catalog's schema. No database here."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ansible_collections.homelab.ai.plugins.module_utils._pgvector_index import (
    Index,
    IndexOptions,
    IndexPlan,
    plan_index,
    resolve,
)
from ansible_collections.homelab.ai.plugins.module_utils._pgvector_vectors import (
    TABLES,
    Column,
    rebuild_statements,
    reembed_statements,
    storage_statements,
    wanted_column,
)
from ansible_collections.homelab.ai.plugins.module_utils._postgres import PostgresError, literal, quote
from ansible_collections.homelab.ai.plugins.module_utils._privileges import (
    Privilege,
    parse_privileges,
    privilege_statements,
)
from ansible_collections.homelab.ai.plugins.module_utils._schema import CATALOG, GRANTS, MIGRATIONS, OWNER

# 0.8.2 to 0.8.4 fixed a buffer overflow in parallel HNSW builds and HNSW corruption by VACUUM.
MIN_PGVECTOR = "0.8.4"
# Search sets hnsw.iterative_scan, which earlier releases do not know.
OLDEST_PGVECTOR = "0.8.0"
PREFIX = "homelab_"
# embed copies vectors into a temporary table before they reach chunks_staged.
DATABASE_PRIVILEGES = {"embed": {"CONNECT", "TEMPORARY"}}
ATTRIBUTES = ("SUPERUSER", "CREATEROLE", "CREATEDB", "REPLICATION", "BYPASSRLS")
LEDGER = """CREATE TABLE public.schema_migrations (
    version int PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    settings jsonb NOT NULL
)"""


@dataclass
class State:
    """What the database holds, as far as the schema is concerned."""

    database: str
    superuser: bool
    may_become_owner: bool
    extension: str | None = None
    available: str | None = None
    schema_create: bool = False
    ledger: bool = False
    migrations: dict[int, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    roles: dict[str, dict[str, bool]] = field(default_factory=dict)  # role -> LOGIN and ATTRIBUTES
    memberships: dict[str, set[str]] = field(default_factory=dict)
    passwords: dict[str, bool] = field(default_factory=dict)  # role -> the wanted password is accepted
    privileges: dict[str, set[Privilege]] = field(default_factory=dict)  # role or PUBLIC
    foreign: list[tuple[str, str]] = field(default_factory=list)  # our objects (kind, SQL) with another owner
    missing: list[str] = field(default_factory=list)  # tables and functions that a migration made and someone dropped
    columns: dict[str, Column] = field(default_factory=dict)  # table -> its column embedding
    indexes: list[Index] = field(default_factory=list)
    rows: int = 0  # served chunks


@dataclass(frozen=True)
class Options:
    """Options of the module that are no part of the recorded settings."""

    extension_min: str = MIN_PGVECTOR
    reembed: bool = False
    index: IndexOptions = field(default_factory=IndexOptions)


class Step(NamedTuple):
    """A statement, the text of it that may be shown, whether it runs as the owner of the schema, and whether the
    server wants it outside of a transaction.
    """

    sql: str
    shown: str
    as_owner: bool = False
    alone: bool = False

    @property
    def title(self) -> str:
        """Enough of it for a message."""
        return self.shown.partition("\n")[0]


@dataclass
class Plan:
    """Groups of steps, one transaction each, and the state before and after them for the diff."""

    groups: list[list[Step]]
    migrations: list[tuple[int, str]]
    index: IndexOptions  # with the method that auto stands for
    before: dict[str, Any]
    after: dict[str, Any]

    @property
    def statements(self) -> list[str]:
        return [step.shown for group in self.groups for step in group]

    @property
    def titles(self) -> list[str]:
        return [step.title for group in self.groups for step in group]


def version_tuple(version: str) -> tuple[int, ...]:
    """Raises ValueError."""
    return tuple(int(part) for part in version.split("."))


def check_extension_min(version: str) -> None:
    """Raises PostgresError for what is no version, and for one that the workers cannot use."""
    try:
        old = version_tuple(version) < version_tuple(OLDEST_PGVECTOR)
    except ValueError as error:
        raise PostgresError(
            f"extension_version_min is {version!r} and must be numbers with dots, for example {MIN_PGVECTOR}"
        ) from error
    if old:
        raise PostgresError(
            f"extension_version_min is {version} and searches need pgvector {OLDEST_PGVECTOR}, which brought "
            f"hnsw.iterative_scan: set extension_version_min: {OLDEST_PGVECTOR} or newer"
        )


def required_privileges(service: str, database: str) -> set[Privilege]:
    """Everything that the role of `service` may do, no more and no less."""
    result = {Privilege("SCHEMA", "public", "USAGE")}
    result |= {Privilege("DATABASE", database, right) for right in DATABASE_PRIVILEGES.get(service, {"CONNECT"})}
    for privileges, target in GRANTS[service]:
        result |= parse_privileges(privileges, target)
    return result


def check_version(state: State) -> None:
    """Refuse a newer schema than ours. Raises PostgresError."""
    newest = max(number for number, _name, _sql in MIGRATIONS)
    for version, (name, _recorded) in sorted(state.migrations.items()):
        if version > newest:
            raise PostgresError(
                f"the database is at migration {version} ({name}) and this collection knows {newest}: "
                "use the newer homelab.ai collection that applied it"
            )


def check_missing(state: State) -> None:
    """Refuse to put empty tables where the catalog was. Raises PostgresError."""
    if gone := [name for name in CATALOG if name in state.missing]:
        raise PostgresError(
            f"{', '.join(gone)} of the catalog were dropped from database {state.database}, and nothing can bring "
            f"their rows back: restore the database from a backup, or run DROP OWNED BY {OWNER} in it to start empty "
            "and ingest the documents again"
        )


def needs_reembedding(state: State, settings: dict[str, Any], allowed: bool) -> bool:
    """Whether dimension or type differ from what is recorded or there. Raises PostgresError unless that is allowed."""
    if not state.migrations:
        return False  # migration 1 makes the columns as they are wanted
    found = [recorded for _name, recorded in state.migrations.values()]
    found += [{"dimension": column.dimension, "type": column.type} for column in state.columns.values()]
    for key, option in (("dimension", "dimension"), ("type", "vector_type")):
        for one in found:
            if one[key] == settings[key]:
                continue
            if allowed:
                return True
            raise PostgresError(
                f"the catalog has {option} {one[key]} and {settings[key]} is wanted: stored vectors cannot be "
                f"converted. Set {option}: {one[key]} to keep them, or on_dimension_change: reembed to have all "
                f"documents embedded again (now {state.rows} chunks, not searchable until then)"
            )
    return False


def _extension_steps(state: State, minimum: str) -> list[Step]:
    for found in (state.extension, state.available):
        if found is not None and version_tuple(found) >= version_tuple(minimum):
            break
    else:
        found = state.available or state.extension
        detail = f"pgvector {found} was found" if found else "the server has no pgvector"
        raise PostgresError(
            f"{detail} and {minimum} or newer is wanted: install a newer pgvector on the database server"
        )
    if state.extension is None:
        sql = "CREATE EXTENSION vector WITH SCHEMA public"
    elif version_tuple(state.extension) < version_tuple(minimum):
        sql = "ALTER EXTENSION vector UPDATE"
    else:
        return []
    return [Step(sql, sql)]


def _role_steps(state: State, role: str, can_login: bool, verifier: str | None) -> list[Step]:
    password = f" PASSWORD {literal(verifier)}" if verifier else ""
    hidden = " PASSWORD '********'" if verifier else ""
    wanted = dict({"LOGIN": can_login}, **dict.fromkeys(ATTRIBUTES, False))
    found = state.roles.get(role)
    if found is None:
        verb, words = "CREATE", ["LOGIN" if can_login else "NOLOGIN"]
    else:
        verb = "ALTER"
        words = [name if value else f"NO{name}" for name, value in wanted.items() if found[name] != value]
    steps = []
    if found is None or words or password:
        head = " ".join([f"{verb} ROLE {quote(role)}", *words])
        steps.append(Step(head + password, head + hidden))
    for group in sorted(state.memberships.get(role, ())):
        sql = f"REVOKE {quote(group)} FROM {quote(role)}"
        steps.append(Step(sql, sql))
    return steps


def _prepare(state: State, minimum: str) -> list[Step]:
    steps = _extension_steps(state, minimum) + _role_steps(state, OWNER, False, None)
    sqls = []
    if not state.superuser and not state.may_become_owner:
        sqls.append(f"GRANT {quote(OWNER)} TO CURRENT_USER")
    if not state.schema_create:
        sqls.append(f"GRANT USAGE, CREATE ON SCHEMA public TO {quote(OWNER)}")
    sqls += [f"ALTER {kind} {name} OWNER TO {quote(OWNER)}" for kind, name in state.foreign]
    steps += [Step(sql, sql) for sql in sqls]
    if not state.ledger:
        steps.append(Step(LEDGER, LEDGER, as_owner=True))
    return steps


def _migration(number: int, name: str, sql: str, settings: dict[str, Any]) -> list[Step]:
    body = sql.format(dimension=settings["dimension"], type=settings["type"])
    record = (
        "INSERT INTO public.schema_migrations (version, name, settings) "
        f"VALUES ({number}, {literal(name)}, {literal(json.dumps(settings))})"
    )
    shown = f"-- migration {number}: {name}\n{body.strip()}"
    return [Step(body, shown, as_owner=True), Step(record, record, as_owner=True)]


def _privilege_steps(state: State, listed: set[str]) -> tuple[list[Step], dict[str, set[Privilege]]]:
    stay = {Privilege("SCHEMA", "public", "USAGE"), Privilege("DATABASE", state.database, "CONNECT")}
    steps, after = [], {}
    for role in sorted(set(state.privileges) | listed):
        service = role[len(PREFIX) :]
        current = state.privileges.get(role, set())
        # PUBLIC, and homelab_* roles that are not deployed, lose what is too much and are given nothing.
        allowed = required_privileges(service, state.database) if service in GRANTS else stay
        required = allowed if role in listed else set()
        found, after[role] = privilege_statements(role, current, required, allowed)
        steps += [Step(sql, sql, as_owner=kind in ("TABLE", "FUNCTION")) for kind, sql in found]
    return steps, after


def _summary(
    extension: str | None,
    migrations: dict[int, str],
    columns: dict[str, Column],
    indexes: list[Index],
    roles: dict[str, Any],
    privileges: dict[str, set[Privilege]],
    foreign: list[str],
    missing: list[str],
) -> dict[str, Any]:
    return {
        "extension": extension,
        "migrations": [f"{number} {name}" for number, name in sorted(migrations.items())],
        "vectors": {table: str(column) for table, column in sorted(columns.items())},
        "index": sorted(str(index) for index in indexes),
        "roles": roles,
        "privileges": {role: sorted(str(one) for one in held) for role, held in sorted(privileges.items()) if held},
        "owned_by_others": foreign,
        "missing": missing,
    }


def _role_summary(state: State, role: str) -> dict[str, Any] | None:
    if role not in state.roles:
        return None
    attributes = [name for name, value in state.roles[role].items() if value]
    summary: dict[str, Any] = {"attributes": attributes, "member_of": sorted(state.memberships.get(role, ()))}
    if role in state.passwords:
        summary["password"] = "as given" if state.passwords[role] else "another one"
    return summary


def _as_owner(statements: list[str], alone: bool = False) -> list[Step]:
    return [Step(sql, sql, as_owner=True, alone=alone) for sql in statements]


def _vector_plan(
    state: State, settings: dict[str, Any], options: Options
) -> tuple[list[Step], IndexOptions, IndexPlan]:
    """Steps for the columns, the index that is wanted, and the way to it."""
    reembed = needs_reembedding(state, settings, options.reembed)
    # No row and no index is left by the change.
    rows, indexes = (0, []) if reembed else (state.rows, state.indexes)
    index = resolve(options.index, settings["type"], settings["dimension"], rows)
    index_plan = plan_index(index, settings["type"], rows, indexes)
    if reembed:
        statements = reembed_statements(settings, [found.name for found in state.indexes])
    else:
        columns = state.columns if state.migrations else {}
        statements = storage_statements(columns, wanted_column(settings))
    return _as_owner(statements), index, index_plan


def make_plan(
    state: State, settings: dict[str, Any], verifiers: dict[str, str | None], options: Options | None = None
) -> Plan:
    """What has to be done. `settings` holds dimension and type; `verifiers` maps each wanted service role to the
    SCRAM verifier that is to be set, or to None when its password is right. Raises PostgresError.
    """
    options = options or Options()
    check_version(state)
    check_missing(state)
    columns, index, index_plan = _vector_plan(state, settings, options)
    pending = [entry for entry in MIGRATIONS if entry[0] not in state.migrations]
    groups = [_prepare(state, options.extension_min)]
    groups += [_migration(number, name, sql, settings) for number, name, sql in pending]
    groups.append(_as_owner(rebuild_statements(settings, state.missing)) + columns)
    access = [step for role, secret in sorted(verifiers.items()) for step in _role_steps(state, role, True, secret)]
    privilege_steps, privileges = _privilege_steps(state, set(verifiers))
    groups.append(access + privilege_steps)
    # Last, because a build can take long and services need not wait for it.
    groups += [[step] for step in _as_owner(index_plan.statements, alone=True)]

    recorded = {number: name for number, (name, _settings) in state.migrations.items()}
    roles = {role: _role_summary(state, role) for role in sorted({OWNER, *verifiers})}
    wanted_roles = {
        role: {"attributes": ["LOGIN"], "member_of": [], "password": "as given"} for role in sorted(verifiers)
    }
    wanted_roles[OWNER] = {"attributes": [], "member_of": []}
    return Plan(
        groups=[group for group in groups if group],
        migrations=[(number, name) for number, name, _sql in pending],
        index=index,
        before=_summary(
            state.extension,
            recorded,
            state.columns,
            state.indexes,
            roles,
            state.privileges,
            [name for _kind, name in state.foreign],
            state.missing,
        ),
        after=_summary(
            state.available if _extension_steps(state, options.extension_min) else state.extension,
            {**recorded, **{number: name for number, name, _sql in pending}},
            dict.fromkeys(TABLES, wanted_column(settings)),
            index_plan.after,
            wanted_roles,
            privileges,
            [],
            [],
        ),
    )


def known_objects() -> dict[str, set[str]]:
    """Names that the grants mention, by kind: what must belong to the owner wherever it exists."""
    result: dict[str, set[str]] = defaultdict(set)
    for grants in GRANTS.values():
        for _privileges, target in grants:
            kind, _blank, name = target.partition(" ")
            result[kind].add(name)
    return dict(result)
