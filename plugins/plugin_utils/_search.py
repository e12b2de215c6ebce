# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Binary search."""

from __future__ import annotations

from collections.abc import Callable


def highest(most: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to `most` that fits, where 0 does and every number below one that fits does."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low
