# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Files that hold one generated secret each."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.ai.plugins.module_utils._files import NAME_RULE, is_plain_name, read_regular

PLACEHOLDER = "NOT-YET-GENERATED"  # returned in check mode for what a real run would generate
MIN_BYTES = 16  # 128 bits: below that a secret can be guessed offline


class SecretFileError(Exception):
    """Anything that stops the module; the text is meant for the user."""


def check_names(names: list[str]) -> None:
    """Raise SecretFileError unless every name is a plain file name and none comes twice."""
    for name in names:
        if not is_plain_name(name):
            raise SecretFileError(f"{name!r} is no name for a secret: {NAME_RULE}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SecretFileError(f"names holds {', '.join(twice)} more than once: name each secret once")


def check_contents(contents: dict[str, Any], names: list[str]) -> None:
    """Raise SecretFileError unless every path is made of plain names, holds text and is none of `names`."""
    for path, content in contents.items():
        for part in path.split("/"):
            check_names([part])
        if not isinstance(content, str):
            raise SecretFileError(f"the content of {path} is a {type(content).__name__} and must be a string: quote it")
        if path in names:
            raise SecretFileError(f"{path} is in names, to be generated, and in contents, to be written: name it once")
    if not names and not contents:
        raise SecretFileError("names and contents are both empty: name at least one secret")


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
    content = read_regular(path)
    if content is None:
        return None
    try:
        secret = content.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise SecretFileError(f"{path} is not UTF-8: replace it with a text, or delete it to get a new one") from error
    if not secret:
        raise SecretFileError(f"{path} is empty, and what exists is never changed: delete the file to get a new one")
    return secret


def new_secret(length: int) -> str:
    """`length` random bytes as hexadecimal digits. Raises SecretFileError where that could be guessed."""
    if length < MIN_BYTES:
        raise SecretFileError(f"length is {length} bytes and must be at least {MIN_BYTES}")
    return secrets.token_hex(length)


def write_new(path: str, content: str, *, replace: bool) -> None:
    """Put `content` into `path`, which either gets all of it or stays as it was.

    Raises FileExistsError for a file that is there when it is not to be replaced, and OSError.
    """
    final = Path(path)
    temporary = final.with_name(f".{final.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        if replace:
            temporary.replace(path)
        else:
            # Unlike a rename, a link never replaces what another run has created meanwhile.
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def generate(module: AnsibleModule, names: list[str]) -> tuple[dict[str, str], list[str]]:
    """The secrets of `names`, and the names of those that this run has generated, or would in check mode."""
    path, length = module.params["path"], module.params["length"]
    found = {name: read_secret(f"{path}/{name}") for name in names}
    missing = [name for name in names if found[name] is None]
    values = {name: secret for name, secret in found.items() if secret is not None}
    for name in missing:
        values[name] = PLACEHOLDER if module.check_mode else new_secret(length)
        if module.check_mode:
            continue
        try:
            write_new(f"{path}/{name}", values[name], replace=False)
        except FileExistsError as error:
            raise SecretFileError(f"{path}/{name} was created by someone else just now: run again") from error
        except OSError as error:
            raise SecretFileError(f"cannot create {path}/{name}: {error.strerror}") from error
    return values, missing


def apply(module: AnsibleModule) -> dict[str, Any]:
    """Generate and write what is missing, set the attributes of all, and return the module's result."""
    params = module.params
    path, names, contents = params["path"], params["names"], params["contents"]
    check_names(names)
    check_contents(contents, names)
    for folder in sorted({str(Path(path, name).parent) for name in (*names, *contents)}):
        check_directory(folder, may_be_missing=module.check_mode)
    if params["length"] < MIN_BYTES:
        raise SecretFileError(f"length is {params['length']} bytes and must be at least {MIN_BYTES}")
    # All is read before the first file is written: a refusal leaves everything as it was.
    outdated = [name for name, content in contents.items() if read_regular(f"{path}/{name}") != content.encode()]
    values, created = generate(module, names)
    if not module.check_mode:
        for name in outdated:
            try:
                write_new(f"{path}/{name}", contents[name], replace=True)
            except OSError as error:
                raise SecretFileError(f"cannot write {path}/{name}: {error.strerror}") from error
    touched = {*created, *outdated}
    for name in (*names, *contents):
        if module.check_mode and name in touched:
            continue  # it may not be there yet
        attributes = module.load_file_common_arguments(params, path=f"{path}/{name}")
        if module.set_fs_attributes_if_different(attributes, False):
            touched.add(name)
    result: dict[str, Any] = {
        "changed": bool(touched),
        "created": created,
        "written": [name for name in contents if name in touched],
        "secrets": values,
    }
    if module._diff:
        wanted = [*names, *contents]
        up_to_date = [name for name in wanted if name not in (*created, *outdated)]
        result["diff"] = {"before": {"files": up_to_date}, "after": {"files": wanted}}
    return result
