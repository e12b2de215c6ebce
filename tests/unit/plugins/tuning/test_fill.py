# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fill by hand: two burst components and one that shares, on budgets whose last MiB and thousandth decide."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from ansible_collections.homelab.ai.plugins.plugin_utils._search import highest
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_budget import Budget
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_data import TuningError
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_fill import Fill, fill
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_rows import Row

HALF = Fraction(50)
EXTRACT = Row("extract", 1000, HALF, 300, burst=True, max_replicas=3)
GRAPH = Row("graph", 400, HALF, 100, burst=True, max_replicas=2)
SHARE = Row("nats", 100, HALF, 50, percent=Fraction(10), ceiling_mib=900, cpu_percent=Fraction(10))
ROWS = [SHARE, GRAPH, EXTRACT]
ENOUGH = {"hold_mib": 4600, "requests_mib": 2300}


def budget(**changes: int) -> Budget:
    """8,000 MiB and 4 cores, of which everything at its most takes 800 + 3,000 + 800 and 400 + 900 + 200."""
    sizes = {"hold_mib": 8000, "requests_mib": 8000, "base_mib": 8000, "requests_m": 4000}
    rest = {"reserved_mib": 0, "headroom_mib": 0, "inference_mib": 0, "allocatable_mib": 8000, "reserved_m": 0}
    return Budget(**(sizes | rest | changes))


def filled(**changes: int) -> Fill:
    return fill(ROWS, budget(**changes), 4, "core")


def test_all_is_given_where_all_fits() -> None:
    result = filled(hold_mib=4600, requests_mib=2300, requests_m=1500)
    assert result == Fill(
        level_mib=8000,
        level_m=4000,
        replicas={"graph": 2, "extract": 3},
        level_short=(),
        waiting=None,
        short={},
        left_hold_mib=0,
        left_requests_mib=0,
    )


@pytest.mark.parametrize(
    ("changes", "replicas", "waiting", "short"),
    [
        # In the order extract, graph, extract.
        ({"hold_mib": 4599}, {"graph": 2, "extract": 2}, "extract", {"extract": ("hold",)}),
        ({"requests_mib": 2299}, {"graph": 2, "extract": 2}, "extract", {"extract": ("requests",)}),
        ({"hold_mib": 3599}, {"graph": 1, "extract": 2}, "graph", {"extract": ("hold",), "graph": ("hold",)}),
        # graph would fit, but what is left is kept for the replica that comes first.
        ({"hold_mib": 3199}, {"graph": 1, "extract": 1}, "extract", {"extract": ("hold",), "graph": ("hold",)}),
        # Processors would end extract's third replica, but it is memory that ends its second.
        (
            {"hold_mib": 3199, "requests_m": 1499},
            {"graph": 1, "extract": 1},
            "extract",
            {"extract": ("hold",), "graph": ("hold",)},
        ),
        (
            {"hold_mib": 4599, "requests_mib": 2299},
            {"graph": 2, "extract": 2},
            "extract",
            {"extract": ("hold", "requests")},
        ),
    ],
)
def test_the_first_step_without_memory_ends_the_fill(
    changes: dict[str, int], replicas: dict[str, int], waiting: str, short: dict[str, Any]
) -> None:
    result = filled(**changes)
    assert (result.replicas, result.waiting, result.short) == (replicas, waiting, short)
    assert (result.level_mib, result.level_short) == (8000, ())


