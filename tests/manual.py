# SPDX-License-Identifier: GPL-3.0-or-later
"""A real manual of 196 pages: bashref.pdf of Debian's package bash-doc. It is fetched, never committed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

INSTALLED = Path("/usr/share/doc/bash/bashref.pdf")


class NoManual(Exception):
    """The manual cannot be had here; the message says why and how to get it."""


def bash_manual(folder: Path) -> Path:
    """bashref.pdf: the installed one, or unpacked below `folder`, where it is found again. Raises NoManual."""
    pdf = folder / "usr/share/doc/bash/bashref.pdf"
    for place in (INSTALLED, pdf):
        if place.is_file():
            return place
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise NoManual(f"bashref.pdf comes with Debian's bash-doc, and this machine has no {tool} to fetch it")
    folder.mkdir(parents=True, exist_ok=True)
    fetched = subprocess.run(
        ["apt-get", "download", "bash-doc"], cwd=folder, capture_output=True, text=True, check=False
    )
    packages = sorted(folder.glob("bash-doc_*.deb"))
    if not packages:
        reason = fetched.stderr.strip()[-300:]
        raise NoManual(f"`apt-get download bash-doc` failed: {reason}; run `apt-get update` first")
    subprocess.run(["dpkg-deb", "-x", packages[0], folder], check=True)
    return pdf
