# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Files that hold one generated secret each."""

from __future__ import annotations

import os
import re
import secrets
import stat
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

PLACEHOLDER = "NOT-YET-GENERATED"  # returned in check mode for what a real run would generate
MIN_BYTES = 16  # 128 bits: below that a secret can be guessed offline

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class SecretFileError(Exception):
    """Anything that stops the module; the text is meant for the user."""


def check_names(names: list[str]) -> None:
    """Raise SecretFileError unless every name is a plain file name and none comes twice."""
    for name in names:
        if not _NAME.fullmatch(name):
            raise SecretFileError(
                f"{name!r} is no name for a secret: use letters, digits, '.', '_', '-', a letter or digit first"
            )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SecretFileError(f"names holds {', '.join(twice)} more than once: name each secret once")


def check_directory(path: str, *, may_be_missing: bool) -> None:
    """Raise SecretFileError unless `path` is a directory itself.

    In check mode the task before may only have said that it would create it.
    """
    try:
        kind = os.lstat(path).st_mode
    except OSError as error:
        if may_be_missing and isinstance(error, FileNotFoundError):
            return
        raise SecretFileError(f"cannot use the directory {path}: {error.strerror}. Create it first") from error
    if stat.S_ISLNK(kind):
        raise SecretFileError(f"{path} is a symbolic link: secrets are kept in a real directory only, name its target")
    if not stat.S_ISDIR(kind):
        raise SecretFileError(f"{path} is not a directory: name the directory that holds the secrets")


def read_secret(path: str) -> str | None:
    """The secret in `path`, or None when there is no such file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        if Path(path).is_symlink():
            raise SecretFileError(f"{path} is a symbolic link: replace it with a file that holds the secret") from error
        raise SecretFileError(f"cannot read {path}: {error.strerror}") from error
    with os.fdopen(descriptor, encoding="utf-8") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SecretFileError(f"{path} is not a regular file: move it away")
        content = file.read().strip()
    if not content:
        raise SecretFileError(f"{path} is empty, and what exists is never changed: delete the file to get a new one")
    return content


def new_secret(length: int) -> str:
    """`length` random bytes as hexadecimal digits. Raises SecretFileError where that could be guessed."""
    if length < MIN_BYTES:
        raise SecretFileError(f"length is {length} bytes and must be at least {MIN_BYTES}")
    return secrets.token_hex(length)


def create_secret(path: str, length: int) -> str:
    """Write a new secret of `length` bytes to `path`, which either gets the whole secret or nothing."""
    secret = new_secret(length)
    final = Path(path)
    temporary = final.with_name(f".{final.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secret)
            file.flush()
            os.fsync(descriptor)
        # Unlike a rename, a link never replaces what another run has created meanwhile.
        os.link(temporary, path)
    except FileExistsError as error:
        raise SecretFileError(f"{path} was created by someone else just now: run again") from error
    finally:
        temporary.unlink()
    return secret


def ensure_secrets(module: AnsibleModule) -> dict[str, Any]:
    """Generate what is missing, set the attributes of all, and return the module's result."""
    params = module.params
    path, names, length = params["path"], params["names"], params["length"]
    check_names(names)
    check_directory(path, may_be_missing=module.check_mode)
    if length < MIN_BYTES:
        raise SecretFileError(f"length is {length} bytes and must be at least {MIN_BYTES}")
    found = {name: read_secret(f"{path}/{name}") for name in names}
    missing = [name for name in names if found[name] is None]
    values = {name: secret for name, secret in found.items() if secret is not None}
    changed = bool(missing)
    for name in names:
        file = f"{path}/{name}"
        if name in missing and module.check_mode:
            values[name] = PLACEHOLDER
            continue
        if name in missing:
            try:
                values[name] = create_secret(file, length)
            except OSError as error:
                raise SecretFileError(f"cannot create {file}: {error.strerror}") from error
        attributes = module.load_file_common_arguments(params, path=file)
        changed = module.set_fs_attributes_if_different(attributes, changed)
    result: dict[str, Any] = {"changed": changed, "created": missing, "secrets": values}
    if module._diff:
        before = [name for name in names if name not in missing]
        result["diff"] = {"before": {"secrets": before}, "after": {"secrets": names}}
    return result
