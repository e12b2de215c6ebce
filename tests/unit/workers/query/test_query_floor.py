# SPDX-License-Identifier: GPL-3.0-or-later
"""The floor's bounds come from the environment where another embedding model wants other ones."""

from __future__ import annotations

import pytest

from homelab_workers.query.floor import Floor
from homelab_workers.runtime.query import floor
from homelab_workers.runtime.settings import Environment, SettingsError


def test_without_settings_the_fitted_bounds_hold() -> None:
    assert floor(Environment({"UNRELATED": "1"})) == Floor()


def test_each_bound_can_be_set() -> None:
    values = {"FLOOR_COSINE": "0.5", "FLOOR_COVERAGE": "0", "FLOOR_LEXICAL": "1"}
    assert floor(Environment(values)) == Floor(cosine=0.5, coverage=0.0, lexical=1.0)


@pytest.mark.parametrize("value", ["a", "-0.1", "1.1", "nan", "inf"])
def test_a_bound_outside_its_range_is_refused_by_name(value: str) -> None:
    with pytest.raises(SettingsError, match=f"FLOOR_COSINE is .*{value}.* 0 to 1"):
        floor(Environment({"FLOOR_COSINE": value}))
