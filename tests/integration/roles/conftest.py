# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.roles.plays import Plays


@pytest.fixture
def plays(tmp_path: Path) -> Plays:
    return Plays(tmp_path)
