# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.ai.plugins.filter.k8s_quantity import FilterModule as Writer
from ansible_collections.homelab.ai.plugins.filter.k8s_quantity import k8s_quantity
from ansible_collections.homelab.ai.plugins.filter.parse_quantity import FilterModule as Parser
from ansible_collections.homelab.ai.plugins.filter.parse_quantity import parse_quantity
from ansible_collections.homelab.ai.plugins.plugin_utils._quantity import BINARY, LARGEST, UNITS, canonical, parse
from hypothesis import example, given
from hypothesis import strategies as st

CASES: dict[str, list[dict[str, Any]]] = yaml.safe_load(Path(__file__).with_suffix(".yml").read_text(encoding="utf-8"))
UNIT = st.sampled_from(UNITS)


@pytest.mark.parametrize("case", CASES["parse"], ids=str)
def test_parse(case: dict[str, Any]) -> None:
    result = parse_quantity(case["value"], case.get("unit", ""))
    assert result == case["is"]
    assert type(result) is type(case["is"])


@pytest.mark.parametrize("case", CASES["write"], ids=str)
def test_write(case: dict[str, Any]) -> None:
    assert k8s_quantity(case["value"], case.get("unit")) == case["is"]


@pytest.mark.parametrize("case", CASES["refuse"], ids=str)
def test_parse_refuses(case: dict[str, Any]) -> None:
    with pytest.raises(AnsibleFilterError, match=r"^homelab\.ai.parse_quantity: ") as caught:
        parse_quantity(case["value"], case.get("unit", ""))
    assert case["says"] in str(caught.value)


@pytest.mark.parametrize(
    ("value", "unit", "says"),
    [
        (5, None, "5 is a number: say what it counts"),
        ("5Mi", "Mi", "'5Mi' has its unit in it"),
        (5, "Mb", "unit 'Mb' is unknown, use one of:"),
        ("5 Mi", None, "'5 Mi' is no quantity"),
        (16, "Ei", "16Ei is beyond 2**63-1"),
        (True, "Mi", "True is a bool"),
    ],
)
def test_write_refuses(value: Any, unit: Any, says: str) -> None:
    with pytest.raises(AnsibleFilterError, match=r"^homelab\.ai.k8s_quantity: ") as caught:
        k8s_quantity(value, unit)
    assert says in str(caught.value)


@given(st.integers(-(2**40), 2**40), UNIT)
def test_writing_loses_nothing_but_parts_of_a_nano(number: int, unit: str) -> None:
    exact = Fraction(parse("1", unit)) * number
    if abs(exact) > LARGEST:
        with pytest.raises(AnsibleFilterError, match="beyond"):
            k8s_quantity(number, unit)
    else:
        assert parse(k8s_quantity(number, unit)) == exact


@given(st.fractions(-(10**6), 10**6), st.booleans())
def test_canonical_is_stable_and_exact(value: Fraction, binary: bool) -> None:
    value = parse(float(value))
    text = canonical(value, binary)
    assert parse(text) == value
    assert canonical(parse(text), binary) == text


@given(st.floats(-(10**6), 10**6))
def test_what_is_finer_than_a_nano_is_rounded_away_from_zero(value: float) -> None:
    exact, rounded = Fraction(repr(value)), parse(value)
    assert abs(exact) <= abs(rounded) < abs(exact) + Fraction(1, 10**9)


@example(1000, True)
@given(st.integers(1, 2**62), st.booleans())
def test_no_larger_unit_would_do(value: int, binary: bool) -> None:
    text = canonical(Fraction(value), binary)
    digits = text.rstrip("".join(UNITS))
    binary = binary and value >= 1024  # below, the API server writes a decimal unit
    assert int(digits) % (1024 if binary else 1000) != 0 or text.endswith("E") or text.endswith("Ei")
    assert text == digits or (text[len(digits) :] in BINARY) == binary


@given(st.text(max_size=8))
def test_garbage_is_refused_or_a_number(text: str) -> None:
    try:
        parse_quantity(text)
    except AnsibleFilterError as error:
        assert repr(text) in str(error)


def test_names() -> None:
    assert Parser().filters() == {"parse_quantity": parse_quantity}
    assert Writer().filters() == {"k8s_quantity": k8s_quantity}
