# SPDX-License-Identifier: GPL-3.0-or-later
"""Guides name everything that users can call or set."""

from __future__ import annotations

import re

from tests.run.stage import ROOT

GUIDES = ROOT / "docs" / "guide"
# Set by a playbook for itself, and whatever a role has as an option.
OWN = re.compile(r"^ +(homelab_\w+):|register: (homelab_\w+)|set (\w+) =", re.MULTILINE)


def test_modules_and_filters_are_in_their_guide() -> None:
    guide = (GUIDES / "modules.md").read_text()
    kinds = [ROOT / "plugins" / kind for kind in ("modules", "filter")]
    names = [path.stem for folder in kinds for path in folder.glob("[a-z]*.py")]
    assert len(names) > 15
    assert [name for name in names if f"`{name}`" not in guide] == []


def test_variables_of_playbooks_are_in_their_guide() -> None:
    guide = (GUIDES / "machines.md").read_text()
    text = "".join(path.read_text() for path in (ROOT / "playbooks").rglob("*.yml"))
    own = {name for found in OWN.findall(text) for name in found} - {"homelab_tuning"}
    read = set(re.findall(r"\bhomelab_\w+", text)) - own
    assert len(read) > 8
    assert [name for name in sorted(read) if f"`{name}`" not in guide] == []
