# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""What the processor of a Linux machine is and can do, by /proc and /sys."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.homelab.ai.plugins.module_utils._cgroup import cpu_set, read_limits
from ansible_collections.homelab.ai.plugins.module_utils._cpu_parts import PARTS, VENDORS
from ansible_collections.homelab.ai.plugins.module_utils._ggml import best_variant
from ansible_collections.homelab.ai.plugins.module_utils._hostfs import Host, Notes
from ansible_collections.homelab.ai.plugins.module_utils._memory import nominal_mib, total_mib
from ansible_collections.homelab.ai.plugins.module_utils._virtual import container, hypervisor

# The kernel's flags behind each answer; one of them is enough. arm64 calls NEON "asimd", 32-bit Arm "neon".
CAPABILITIES = {
    "has_avx": ("avx",),
    "has_avx2": ("avx2",),
    "has_avx512": ("avx512f",),
    "has_avx_vnni": ("avx_vnni",),
    "has_avx512_vnni": ("avx512_vnni",),
    "has_fma": ("fma",),
    "has_f16c": ("f16c",),
    "has_amx": ("amx_tile",),
    "has_neon": ("neon", "asimd"),
    "has_dotprod": ("asimddp",),
    "has_fp16": ("asimdhp",),
    "has_i8mm": ("i8mm",),
    "has_sve": ("sve",),
    "has_sve2": ("sve2",),
    "has_sme": ("sme",),
}
# In Appendix D of the specification and its section 4.2, so they stand at top level too.
TOP_LEVEL = ("flags", "has_avx", "has_avx2", "has_avx512", "has_neon")

_CPU = "/sys/devices/system/cpu"
_CACHE_TYPES = {"Data": "data", "Instruction": "instruction", "Unified": "unified"}


def parse_cpuinfo(text: str) -> dict[str, Any]:
    """/proc/cpuinfo: model, vendor, flags that every processor has, processors, and sockets and cores as far as told.

    Processors of one machine can differ (big.LITTLE), and a program can run on any of them: only shared flags count.
    """
    processors: list[dict[str, str]] = []
    shared: dict[str, str] = {}  # x86 repeats everything; older Arm kernels say features once, after the processors
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if not colon:
            continue
        key, value = key.strip().lower(), value.strip()
        if key == "processor" and value.isdecimal():
            processors.append({})
        (processors[-1] if processors else shared).setdefault(key, value)
    models = list(dict.fromkeys(filter(None, (_model(processor) for processor in processors or [shared]))))
    everywhere = [item for item in [*processors, shared] if item]
    vendors = [item.get("vendor_id") or VENDORS.get(_hex(item.get("cpu implementer"))) for item in everywhere]
    places = {(item["physical id"], item["core id"]) for item in processors if {"physical id", "core id"} <= set(item)}
    return {
        "model": " + ".join(models) or None,
        "vendor": next(filter(None, vendors), None),
        "flags": _shared_flags(everywhere),
        "threads": len(processors) or None,
        "cores": len(places) or None,
        "sockets": len({socket for socket, _core in places}) or None,
    }


def _shared_flags(processors: list[dict[str, str]]) -> list[str]:
    listed = [value.split() for item in processors for key, value in item.items() if key in ("flags", "features")]
    common = set(listed[0]).intersection(*listed[1:]) if listed else set()
    return [flag for flag in dict.fromkeys(listed[0]) if flag in common] if listed else []


def _hex(text: str | None) -> int:
    return int(text, 16) if text and re.fullmatch(r"0x[0-9a-fA-F]{1,8}", text) else -1


def _model(processor: dict[str, str]) -> str | None:
    """`ARMv8 Processor rev 1 (v8l)` names no model, so that Arm's numbers go first."""
    name = PARTS.get((_hex(processor.get("cpu implementer")), _hex(processor.get("cpu part"))))
    return name or re.sub(r"\s+", " ", processor.get("model name", "")) or None


def capabilities(flags: list[str]) -> dict[str, bool]:
    return {name: not set(flags).isdisjoint(wanted) for name, wanted in CAPABILITIES.items()}


