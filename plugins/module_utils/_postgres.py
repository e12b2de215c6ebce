# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""PostgreSQL connections for modules, with errors that say what went wrong."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

try:
    import psycopg
except ImportError:
    PSYCOPG_IMPORT_ERROR: str | None = traceback.format_exc()
else:
    PSYCOPG_IMPORT_ERROR = None

POSTGRES_ARGUMENTS: dict[str, Any] = {
    "login_host": {"type": "str", "default": "127.0.0.1"},
    "login_port": {"type": "int", "default": 5432},
    "login_user": {"type": "str", "default": "postgres"},
    "login_password": {"type": "str", "no_log": True},
    "login_password_file": {"type": "path", "no_log": False},
    "login_db": {"type": "str", "default": "postgres"},
    "ssl_mode": {
        "type": "str",
        "choices": ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"],
        "default": "prefer",
    },
    "connect_timeout": {"type": "int", "default": 10},
}
POSTGRES_MUTUALLY_EXCLUSIVE = [("login_password", "login_password_file")]


class PostgresError(Exception):
    """Anything that stops the module; the text is meant for the user."""


def quote(identifier: str) -> str:
    """`identifier` as SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def login_password(module: AnsibleModule) -> str | None:
    """The administrator's password from the option or the file. Raises PostgresError."""
    path: str | None = module.params["login_password_file"]
    password: str | None = module.params["login_password"]
    if path is None:
        return password
    try:
        password = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise PostgresError(f"cannot read login_password_file {path}: {error.strerror}") from error
    module.no_log_values.add(password)
    return password


def connect(
    params: dict[str, Any], user: str, password: str | None, options: str = "", require_auth: str | None = None
) -> Any:
    """An autocommit connection as `user`. Raises psycopg.OperationalError."""
    return psycopg.connect(
        host=params["login_host"],
        port=params["login_port"],
        user=user,
        password=password,
        dbname=params["login_db"],
        sslmode=params["ssl_mode"],
        connect_timeout=params["connect_timeout"],
        application_name="homelab.ai",
        # Identifiers and messages must not depend on what the administrator set for the role.
        options=f"-c client_encoding=UTF8 -c search_path=public {options}".strip(),
        require_auth=require_auth,
        autocommit=True,
    )


def login(module: AnsibleModule, options: str = "") -> Any:
    """The administrator's connection. Raises PostgresError with address, user and the way out."""
    params = module.params
    user, where = params["login_user"], f"{params['login_host']}:{params['login_port']}"
    try:
        return connect(params, user, login_password(module), options)
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[-1]
        if "authentication failed" in reason or "no password supplied" in reason:
            fix = f"give the password of {user} in login_password or login_password_file"
            raise PostgresError(f"PostgreSQL at {where} refused user {user}: {reason}. Fix: {fix}") from error
        if "does not exist" in reason or "no pg_hba.conf entry" in reason or "permission denied" in reason:
            fix, db = "correct login_user and login_db, or create them", params["login_db"]
            raise PostgresError(
                f"PostgreSQL at {where} does not let user {user} into database {db}: {reason}. Fix: {fix}"
            ) from error
        fix = "check that it is running and that login_host and login_port are its address"
        raise PostgresError(f"cannot reach PostgreSQL at {where} as user {user}: {reason}. Fix: {fix}") from error


def password_is(module: AnsibleModule, role: str, password: str) -> bool:
    """Whether `role` can log in with `password` by SCRAM. Raises PostgresError when that cannot be told."""
    try:
        connect(module.params, role, password, require_auth="scram-sha-256").close()
    except psycopg.OperationalError as error:
        reason = str(error)
        if "password authentication failed" in reason:
            return False
        # Both are said after the password was accepted.
        if "is not permitted to log in" in reason or "permission denied for database" in reason:
            return True
        if "authentication method requirement" in reason:
            raise PostgresError(
                f"the server lets role {role} in without SCRAM, so its password means nothing: "
                f"set scram-sha-256 for this address in pg_hba.conf ({reason.strip().splitlines()[-1]})"
            ) from error
        raise PostgresError(f"cannot check the password of role {role}: {reason.strip().splitlines()[-1]}") from error
    return True


def scram_verifier(connection: Any, role: str, password: str) -> str:
    """What the server stores instead of the password, so that the password is in no statement and no log."""
    return str(connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode())
