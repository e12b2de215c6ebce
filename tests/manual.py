# SPDX-License-Identifier: GPL-3.0-or-later
"""Real manuals from Debian's packages. They are fetched, never committed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

BASH = Path("usr/share/doc/bash/bashref.pdf")
PYTHON = Path("usr/share/doc/python3.11/html")


class NoManual(Exception):
    """The manual cannot be had here; the message says why and how to get it."""


def bash_manual(folder: Path) -> Path:
    """bashref.pdf, 196 pages: installed, or unpacked below `folder`, where it is found again. Raises NoManual."""
    return _find("bash-doc", BASH, folder)


def python_pages(folder: Path) -> list[Path]:
    """Python's tutorial and how-tos, 37 pages of HTML, found as `bash_manual` is. Raises NoManual."""
    html = _find("python3.11-doc", PYTHON, folder)
    return sorted([*html.glob("tutorial/*.html"), *html.glob("howto/*.html")])


def _find(package: str, path: Path, folder: Path) -> Path:
    for place in (Path("/") / path, folder / path):
        if place.exists():
            return place
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise NoManual(f"{path.name} comes with Debian's {package}, and this machine has no {tool} to fetch it")
    folder.mkdir(parents=True, exist_ok=True)
    fetched = subprocess.run(["apt-get", "download", package], cwd=folder, capture_output=True, text=True, check=False)
    packages = sorted(folder.glob(f"{package}_*.deb"))
    if not packages:
        reason = fetched.stderr.strip()[-300:]
        raise NoManual(f"`apt-get download {package}` failed: {reason}; run `apt-get update` first")
    subprocess.run(["dpkg-deb", "-x", packages[0], folder], check=True)
    return folder / path
