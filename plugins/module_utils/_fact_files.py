# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Files of facts: JSON that differs only where the facts do, written as a whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.ai.plugins.module_utils._files import NAME_RULE, is_plain_name, read_regular

DIRECTORY_MODE = 0o755


class FactFileError(Exception):
    """Anything that stops the module; the text is meant for the user."""


def check_names(names: list[str]) -> None:
    """Raise FactFileError unless there is a name, and each is a plain one."""
    if not names:
        raise FactFileError("files is empty: name at least one file")
    for name in names:
        if not is_plain_name(name):
            raise FactFileError(f"{name!r} is no name for a file: {NAME_RULE}")


def render(facts: Any) -> str:
    """JSON with sorted keys, so that equal facts are equal files."""
    return json.dumps(facts, indent=4, sort_keys=True) + "\n"


def write(module: AnsibleModule, file: Path, text: str) -> None:
    """Put `text` into `file`, which gets all of it or stays as it was, also when power fails."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(descriptor)
        module.atomic_move(temporary, str(file))
    finally:
        Path(temporary).unlink(missing_ok=True)


def make_directory(path: Path, *, only_look: bool) -> bool:
    """Create `path` and what is missing above it; returns whether anything was, or would be."""
    missing: list[Path] = []
    try:
        above = path
        while not above.exists():
            missing.insert(0, above)
            above = above.parent
        if not above.is_dir():
            raise FactFileError(f"cannot create files in {path}: {above} is not a directory. Name another directory")
        for folder in missing if not only_look else ():
            folder.mkdir()
            folder.chmod(DIRECTORY_MODE)  # whatever the umask says
    except OSError as error:
        raise FactFileError(f"cannot use or create the directory {path}: {error.strerror}") from error
    return bool(missing)


def apply(module: AnsibleModule) -> dict[str, Any]:
    """Write the files that differ and return the module's result."""
    path, files = Path(module.params["path"]), module.params["files"]
    check_names(list(files))
    created = make_directory(path, only_look=module.check_mode)
    wanted = {name: render(facts) for name, facts in files.items()}
    before = {name: read_regular(str(path / name)) for name in wanted}
    outdated = [name for name in wanted if before[name] != wanted[name].encode()]
    changed = set(outdated)
    for name in wanted:
        if module.check_mode and before[name] is None:
            continue  # there is nothing yet whose mode could differ
        if name in outdated and not module.check_mode:
            try:
                write(module, path / name, wanted[name])
            except OSError as error:
                raise FactFileError(f"cannot write {path / name}: {error.strerror}") from error
        attributes = module.load_file_common_arguments(module.params, path=str(path / name))
        if module.set_fs_attributes_if_different(attributes, False):
            changed.add(name)
    result: dict[str, Any] = {"changed": created or bool(changed), "written": sorted(changed)}
    if module._diff:
        result["diff"] = [
            {"before": (before[name] or b"").decode("utf-8", "replace"), "after": wanted[name]}
            | dict.fromkeys(("before_header", "after_header"), str(path / name))
            for name in outdated
        ]
    return result
