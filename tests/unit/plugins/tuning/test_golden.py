# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kept results, and what the specification and the design say of these machines by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning import tune

from tests.unit.plugins.tuning import golden, picture

DOCS = Path(__file__).resolve().parents[4] / "docs" / "tuning.md"


def tuning(name: str) -> dict[str, Any]:
    found: dict[str, Any] = golden.result(name)["tuning"]
    return found


@pytest.mark.parametrize("name", golden.MACHINES)
def test_result_is_the_one_that_was_reviewed(name: str) -> None:
    assert golden.result(name) == json.loads(golden.path(name).read_text(encoding="utf-8"))


def test_no_file_is_left_over() -> None:
    assert {file.stem for file in golden.FOLDER.iterdir()} == set(golden.MACHINES)


def test_a_rancher_desktop_vm_carries_core_and_says_why_not_full() -> None:
    assert tuning("rancher-desktop-6gb-core")["profile"] == "low_memory+cpu_optimized"
    error = golden.result("rancher-desktop-6gb-full")["error"]
    assert "physical 5920 - host 1064 - headroom 119 = 4737 MiB" in error
    assert "= 9716 MiB, 4979 MiB too much" in error
    assert "openobserve (frees 512)" in error and "extract_engine: text" in error and "preset core" in error


def test_a_32_gb_desktop_has_two_doclings_and_postgres_at_two_fifths() -> None:
    desktop = tuning("desktop-32gb")
    assert desktop["profile"] == "default+cpu_optimized"
    assert desktop["components"]["extract"]["replicas"]["max"] >= 2
    assert abs(desktop["components"]["postgres"]["limit"]["memory_mib"] / 1024 - 12.8) <= 1.28


def test_a_jetson_keeps_seven_tenths_for_models() -> None:
    for name, memory in (("jetson-orin-32gb", 30697), ("jetson-orin-64gb", 62800)):
        assert tuning(name)["inference"] == {"accelerator": "unified", "budget_mib": memory * 7 // 10}


def test_an_ha_yellow_with_4_gb_is_refused_and_its_emmc_is_named() -> None:
    assert "preset core does not fit" in golden.result("ha-yellow-4gb")["error"]
    assert any("emmc" in line for line in tuning("ha-yellow-8gb")["warnings"])


def test_a_second_disk_takes_objects_and_backups() -> None:
    components = tuning("workstation-128gb-gpu")["components"]
    assert (components["garage-hdd"]["storage_gib"], components["backups"]["storage_gib"]) == (4000, 4000)


@pytest.mark.parametrize("name", golden.MACHINES)
def test_users_read_the_same_of_each_machine(name: str) -> None:
    found = golden.result(name)
    (line,) = (line for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {name} |"))
    if "error" in found:
        assert line.split(" | ")[-1].removesuffix(" |").removeprefix("refused: ") in found["error"]
        return
    sizes = found["tuning"]
    postgres, extract = (sizes["components"][component] for component in ("postgres", "extract"))
    outcome = "; ".join([sizes["profile"], *sizes["warnings"][:1]])
    cells = [found["preset"], f"{postgres['limit']['memory_mib']} MiB", str(extract["replicas"]["max"]), outcome]
    assert line == f"| {name} | {' | '.join(cells)} |"


def test_the_picture_shows_the_same_machines() -> None:
    assert picture.FILE.read_text(encoding="utf-8") == picture.svg()


@pytest.mark.parametrize("name", [name for name in golden.MACHINES if "tuning" in golden.result(name)])
def test_the_picture_leaves_no_component_out(name: str) -> None:
    facts, preset, overrides = golden.MACHINES[name]
    drawn = picture.pieces(tune(facts, preset, overrides))
    assert sum(drawn.values()) == tuning(name)["basis"]["nominal_mib"]
