# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The benchmark modules through ansible-playbook, with the real tools. What is missing is skipped with its reason."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "modules"))
from module_runner import ROOT, Runner


def need(*tools: str) -> None:
    """Skip unless the tools are here."""
    packages = {"ip": "iproute2", "tc": "iproute2", "ping": "iputils-ping", "mkfs.ext4": "e2fsprogs"}
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        wanted = " ".join(sorted({packages.get(tool, tool) for tool in missing}))
        pytest.skip(f"{', '.join(missing)} not installed: apt-get install -y {wanted}")


def validate(name: str, document: Any) -> None:
    schema = json.loads((ROOT / "plugins" / "plugin_utils" / "data" / f"{name}.schema.json").read_text())
    jsonschema.validate(document, schema)


@pytest.fixture(scope="session")
def runner() -> Iterator[Runner]:
    folder = Path(tempfile.mkdtemp(prefix="homelab-audit-", dir="/var/tmp"))  # /tmp may be memory
    link = folder / "collections" / "ansible_collections" / "homelab" / "ai"
    link.parent.mkdir(parents=True)
    link.symlink_to(ROOT)
    yield Runner(folder)
    shutil.rmtree(folder)
