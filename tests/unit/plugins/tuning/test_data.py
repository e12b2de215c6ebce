# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The data file keeps its own rules."""

from __future__ import annotations

import math

import pytest
import yaml
from ansible_collections.homelab.ai.plugins.filter import llama_plan, tuning_profile
from ansible_collections.homelab.ai.plugins.plugin_utils._llama_plan import KV_TYPES
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_facts import FACTS, GPU, STORAGE, nominal_mib
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_models import bundled, needed_mib

from tests.unit.plugins.tuning.machines import DATA

ROWS = {**DATA["components"], **{f"engine {name}": row for name, row in DATA["engines"].items()}}


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if "floor_mib" in row])
def test_a_floor_is_its_measurement_times_1_3_or_says_where_it_is_from(name: str) -> None:
    row = ROWS[name]
    if row["measured"] is None:
        assert row["derived_from"]
        return
    assert set(row["measured"]) == {"peak_mib", "on", "how"}
    wanted = math.ceil(row["measured"]["peak_mib"] * 1.3)
    if name == "chat":  # its settings bound it, so that the bound is what a part is added to
        settings = DATA["settings"][name]
        bound = needed_mib(name, bundled(name, settings), settings)
        assert row["derived_from"] and row["measured"]["peak_mib"] < row["floor_mib"] == math.ceil(bound * 1.15)
    elif "derived_from" in row:  # why it is more than what the bench needed
        assert row["floor_mib"] > wanted
    else:
        assert row["floor_mib"] == wanted


def test_core_is_a_part_of_full_and_both_name_components() -> None:
    core, full = (DATA["presets"][name]["components"] for name in ("core", "full"))
    assert set(core) < set(full) == set(DATA["components"])
    assert DATA["burst_order"] == [name for name, row in DATA["components"].items() if row.get("burst")]


def test_documented_options_are_those_that_are_read() -> None:
    options = yaml.safe_load(tuning_profile.DOCUMENTATION)["options"]
    facts = options["_input"]["suboptions"]
    assert tuple(facts) == FACTS
    assert tuple(facts["gpu"]["suboptions"]) == GPU
    assert tuple(facts["storage"]["suboptions"]) == STORAGE
    assert facts["storage"]["suboptions"]["total_gib"]["default"] == DATA["storage"]["default_gib"]
    assert options["preset"]["choices"] == list(DATA["presets"])
    assert yaml.safe_load(llama_plan.DOCUMENTATION)["options"]["kv_type"]["choices"] == list(KV_TYPES)


@pytest.mark.parametrize(
    ("memory", "nominal"),
    [
        (7800, 8192),
        (31950, 32768),
        (62800, 65536),
        (3790, 4096),
        (5920, 6144),
        (128600, 131072),
        (24105, 24576),
        (8192, 8192),
        (8193, 8193),
        (7455, 8192),  # 91 % of 8,192 is 7,454.7
        (7454, 7454),
        (3000000, 3000000),
    ],
)
def test_nominal_memory_is_a_size_that_is_sold(memory: int, nominal: int) -> None:
    assert nominal_mib(memory) == nominal