@pytest.mark.parametrize(
    ("changes", "replicas", "short"),
    [
        # Processors end extract's third replica, and later graph's second but not what fits beside it.
        ({"requests_m": 1499}, {"graph": 2, "extract": 2}, {"extract": ("cpu",)}),
        ({"requests_m": 1199}, {"graph": 1, "extract": 2}, {"extract": ("cpu",), "graph": ("cpu",)}),
        ({"requests_m": 1099}, {"graph": 2, "extract": 1}, {"extract": ("cpu",)}),
        # With more processors there would be too little memory as well, or just enough.
        ({"requests_m": 1499, "hold_mib": 4599}, {"graph": 2, "extract": 2}, {"extract": ("hold", "cpu")}),
        ({"requests_m": 1499, "requests_mib": 2299}, {"graph": 2, "extract": 2}, {"extract": ("requests", "cpu")}),
        (
            {"requests_m": 1499, "hold_mib": 4600, "requests_mib": 2300},
            {"graph": 2, "extract": 2},
            {"extract": ("cpu",)},
        ),
        (
            {"requests_m": 1099, "hold_mib": 4600, "requests_mib": 2300},
            {"graph": 2, "extract": 1},
            {"extract": ("cpu",)},
        ),
        ({"requests_m": 1099, "hold_mib": 4599}, {"graph": 2, "extract": 1}, {"extract": ("hold", "cpu")}),
    ],
)
def test_processors_end_the_replicas_of_one_component(
    changes: dict[str, int], replicas: dict[str, int], short: dict[str, Any]
) -> None:
    result = filled(**changes)
    assert (result.replicas, result.waiting, result.short) == (replicas, None, short)


def test_shares_rise_together_to_the_last_level_that_fits() -> None:
    result = filled(hold_mib=1900)  # 1,400 for the first replicas, 500 for the share
    assert (result.level_mib, result.level_short, result.left_hold_mib) == (5009, ("hold",), 0)
    result = filled(requests_mib=950)
    assert (result.level_mib, result.level_short, result.left_requests_mib) == (5009, ("requests",), 0)
    assert result.replicas == {"graph": 1, "extract": 1}


def test_what_ends_the_shares_is_what_the_next_mebibyte_lacks() -> None:
    share = Row("nats", 100, HALF, 50, percent=Fraction(100))
    result = fill([share], budget(hold_mib=501, requests_mib=251), 4, "core")  # 502 need 251 requested, 503 need 252
    assert (result.level_mib, result.level_short) == (501, ("hold",))


def test_shares_at_their_targets_lack_nothing_though_no_more_is_there() -> None:
    result = filled(base_mib=8009, hold_mib=2200)
    assert (result.level_mib, result.level_short, result.left_hold_mib) == (8009, (), 0)


def test_a_row_takes_no_share_unless_it_says_so() -> None:
    row = Row("query", 10, HALF, 5)
    assert (row.limit_mib(8000), row.cpu_m(4000), row.max_replicas) == (10, 5, 1)


def test_processor_shares_rise_together_to_the_last_level_that_fits() -> None:
    assert filled(requests_m=700).level_m == 3009


def test_floors_that_fit_exactly_are_enough() -> None:
    assert filled(hold_mib=1500, requests_mib=750, requests_m=450).level_mib == 1009
    with pytest.raises(TuningError, match=r"nats 100 \+ graph 400 \+ extract 1000 = 1500 MiB, 1 MiB too much"):
        filled(hold_mib=1499)
    with pytest.raises(TuningError, match=r"allocatable for requests 749 MiB, .* = 750 MiB, 1 MiB too much"):
        filled(requests_mib=749)
    with pytest.raises(TuningError, match=r"449 m, but .* nats 50 \+ graph 100 \+ extract 300 = 450 m"):
        filled(requests_m=449)


def test_without_burst_components_there_is_nothing_to_repeat() -> None:
    result = fill([SHARE], budget(), 4, "core")
    assert (result.replicas, result.short, result.left_hold_mib) == ({}, {}, 7200)


@pytest.mark.parametrize("most", [0, 1, 2, 7, 100])
def test_highest(most: int) -> None:
    for limit in range(most + 2):
        tried: list[int] = []
        assert highest(most, lambda value, last=limit, seen=tried: not seen.append(value) and value <= last) == min(
            most, limit
        )
        assert len(tried) <= most.bit_length()
