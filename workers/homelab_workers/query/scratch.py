# SPDX-License-Identifier: Apache-2.0
"""Temporary files that outlive the block that makes them, in the service's own work folder."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import IO


def new_file(work_dir: Path, prefix: str) -> Path:
    """An empty file, mode 0600; the caller discards it."""
    descriptor, name = tempfile.mkstemp(dir=work_dir, prefix=prefix)
    os.close(descriptor)
    return Path(name)


def discard(path: Path) -> None:
    path.unlink(missing_ok=True)


def open_file(path: Path) -> IO[bytes]:
    return path.open("wb")
