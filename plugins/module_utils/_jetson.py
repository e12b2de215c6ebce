# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""NVIDIA Jetson modules, whose GPU shares the memory of the machine and of which nvidia-smi knows little or nothing."""

from __future__ import annotations

import json
import re
from typing import Any

from ansible_collections.homelab.ai.plugins.module_utils._hostfs import Host, Notes
from ansible_collections.homelab.ai.plugins.module_utils._memory import total_mib
from ansible_collections.homelab.ai.plugins.module_utils._nvidia_smi import NvidiaSmiError, parse_csv, version, why

# https://developer.nvidia.com/cuda-gpus and https://developer.nvidia.com/cuda-legacy-gpus, column "Jetson"
SOCS = {
    "tegra210": ("NVIDIA Tegra X1", "5.3"),
    "tegra186": ("NVIDIA Tegra X2", "6.2"),
    "tegra194": ("NVIDIA Xavier", "7.2"),
    "tegra234": ("NVIDIA Orin", "8.7"),
    "tegra264": ("NVIDIA Thor", "11.0"),
}


def soc_of(compatible: str) -> str | None:
    """The SoC that a device tree's `compatible` (strings that end with NUL) names, or None."""
    for word in compatible.split("\0"):
        name = word.partition(",")[2]
        if word.startswith("nvidia,") and name in SOCS:
            return name
    return None


def soc_by_name(name: str) -> str | None:
    """The SoC behind nvidia-smi's name (`Orin (nvgpu)`, `NVIDIA Thor`): containers do not see the device tree."""
    return next((soc for soc, (known, _capability) in SOCS.items() if known.split()[-1] in name.split()), None)


def parse_l4t(text: str) -> str | None:
    """Release of Jetson Linux (`36.4.3`) by the first line of /etc/nv_tegra_release, or None."""
    found = re.search(r"^# R([0-9]{1,3}) \([^)]*\), REVISION: ([0-9]{1,3}(?:\.[0-9]{1,3}){0,2})\s*(?:,|$)", text, re.M)
    return f"{found.group(1)}.{found.group(2)}" if found else None


def parse_power_modes(text: str) -> list[dict[str, Any]]:
    """The modes that /etc/nvpmodel.conf defines."""
    found = re.findall(r"^\s*<\s*POWER_MODEL\s+ID=([0-9]{1,3})\s+NAME=([\w.+-]{1,40})\s*>", text, re.MULTILINE)
    return [{"id": int(number), "name": name} for number, name in found]


def parse_power_mode(text: str) -> str | None:
    """Name of the mode by `nvpmodel -q`, which prints `NV Power Mode: MAXN` and then its number."""
    found = re.search(r"^NV Power Mode:\s*([\w.+-]{1,40})\s*$", text, re.MULTILINE)
    return found.group(1) if found else None


def parse_cuda(text: str) -> str | None:
    """Version of the toolkit by /usr/local/cuda/version.json, or None."""
    try:
        found = json.loads(text)["cuda"]["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if isinstance(found, str) and re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3}){1,2}", found) else None


def read_jetson(host: Host, notes: Notes) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The module and its GPU, or None on any other machine."""
    soc = soc_of(host.text("/proc/device-tree/compatible") or "")
    release = host.text("/etc/nv_tegra_release")
    if soc is None and release is None:
        return None
    asked = _ask_nvidia_smi(host, notes)
    soc = soc or soc_by_name(asked.get("name") or "")
    if soc is None:
        notes.warn("/etc/nv_tegra_release is here, but nothing names the chip: what its GPU can do is unknown")
    l4t = parse_l4t(release or "")
    if l4t is None:
        notes.reason("/etc/nv_tegra_release names no release of Jetson Linux: its version is unknown")
    memory = total_mib(host.text("/proc/meminfo") or "")
    if memory is None:
        notes.warn("/proc/meminfo has no MemTotal: the memory that GPU and CPU share is unknown")
    name, capability = SOCS[soc] if soc else ("NVIDIA Tegra", None)
    module = {
        "model": host.text("/proc/device-tree/model") or None,
        "soc": soc,
        "l4t": l4t,
        "sm": f"sm_{capability.replace('.', '')}" if capability else None,
        "power_mode": _power_mode(host, notes),
        "power_modes": parse_power_modes(host.text("/etc/nvpmodel.conf") or ""),
        "unified_memory_mib": memory,
    }
    device = {
        "name": name,
        "uuid": None,
        "pci_address": None,
        "memory_mib": memory,
        "compute_capability": capability,
        "driver": version(asked.get("driver_version")),
        "mig": None,
        "unified": True,
    }
    return module, device


def _ask_nvidia_smi(host: Host, notes: Notes) -> dict[str, str | None]:
    """Name and driver, which is all that nvidia-smi tells here. JetPack 5 and older have none."""
    output = host.run(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv"])
    if output is None:
        return {}
    try:
        return next(iter(parse_csv(output.stdout)), {})
    except NvidiaSmiError as error:
        notes.reason(why(error, output))
        return {}


def _power_mode(host: Host, notes: Notes) -> str | None:
    output = host.run(["nvpmodel", "-q"])
    if output is None:
        notes.reason("nvpmodel is not installed: the power mode is unknown")
        return None
    mode = parse_power_mode(output.stdout) if output.rc == 0 else None
    if mode is None:
        why = output.problem or f"ended with {output.rc} and {(output.stderr or output.stdout).strip()[:120]!r}"
        notes.warn(f"nvpmodel -q names no power mode: {why}")
    return mode
