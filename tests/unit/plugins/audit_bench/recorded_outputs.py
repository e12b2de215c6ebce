# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What tools have really printed. The first line of each file says where it comes from."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "recorded"


def recorded(name: str) -> str:
    source, _newline, text = (FOLDER / name).read_text().partition("\n")
    assert source.startswith("# source: ") and len(source) > 20, f"{name} does not say where it comes from"
    return text
