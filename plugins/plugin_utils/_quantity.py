# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Kubernetes quantities (`512Mi`, `250m`, `1e3`), exact, in the canonical form of the API server.

Grammar and canonical form: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from fractions import Fraction
from typing import Union

Number = Union[int, float]

BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}  # powers of 1024
DECIMAL = {"n": -3, "u": -2, "m": -1, "": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}  # powers of 1000
UNITS = (*DECIMAL, *BINARY)
# The API server rounds away what is finer than nano and caps at what int64 holds.
FINEST = Fraction(1, 10**9)
LARGEST = 2**63 - 1
_QUANTITY = re.compile(
    r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:[eE]([+-]?[0-9]{1,3})|([KMGTPE]i|[numkMGTPE])?)", re.ASCII
)


class QuantityError(ValueError):
    """A value is no quantity; the message names it and the rule."""


def factor(unit: str) -> Fraction:
    """What one of `unit` is worth: 1024**2 for `Mi`, 1/1000 for `m`."""
    if unit in BINARY:
        return Fraction(1024 ** BINARY[unit])
    if unit in DECIMAL:
        return Fraction(1000) ** DECIMAL[unit]
    raise QuantityError(f"unit {unit!r} is unknown, use one of: {', '.join(repr(name) for name in UNITS)}")


def parse(value: str | Number, unit: str = "") -> Fraction:
    """The exact number of bytes, cores or things in `value` of `unit`; its finest part is one nano, away from zero."""
    worth = factor(unit)
    if isinstance(value, str):
        exact = _parse_text(value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        exact = _exact(value)
    else:
        raise QuantityError(f"{value!r} is a {type(value).__name__}, a quantity is a string or a number")
    rounded = _away_from_zero(exact * worth / FINEST) * FINEST
    if abs(rounded) > LARGEST:
        raise QuantityError(f"{value!r}{unit} is beyond 2**63-1, the largest quantity of Kubernetes")
    return rounded


def _parse_text(text: str) -> Fraction:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise QuantityError(
            f"{text!r} is no quantity: a decimal number and one of {', '.join(UNITS[:3] + UNITS[4:])} or an exponent"
        )
    number, exponent, unit = match.groups()
    scale = Fraction(10) ** int(exponent) if exponent is not None else factor(unit or "")
    return Fraction(Decimal(number)) * scale


def _exact(value: Number) -> Fraction:
    if not math.isfinite(value):
        raise QuantityError(f"{value!r} is not finite")
    return Fraction(Decimal(repr(value)))  # 0.1 means one tenth, not the nearest binary fraction


def plain(value: Fraction) -> Number:
    """An integer where `value` is whole, else the nearest float."""
    return value.numerator if value.denominator == 1 else float(value)


def canonical(value: Fraction, binary: bool) -> str:
    """The largest unit that needs no fraction.

    As in the API server (Quantity.CanonicalizeBytes), a binary quantity below 1024 or of a fraction of a byte is
    written with a decimal unit.
    """
    if value == 0:
        return "0"
    units = ("", *BINARY) if binary and abs(value) >= 1024 and value.denominator == 1 else (*DECIMAL,)
    # The finest unit of either list always divides: a quantity is whole nanos.
    return next(f"{value / factor(unit)}{unit}" for unit in reversed(units) if (value / factor(unit)).denominator == 1)


def is_binary(text: str) -> bool:
    """Whether a quantity's text has a binary unit."""
    return text.endswith("i")


def _away_from_zero(value: Fraction) -> int:
    return math.ceil(value) if value >= 0 else math.floor(value)
