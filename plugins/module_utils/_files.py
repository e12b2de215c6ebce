# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Small files that a module keeps: under plain names, regular, and read without following links."""

from __future__ import annotations

import os
import re
import stat

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
NAME_RULE = "use letters, digits, '.', '_', '-', a letter or digit first"


class UnusableFileError(Exception):
    """What is in a file's place is not to be read or replaced; the text is meant for the user."""


def is_plain_name(name: str) -> bool:
    """Whether `name` follows NAME_RULE, and so is in the directory that it is looked up in."""
    return _NAME.fullmatch(name) is not None


def read_regular(path: str) -> bytes | None:
    """What the file holds, or None when there is none. Raises UnusableFileError."""
    try:
        # Looked at before it is opened (a device may act on that) and again after it, when it cannot be exchanged.
        _check(path, os.lstat(path).st_mode)
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            _check(path, os.fstat(descriptor).st_mode)
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnusableFileError(f"cannot read {path}: {error.strerror}") from error


def _check(path: str, mode: int) -> None:
    if stat.S_ISLNK(mode):
        raise UnusableFileError(f"{path} is a symbolic link: replace it with a regular file, or move it away")
    if not stat.S_ISREG(mode):
        raise UnusableFileError(f"{path} is no regular file: move it away")
