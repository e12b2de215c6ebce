# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Graphics devices on the PCI bus, and what AMD's and Intel's kernel drivers tell of theirs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ansible_collections.homelab.ai.plugins.module_utils._hostfs import Host, Notes

# Below that not even a small model and its cache fit; the usual share that integrated graphics reserve is 0.5 GiB.
MIN_MEMORY_MIB = 2048
# What graphics may borrow is half of the memory by default: 15652 MiB in a machine of 32 GiB, which has some to give.
_MUCH_BORROWED_MIB = 12 << 10
_DEVICES = "/sys/bus/pci/devices"
_VENDORS = {0x10DE: "nvidia", 0x1002: "amd", 0x8086: "intel"}  # others (BMC, virtual screens) only show pictures
_LABELS = {"amd": "AMD", "intel": "Intel"}
_FOR_GUESTS = frozenset(["vfio-pci", "pci-stub", "pciback", "xen-pciback"])  # hold a device back for virtual machines
_DISPLAY = 0x03  # PCI base class: VGA, 3D and other display controllers


@dataclass(frozen=True)
class Display:
    """A display controller on the PCI bus. `driver` is the kernel's, None where none has taken it."""

    address: str
    vendor: str
    ids: str
    driver: str | None


def read_displays(host: Host, notes: Notes) -> list[Display]:
    """Those of this machine itself; what is passed through to a virtual machine is only noted."""
    found = []
    for address in host.names(_DEVICES, r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]"):
        vendor, device, kind = (_hex(host, f"{_DEVICES}/{address}/{name}") for name in ("vendor", "device", "class"))
        if kind >> 16 == _DISPLAY and vendor in _VENDORS:
            driver = re.search(r"^DRIVER=([\w-]+)$", host.text(f"{_DEVICES}/{address}/uevent") or "", re.MULTILINE)
            ids = f"{vendor:04x}:{max(device, 0):04x}"
            display = Display(address, _VENDORS[vendor], ids, driver.group(1) if driver else None)
            if display.driver in _FOR_GUESTS:
                notes.reason(
                    f"{display.vendor} graphics at PCI {address} is held for virtual machines by {display.driver}: "
                    "not counted"
                )
            else:
                found.append(display)
    return sorted(found, key=lambda display: display.address)


def _hex(host: Host, path: str) -> int:
    text = host.text(path) or ""
    return int(text, 16) if re.fullmatch(r"0x[0-9a-fA-F]{1,8}", text) else -1


def read_device(host: Host, display: Display, notes: Notes) -> dict[str, Any] | None:
    """An AMD or Intel device, or None where no driver has taken it."""
    if display.driver is None:
        notes.reason(f"{display.vendor} graphics at PCI {display.address} has no kernel driver: not counted")
        return None
    where = f"{_DEVICES}/{display.address}"
    memory = _memory_mib(host, where)
    if memory is None:
        notes.reason(
            f"kernel driver {display.driver} tells no memory of its own for {display.vendor} graphics at PCI "
            f"{display.address}: integrated graphics, or not told"
        )
    borrowed = (host.number(f"{where}/mem_info_gtt_total") or 0) >> 20
    if memory is not None and memory < MIN_MEMORY_MIB and borrowed >= _MUCH_BORROWED_MIB:
        notes.reason(
            f"{display.vendor} graphics at PCI {display.address} has {memory} MiB of its own; the {borrowed} MiB that "
            "it may borrow (GTT) do not count. Integrated graphics get more of their own in the firmware's setup, as "
            "UMA frame buffer size"
        )
    unique = host.text(f"{where}/unique_id") or ""
    return {
        "name": host.text(f"{where}/product_name") or f"{_LABELS[display.vendor]} {display.ids}",
        "uuid": unique if re.fullmatch(r"[0-9a-f]{1,32}", unique) else None,
        "pci_address": display.address,
        "memory_mib": memory,
        "compute_capability": None,
        "driver": display.driver,
        "mig": None,
    }


def _memory_mib(host: Host, where: str) -> int | None:
    """Memory of the device alone: amdgpu's file, or xe's, which has one for each tile."""
    size = host.number(f"{where}/mem_info_vram_total")
    if size is None:
        tiles = host.names(where, r"tile[0-9]+")
        size = sum(host.number(f"{where}/{tile}/physical_vram_size_bytes") or 0 for tile in tiles)
    return size >> 20 if size >= 1 << 20 else None
