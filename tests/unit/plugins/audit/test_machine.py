# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.homelab.ai.plugins.module_utils._hostfs import Host
from ansible_collections.homelab.ai.plugins.module_utils._machine import is_home_assistant_app


def test_an_app_of_home_assistant_is_known_by_its_options_or_its_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SUPERVISOR_TOKEN", "HASSIO_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    host = Host(str(tmp_path))
    assert not is_home_assistant_app(host)
    for name in ("SUPERVISOR_TOKEN", "HASSIO_TOKEN"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "not a secret")
            assert is_home_assistant_app(host)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "options.json").write_text("{}")
    assert is_home_assistant_app(host)
