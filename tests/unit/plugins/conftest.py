# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes this checkout importable as the collection `homelab.ai`, wherever it lies."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from pathlib import Path

from hypothesis import settings

ROOT = Path(__file__).resolve().parents[3]


def pytest_configure() -> None:
    if ROOT.parts[-3:] == ("ansible_collections", "homelab", "ai"):
        sys.path.insert(0, str(ROOT.parents[2]))
    elif importlib.util.find_spec("ansible_collections") is None:
        link = Path(tempfile.mkdtemp(prefix="homelab-collections-")) / "ansible_collections" / "homelab" / "ai"
        link.parent.mkdir(parents=True)
        link.symlink_to(ROOT)
        sys.path.insert(0, str(link.parents[2]))


# How long an example takes depends on what else the machine does.
settings.register_profile("homelab", deadline=None)
settings.load_profile("homelab")

pytest_configure()  # test modules import the collection while they are collected
