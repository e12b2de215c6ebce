# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Which graphics processors a Linux machine has, and which of them can carry a model."""

from __future__ import annotations

from typing import Any

from ansible_collections.homelab.ai.plugins.module_utils._gpu_sysfs import (
    MIN_MEMORY_MIB,
    Display,
    read_device,
    read_displays,
)
from ansible_collections.homelab.ai.plugins.module_utils._hostfs import Host, Notes
from ansible_collections.homelab.ai.plugins.module_utils._jetson import parse_cuda, read_jetson
from ansible_collections.homelab.ai.plugins.module_utils._memory import nominal_mib, total_mib
from ansible_collections.homelab.ai.plugins.module_utils._nvidia_smi import (
    NvidiaSmiError,
    csv_devices,
    parse_csv,
    parse_xml,
    version,
    why,
)

# GPUs without memory of their own, for which nvidia-smi prints "N/A" (DGX Spark; Jetson modules seen from a container).
_UNIFIED = ("GB10", "Orin", "Thor")
_CSV_BASE = "name,uuid,memory.total,driver_version"  # fields that every nvidia-smi of the last ten years knows


def read_gpu(host: Host) -> tuple[dict[str, Any], Notes]:
    """Everything that the module gpu_detect returns, and what was not to be had."""
    notes = Notes()
    displays = read_displays(host, notes)
    found = read_jetson(host, notes)
    jetson, log = (
        (found[0], _read_tegra(host, found[1], notes)) if found else (None, _read_nvidia(host, displays, notes))
    )
    devices = [dict(device, vendor="nvidia") for device in log["devices"]]
    for display in displays:
        device = read_device(host, display, notes) if display.vendor != "nvidia" else None
        if device is not None:
            devices.append(dict(device, vendor=display.vendor, unified=False))
    for index, device in enumerate(devices):
        device["index"] = index
        device["usable_mib"] = _usable_mib(device, notes)
    if not devices:
        notes.reason("no NVIDIA, AMD or Intel graphics with a working driver was found")
    usable = [device for device in devices if device["usable_mib"]]
    if devices and not usable:
        notes.reason(f"no graphics device tells at least {MIN_MEMORY_MIB} MiB of memory: none counts for inference")
    primary = max(usable, key=lambda device: device["usable_mib"], default=devices[0] if devices else None)
    result: dict[str, Any] = {"has_gpu": bool(usable)}
    if primary is not None and usable:
        memory = primary["usable_mib"]
        result["gpu_name"] = primary["name"]
        result["gpu_vram_mb"] = nominal_mib(memory) if primary["unified"] else memory
    result["gpu"] = {
        "present": bool(devices),
        "vendor": primary["vendor"] if primary else None,
        "count": len(devices),
        "devices": devices,
        "driver_version": log["driver_version"],
        "cuda_version": log["cuda_version"],
        "is_jetson": jetson is not None,
        "jetson": jetson,
    }
    return result, notes


def _usable_mib(device: dict[str, Any], notes: Notes) -> int | None:
    """Memory that one program can have of a device, or None where no model fits.

    Of a GPU with MIG on, CUDA shows a program one instance only (NVIDIA MIG User Guide, CUDA Device Enumeration).
    """
    memory = device["memory_mib"]
    if device["mig"] and device["mig"]["enabled"]:
        memory = max((part["memory_mib"] or 0 for part in device["mig"]["devices"]), default=0)
        if not memory:
            notes.warn(
                f"MIG is on for {device['name']}, but it lists no instance with memory: not counted. "
                "Create one (nvidia-smi mig -cgi), or switch MIG off (nvidia-smi -mig 0)"
            )
    return memory if memory is not None and memory >= MIN_MEMORY_MIB else None


def _read_tegra(host: Host, device: dict[str, Any], notes: Notes) -> dict[str, Any]:
    cuda = parse_cuda(host.text("/usr/local/cuda/version.json") or "")
    if cuda is None:
        notes.reason("/usr/local/cuda/version.json names no version: is the CUDA toolkit installed?")
    return {"driver_version": device["driver"], "cuda_version": cuda, "devices": [device]}


def _read_nvidia(host: Host, displays: list[Display], notes: Notes) -> dict[str, Any]:
    """GPUs by nvidia-smi; none where it is missing or broken, with a note that says so."""
    addresses = [display.address for display in displays if display.vendor == "nvidia"]
    nothing: dict[str, Any] = {"driver_version": None, "cuda_version": None, "devices": []}
    output = host.run(["nvidia-smi", "-q", "-x"])
    if output is None:
        if addresses:
            notes.warn(
                f"NVIDIA graphics at PCI {', '.join(addresses)}, but nvidia-smi is not installed: not counted. "
                "Install NVIDIA's driver"
            )
        return nothing
    try:
        log = parse_xml(output.stdout)
    except NvidiaSmiError as error:
        notes.warn(why(error, output))
        log = _read_csv(host) or nothing
    else:
        if output.rc != 0:  # such as 14: the GPU works, but its serial memory is corrupted
            notes.reason(f"nvidia-smi ended with {output.rc} after it had listed {len(log['devices'])} GPUs")
    if len(addresses) > len(log["devices"]):
        notes.warn(f"NVIDIA graphics on the PCI bus: {len(addresses)}, but nvidia-smi lists {len(log['devices'])}")
    if log["devices"]:
        _add_capabilities(host, log["devices"], notes)
    for device in log["devices"]:
        _complete(host, device, notes)
    return log


def _read_csv(host: Host) -> dict[str, Any] | None:
    output = host.run(["nvidia-smi", f"--query-gpu={_CSV_BASE}", "--format=csv"])
    try:
        devices = csv_devices(parse_csv(output.stdout)) if output is not None else []
    except NvidiaSmiError:
        return None  # said already, about the XML
    driver = next((device["driver"] for device in devices), None)
    return {"driver_version": driver, "cuda_version": None, "devices": devices}


def _add_capabilities(host: Host, devices: list[dict[str, Any]], notes: Notes) -> None:
    """Compute capability is in the CSV only, and there since driver 510."""
    output = host.run(["nvidia-smi", "--query-gpu=uuid,compute_cap", "--format=csv"])
    if output is None:  # it was there a moment ago
        return
    try:
        rows = parse_csv(output.stdout)
    except NvidiaSmiError as error:
        notes.reason(f"compute capability is unknown: {why(error, output)}")
        return
    known = {row.get("uuid"): version(row.get("compute_cap")) for row in rows if row.get("uuid")}
    for device in devices:
        device["compute_capability"] = known.get(device["uuid"])
    if not all(device["compute_capability"] for device in devices):
        notes.reason("nvidia-smi does not tell the compute capability of every GPU")


def _complete(host: Host, device: dict[str, Any], notes: Notes) -> None:
    name = device["name"] or "NVIDIA GPU"
    device["name"] = name
    device["unified"] = device["memory_mib"] is None and any(word in name for word in _UNIFIED)
    if device["unified"]:
        device["memory_mib"] = total_mib(host.text("/proc/meminfo") or "")
    elif device["memory_mib"] is None:
        notes.warn(f"nvidia-smi tells no memory for {name}: it is not counted for inference")
