# SPDX-License-Identifier: GPL-3.0-or-later
"""Enough of NATS' configuration format, and its rule of permission, to evaluate users.conf without a server."""

from __future__ import annotations

import re
from typing import Any

TOKEN = re.compile(r'\s*(?:#[^\n]*\s*)*(?:("(?:[^"\\]|\\.)*")|([A-Za-z_][\w-]*)|([\[\]{}:,]))')


def parse(text: str) -> dict[str, Any]:
    """The configuration as dictionaries, lists and strings. Raises ValueError where it is not of this format."""
    tokens: list[str] = []
    position = 0
    while text[position:].strip():
        match = TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"not understood: {text[position : position + 40]!r}")
        tokens.append(match.group(match.lastindex or 0))
        position = match.end()
    tokens.append("}")
    return _map(tokens)


def _value(tokens: list[str]) -> Any:
    token = tokens.pop(0)
    if token == "{":
        return _map(tokens)
    if token == "[":
        found = []
        while tokens[0] != "]":
            if tokens[0] == ",":
                tokens.pop(0)
            else:
                found.append(_value(tokens))
        tokens.pop(0)
        return found
    return token.strip('"')


def _map(tokens: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    while (key := tokens.pop(0)) != "}":
        if key == ",":
            continue
        if tokens[0] == ":":
            tokens.pop(0)
        if key in found:
            raise ValueError(f"{key} is given twice")
        found[key] = _value(tokens)
    return found


def matches(pattern: str, subject: str) -> bool:
    """NATS' rule: `*` is one token, a last `>` one or more."""
    wanted, given = pattern.split("."), subject.split(".")
    for index, token in enumerate(wanted):
        if token == ">":
            return len(given) > index
        if index >= len(given) or token not in ("*", given[index]):
            return False
    return len(wanted) == len(given)


def may(user: dict[str, Any], action: str, subject: str) -> bool:
    """Whether a user of users.conf may `publish` or `subscribe` to a subject; one without permissions may all."""
    if "permissions" not in user:
        return True
    rule = user["permissions"][action]
    if set(rule) != {"allow"}:
        raise ValueError(f"only allow lists are evaluated: {rule}")
    return any(matches(pattern, subject) for pattern in rule["allow"])
