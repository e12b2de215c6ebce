# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Privileges as sets: what is granted, what is wanted, and the statements between them. No database here."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from ansible_collections.homelab.ai.plugins.module_utils._postgres import quote


class Privilege(NamedTuple):
    """One privilege on one object, or on one column of a table."""

    kind: str  # TABLE, FUNCTION, SCHEMA or DATABASE
    object: str  # without schema; a function with its argument types
    privilege: str
    column: str | None = None
    grantable: bool = False

    def __str__(self) -> str:
        column = f" ({self.column})" if self.column else ""
        option = " WITH GRANT OPTION" if self.grantable else ""
        return f"{self.privilege}{column} ON {self.kind} {self.object}{option}"


def parse_privileges(text: str, target: str) -> set[Privilege]:
    """`SELECT, UPDATE (a, b)` on `TABLE x` as single privileges. Raises ValueError."""
    kind, _blank, name = target.partition(" ")
    if kind not in ("TABLE", "FUNCTION") or not name:
        raise ValueError(f"{target!r} is no target of a grant: write TABLE name or FUNCTION name(types)")
    item = re.compile(r"\s*([A-Z]+)\s*(?:\(([^()]+)\))?\s*(?:,|$)")
    result, position = set(), 0
    while position < len(text):
        match = item.match(text, position)
        if match is None:
            raise ValueError(f"{text!r} is no list of privileges: cannot read {text[position:]!r}")
        columns = [column.strip() for column in match[2].split(",")] if match[2] else [None]
        result |= {Privilege(kind, name, match[1], column) for column in columns}
        position = match.end()
    return result


def _target(kind: str, name: str) -> str:
    if kind == "TABLE":
        return f"TABLE public.{quote(name)}"
    if kind == "FUNCTION":
        function, _bracket, types = name.partition("(")
        return f"FUNCTION public.{quote(function)}({types}"
    return f"{kind} {quote(name)}"


def _statements(
    verb: str, preposition: str, privileges: Iterable[Privilege], grantee: str, end: str
) -> list[tuple[str, str]]:
    """Kind and statement for each object; columns of one privilege are put together."""
    by_object: dict[tuple[str, str], dict[str, set[str | None]]] = defaultdict(lambda: defaultdict(set))
    for one in privileges:
        by_object[one.kind, one.object][one.privilege].add(one.column)
    result = []
    for (kind, name), items in sorted(by_object.items()):
        parts = []
        for privilege, columns in sorted(items.items()):
            named = sorted(column for column in columns if column)
            if None in columns:
                parts.append(privilege)
            if named:
                parts.append(f"{privilege} ({', '.join(quote(column) for column in named)})")
        result.append((kind, f"{verb} {', '.join(parts)} ON {_target(kind, name)} {preposition} {grantee}{end}"))
    return result


def privilege_statements(
    role: str, current: set[Privilege], required: set[Privilege], allowed: set[Privilege]
) -> tuple[list[tuple[str, str]], set[Privilege]]:
    """Statements (with the kind of their object) that take from `role` what is not allowed and give what is
    required, and the state after them.

    Revokes come first: revoking a table's privilege takes it from all of its columns too (PostgreSQL manual,
    REVOKE), so column privileges that are still wanted are granted again.
    """
    extra = current - allowed
    whole = {(one.kind, one.object, one.privilege) for one in extra if one.column is None}
    kept = {one for one in current & allowed if (one.kind, one.object, one.privilege) not in whole}
    # What a revoke takes along although it is allowed to stay is given back, required or not.
    missing = (required | (current & allowed)) - kept
    grantee = "PUBLIC" if role == "PUBLIC" else quote(role)
    # CASCADE: what the role has passed on to others goes with its own right.
    statements = _statements("REVOKE", "FROM", extra, grantee, " CASCADE") if extra else []
    statements += _statements("GRANT", "TO", missing, grantee, "") if missing else []
    return statements, kept | missing
