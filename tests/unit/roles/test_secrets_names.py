# SPDX-License-Identifier: GPL-3.0-or-later
"""The role secrets knows every secret of the platform, under the name that the platform gives it."""

from __future__ import annotations

import re

from jinja2 import Environment

from tests.unit.roles import source


def local_stack_names() -> list[str]:
    variables = source.role_vars("local_stack")
    environment = Environment(autoescape=False)
    environment.filters["regex_replace"] = lambda value, pattern, new: re.sub(pattern, new, value)
    expression = variables["__local_stack_secret_names"].strip().removeprefix("{{").removesuffix("}}")
    # A filter gives a generator, which Ansible makes a list before it is added to another.
    expression = expression.replace("'nats-'))", "'nats-') | list)")
    return list(environment.compile_expression(expression)(**variables))


def test_no_secret_of_the_local_stack_is_missing() -> None:
    names = local_stack_names()
    assert {"nats-extract", "postgres-admin", "content-signing"} <= set(names)
    assert set(names) <= set(source.defaults("secrets")["secrets_names"])


def test_each_name_comes_once() -> None:
    names = source.defaults("secrets")["secrets_names"]
    assert len(set(names)) == len(names)
