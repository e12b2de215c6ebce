# SPDX-License-Identifier: GPL-3.0-or-later
"""What an inventory may say to the playbooks is in their guide."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
# An inventory's variable is one that need not be there; those of the plays' own are always set.
OPTIONAL = re.compile(r"\b(homelab_\w+|\w+_percent) (?:\| default\(|is defined)")


def test_every_variable_that_the_reading_playbooks_take_from_an_inventory_is_in_the_guide() -> None:
    playbooks = [
        ROOT / "playbooks" / name for name in ("hardware_audit.yml", "plan.yml", "report.yml", "tasks/size.yml")
    ]
    read = {name for path in playbooks for name in OPTIONAL.findall(path.read_text(encoding="utf-8"))}
    guide = (ROOT / "docs" / "guide" / "fleet.md").read_text(encoding="utf-8")
    assert len(read) > 8
    assert {name for name in read if f"`{name}`" not in guide} == set()
