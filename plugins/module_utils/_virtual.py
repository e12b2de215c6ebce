# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Whether a machine is virtual or a container, by files that its own user cannot easily change."""

from __future__ import annotations

import re

from ansible_collections.homelab.ai.plugins.module_utils._hostfs import Host

# Words of the firmware tables (DMI), and of the clock that a hypervisor offers. First match wins.
_FIRMWARE = (
    ("vmware", "vmware"),
    ("virtualbox", "virtualbox"),
    ("innotek", "virtualbox"),
    ("virtual machine", "hyper-v"),
    ("parallels", "parallels"),
    ("bhyve", "bhyve"),
    ("xen", "xen"),
    ("apple virtualization", "apple"),
    ("kvm", "kvm"),
    ("qemu", "kvm"),
)
# Clouds rent out bare metal under the same names, so there must be a flag too (x86 only).
_CLOUDS = (("google compute engine", "kvm"), ("amazon ec2", "kvm"))
_CLOCKS = (("kvm-clock", "kvm"), ("hyperv", "hyper-v"), ("xen", "xen"))
_CLOCKSOURCES = "/sys/devices/system/clocksource/clocksource0/available_clocksource"
_GROUPS = (("kubepods", "kubernetes"), ("docker", "docker"), ("libpod", "podman"), ("lxc", "lxc"))


def hypervisor(host: Host, flags: list[str]) -> str | None:
    """Name of the hypervisor, `unknown` where there is one without a name, None on bare metal."""
    firmware = " ".join(host.text(f"/sys/class/dmi/id/{name}") or "" for name in ("sys_vendor", "product_name")).lower()
    clocks = (host.text(_CLOCKSOURCES) or "").lower()
    # Firmware first: VirtualBox offers KVM's clock to Linux guests.
    for words, text in ((_FIRMWARE, firmware), (_CLOCKS, clocks)):
        for word, name in words:
            if word in text:
                return name
    if host.text("/sys/hypervisor/type"):
        return host.text("/sys/hypervisor/type")
    tree = host.text("/proc/device-tree/hypervisor/compatible") or ""
    if tree:
        return "xen" if "xen" in tree else "kvm" if "kvm" in tree else "unknown"
    for word, name in _CLOUDS if "hypervisor" in flags else ():
        if word in firmware:
            return name
    return "unknown" if "hypervisor" in flags else None


def container(host: Host) -> str | None:
    """Kind of the container that the process is in, None outside of one."""
    named = host.text("/run/systemd/container")
    if not named:
        found = re.search(r"(?:^|\0)container=([a-z-]+)", host.text("/proc/1/environ") or "")  # readable by root only
        named = found.group(1) if found else None
    if named:
        return named
    groups = host.text("/proc/1/cgroup") or ""
    for word, name in _GROUPS:
        if re.search(rf"[/:]{word}", groups):
            return name
    if host.exists("/run/.containerenv"):
        return "podman"
    return "docker" if host.exists("/.dockerenv") else None
