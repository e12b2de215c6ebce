# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Budgets worked out by hand."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_budget import Budget, budget
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_data import TuningError, read_overrides
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_facts import read_facts
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_postgres import Postgres
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_profile import select

JETSON = {"present": True, "is_jetson": True}


def of(facts: dict[str, Any], **overrides: float) -> Budget:
    machine, said = read_facts({"cores": 2} | facts), read_overrides(overrides)
    return budget(machine, select(machine, said), said)


@pytest.mark.parametrize(
    ("facts", "overrides", "wanted"),
    [
        # 384 + 5 % of 10,000 = 884; 2 % = 200.
        ({"memory_mib": 10000}, {}, Budget(884, 200, 0, 8916, 9116, 9116, 10000, 200, 1800)),
        # The host's share stops at 4,096.
        ({"memory_mib": 200000}, {}, Budget(4096, 4000, 0, 191904, 195904, 195904, 200000, 200, 1800)),
        # Kubernetes needs 384 more, and says itself what it gives out.
        (
            {"memory_mib": 10000, "environment": "kubernetes", "allocatable_mib": 9500},
            {},
            Budget(1268, 200, 0, 8532, 9500, 9500, 10000, 200, 1800),
        ),
        # 70 % of unified memory are the models'.
        ({"memory_mib": 30000, "gpu": JETSON}, {}, Budget(1884, 600, 21000, 6516, 28116, 7116, 30000, 200, 1800)),
        (
            {"memory_mib": 30000, "gpu": JETSON, "allocatable_mib": 28000},
            {},
            Budget(1884, 600, 21000, 6516, 28000, 7000, 30000, 200, 1800),
        ),
        # Fractions are lost once, to the headroom: 384 + 500.05, 200.02.
        ({"memory_mib": 10001}, {}, Budget(884, 201, 0, 8916, 9116, 9116, 10001, 200, 1800)),
        # Graphics memory took more than is usual: shares are of 91 % of what was sold.
        ({"memory_mib": 10000, "nominal_mib": 12000}, {}, Budget(884, 200, 0, 8916, 9116, 9116, 10920, 200, 1800)),
        (
            {"memory_mib": 10000, "cores": 3},
            {"k3s_reserved_memory_percent": 20, "k3s_reserved_cpu_percent": 15, "headroom_percent": 4},
            Budget(2000, 400, 0, 7600, 8000, 8000, 10000, 450, 2550),
        ),
        # Half a MiB of 100.5 and half of a thousandth of a core; no headroom at all.
        (
            {"memory_mib": 10050},
            {"k3s_reserved_memory_percent": 1},
            Budget(100, 202, 0, 9748, 9949, 9949, 10050, 200, 1800),
        ),
        (
            {"memory_mib": 10000, "cores": 1},
            {"k3s_reserved_cpu_percent": 0.05, "headroom_percent": 0},
            Budget(884, 0, 0, 9116, 9116, 9116, 10000, 1, 999),
        ),
    ],
)
def test_budget(facts: dict[str, Any], overrides: dict[str, float], wanted: Budget) -> None:
    assert of(facts, **overrides) == wanted


def test_a_unified_machine_whose_node_gives_out_less_than_the_models_take() -> None:
    assert of({"memory_mib": 30000, "gpu": JETSON, "allocatable_mib": 20000}).requests_mib == 0


def test_nothing_left_is_an_error_and_one_mebibyte_is_not() -> None:
    # 0.93 m - 384 is 1 at 414 (1.02).
    assert of({"memory_mib": 414}).hold_mib == 1
    with pytest.raises(TuningError, match=r"memory_mib 413 - host 404 - headroom 8 - inference 0 leaves nothing"):
        of({"memory_mib": 413})


def test_no_setting_of_postgres_is_less_than_one() -> None:
    settings = Postgres(cores=1, buffers_percent=Fraction(0), cache_percent=Fraction(0)).settings(10)
    assert {key: value for key, value in settings.items() if value == 1} == {
        "shared_buffers_mib": 1,
        "effective_cache_size_mib": 1,
        "work_mem_mib": 1,
        "maintenance_work_mem_mib": 1,
        "max_parallel_workers": 1,
        "max_parallel_workers_per_gather": 1,
    }


def test_work_mem_is_30_percent_of_the_limit_over_all_processes() -> None:
    postgres = Postgres(cores=33, buffers_percent=Fraction(25), cache_percent=Fraction(50))
    assert postgres.settings(100000)["max_parallel_workers"] == 24  # 24.75
    settings = postgres.settings(9728)  # 19 workers, 2 beside them and 80 connections: 28.9 less 2
    assert (settings["max_worker_processes"], settings["work_mem_mib"]) == (21, 26)
