# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Memory of a machine: what the kernel manages, and the size under which it was sold."""

from __future__ import annotations

import re

_GIB = 1024  # MiB
# One, three, five or nine equal modules. A quarter of a GiB is the smallest board that Linux still runs on in earnest.
_MODULES = (1, 3, 5, 9)
_SMALLEST_MIB = 256
# What kernel, firmware and graphics keep for themselves. Seen: Jetson AGX Orin 29.9 of 32 GiB (6.5 %) and 61.3 of
# 64 GiB, DGX Spark 121.7 of 128 GiB, Raspberry Pi 4 3.7 of 4 GiB, desktops 31.1 of 32 GiB.
_LOSS_SHARE = 0.07
_LOSS_MIB = _GIB


def total_mib(meminfo: str) -> int | None:
    """MemTotal of /proc/meminfo in MiB, rounded down, or None when there is none."""
    found = re.search(r"^MemTotal:\s*([0-9]{1,18})\s*kB\s*$", meminfo, re.MULTILINE)
    return int(found.group(1)) // 1024 if found and int(found.group(1)) >= 1024 else None


def nominal_mib(total: int) -> int:
    """The size in MiB that `total` MiB were sold as: 31.1 GiB are a 32 GB machine.

    Sizes are those of equal modules. A virtual machine can have any: where no such size is near enough, it is the next
    whole GiB. Never below `total`, and never less for more.
    """
    sold = min(_next_size(total, count) for count in _MODULES)
    if sold - total <= max(_LOSS_MIB, _LOSS_SHARE * sold):
        return sold
    return -(-total // _GIB) * _GIB


def _next_size(total: int, count: int) -> int:
    size = count * _SMALLEST_MIB
    while size < total:
        size *= 2
    return size
