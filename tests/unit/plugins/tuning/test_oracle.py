# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every memory limit by brute force, which takes too long for the machines of test_properties.py."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.unit.plugins.tuning.machines import OVERRIDES, PRESETS, machines, sized, tuned
from tests.unit.plugins.tuning.oracle import Oracle


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(machines(st.integers(4096, 20000)), PRESETS, OVERRIDES)
def test_the_level_is_the_largest_that_fits(facts: dict[str, Any], preset: str, overrides: dict[str, Any]) -> None:
    """Every level is tried, one after the other, and the solver's is the last that fits."""
    tuning = tuned(facts, preset, overrides)
    assume(tuning is not None)
    assert tuning is not None
    rules = Oracle(facts, preset, overrides)
    level = 0
    # Nothing is expected of how need() grows: levels are tried up from 0 in steps, and then one by one.
    for step in (256, 1):
        while level + step <= rules.base and rules.need(level + step).fits(rules.room):
            level += step
    for name, part in sized(tuning).items():
        assert part["limit"]["memory_mib"] == rules.limit(name, level), name