def read_topology(host: Host) -> dict[str, int | None]:
    """Threads, cores and sockets by /sys, which knows what is online. None where it does not tell."""
    names = host.names(_CPU, r"cpu[0-9]+")
    online = cpu_set(host.text(f"{_CPU}/online") or "")
    threads = [name for name in names if online is None or int(name[3:]) in online]
    cores, sockets = set(), set()
    for name in threads:
        topology = f"{_CPU}/{name}/topology"
        siblings = host.text(f"{topology}/core_cpus_list") or host.text(f"{topology}/thread_siblings_list")
        package = host.number(f"{topology}/physical_package_id")
        if siblings is not None:
            cores.add(siblings)
        if package is not None:
            sockets.add(package)  # -1 for all where the firmware does not tell
    if host.machine.startswith(("aarch64", "arm")) and not host.exists("/sys/firmware/acpi"):
        sockets.clear()  # device trees know clusters only, which older kernels call packages
    count = len(threads) or (len(online) if online else None)
    return {"threads": count, "cores": len(cores) or None, "sockets": len(sockets) or None}


def read_caches(host: Host) -> list[dict[str, Any]]:
    """Each kind of cache with the size of one and how many there are."""
    seen: dict[tuple[int, str, int], set[str]] = {}
    for name in host.names(_CPU, r"cpu[0-9]+"):
        for index in host.names(f"{_CPU}/{name}/cache", r"index[0-9]+"):
            where = f"{_CPU}/{name}/cache/{index}"
            size = re.fullmatch(r"([0-9]{1,9})K", host.text(f"{where}/size") or "")
            level, kind = host.number(f"{where}/level"), _CACHE_TYPES.get(host.text(f"{where}/type") or "")
            if size and level is not None and kind:
                shared = host.text(f"{where}/shared_cpu_list") or host.text(f"{where}/shared_cpu_map") or name
                seen.setdefault((level, kind, int(size.group(1))), set()).add(shared)
    return [
        {"level": level, "type": kind, "size_kib": size, "instances": len(instances)}
        for (level, kind, size), instances in sorted(seen.items())
    ]


def read_numa_nodes(host: Host) -> list[dict[str, Any]]:
    nodes = "/sys/devices/system/node"
    return [
        {"node": int(name[4:]), "cpus": host.text(f"{nodes}/{name}/cpulist") or ""}
        for name in host.names(nodes, r"node[0-9]+")
    ]


def read_cpu(host: Host) -> tuple[dict[str, Any], Notes]:
    """Everything that the module cpu_flags returns, and what was not to be had."""
    notes = Notes()
    text = host.text("/proc/cpuinfo")
    if not text:
        notes.warn("/proc/cpuinfo cannot be read: model and flags are unknown, so no capability is assumed")
    info = parse_cpuinfo(text or "")
    if text and not info["flags"]:
        notes.warn("/proc/cpuinfo has neither 'flags' nor 'Features': no capability is assumed")
    topology = read_topology(host)
    threads = topology["threads"] or info["threads"]
    if threads is None:
        notes.warn("neither /sys/devices/system/cpu nor /proc/cpuinfo lists processors: 1 is assumed")
        threads = 1
    if topology["threads"] and info["threads"] and topology["threads"] != info["threads"]:
        notes.reason(
            f"/sys counts {topology['threads']} processors and /proc/cpuinfo {info['threads']}: the smaller is taken"
        )
        threads = min(topology["threads"], info["threads"])
    cores = min(topology["cores"] or info["cores"] or threads, threads)
    sockets = min(topology["sockets"] or info["sockets"] or 1, cores)
    memory = _memory(host, notes)
    limits = read_limits(host)
    variant = best_variant(host.machine, info["flags"])
    if variant is None:
        notes.reason(f"llama.cpp is not built with variants that this module knows for {host.machine}")
    cpu = {
        "model": info["model"],
        "vendor": info["vendor"],
        "architecture": host.machine,
        "sockets": sockets,
        "cores": cores,
        "threads": threads,
        "flags": info["flags"],
        **capabilities(info["flags"]),
        "caches": read_caches(host),
        "numa_nodes": read_numa_nodes(host),
        "hypervisor": hypervisor(host, info["flags"]),
        "container": container(host),
        "memory": memory,
        "limits": {"cpus": limits.cpus, "memory_mib": limits.memory_mib, "source": limits.source},
        "effective": {
            "cpus": float(min(threads, limits.cpus or threads)),
            "memory_mib": min((size for size in (memory["total_mib"], limits.memory_mib) if size), default=None),
        },
        "ggml_variant": variant,
    }
    return {**{key: cpu[key] for key in TOP_LEVEL}, "cpu": cpu}, notes


def _memory(host: Host, notes: Notes) -> dict[str, int | None]:
    total = total_mib(host.text("/proc/meminfo") or "")
    if total is None:
        notes.warn("/proc/meminfo has no MemTotal: the memory is unknown")
    return {"total_mib": total, "nominal_mib": None if total is None else nominal_mib(total)}
