# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a real Garage is. It has no package: it is built once, or unpacked from the cache beside the project."""

from __future__ import annotations

import hashlib
import lzma
import os
import shutil
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[2] / "shared" / "tools"


class NoGarage(Exception):
    """There is none here; the message says how to get it."""


def garage_binary(folder: Path) -> Path:
    """The binary that HOMELAB_GARAGE names, that PATH has, or that lies packed in the cache, unpacked into `folder`.

    Raises NoGarage.
    """
    named = os.environ.get("HOMELAB_GARAGE") or shutil.which("garage")
    if named:
        return Path(named)
    packed = TOOLS / "bin" / "garage.xz"
    if not packed.exists():
        raise NoGarage(
            "NOT RUN: garage, get it with 'cargo install garage --locked', which puts it on PATH, or name it in "
            f"HOMELAB_GARAGE; it is not in {TOOLS} either"
        )
    content = lzma.decompress(packed.read_bytes())
    if hashlib.sha256(content).hexdigest() not in (TOOLS / "MANIFEST.txt").read_text():
        raise NoGarage(f"NOT RUN: {packed} is not as MANIFEST.txt lists it")
    binary = folder / "garage"
    binary.write_bytes(content)
    binary.chmod(0o755)
    return binary
