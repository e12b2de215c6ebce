# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""What control groups (v1 and v2) let a process use, which in a container is less than the machine has."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ansible_collections.homelab.ai.plugins.module_utils._hostfs import Host

# v1 has no word for "no limit": the kernel rounds its largest page counter down, to 8 EiB less a page.
_UNLIMITED = 1 << 60
_MAX_CPUS = 1 << 16  # above CONFIG_NR_CPUS of any kernel


@dataclass(frozen=True)
class Place:
    """A control group of the process: the directory of its hierarchy, and the way down from there."""

    version: int
    mount: str
    path: str

    def upwards(self) -> list[str]:
        """Directories from the group itself to the mount. Each can hold a limit, and the tightest holds."""
        parts = [part for part in self.path.split("/") if part]
        return ["/".join([self.mount, *parts[:count]]) for count in range(len(parts), -1, -1)]


@dataclass
class Limits:
    """Tightest limits and the files that set them; None where nothing limits."""

    memory_mib: int | None = None
    cpus: float | None = None
    sources: dict[str, str] = field(default_factory=dict)

    def memory(self, count: int, source: str) -> None:
        mib = count >> 20
        if mib > 0 and count < _UNLIMITED and (self.memory_mib is None or mib < self.memory_mib):
            self.memory_mib, self.sources["memory"] = mib, source

    def cpu(self, count: float, source: str) -> None:
        count = round(float(count), 3)
        if 0 < count <= _MAX_CPUS and (self.cpus is None or count < self.cpus):
            self.cpus, self.sources["cpus"] = count, source

    @property
    def source(self) -> str | None:
        return ", ".join(dict.fromkeys(self.sources[key] for key in sorted(self.sources))) or None


def cpu_set(text: str) -> set[int] | None:
    """The CPUs that a kernel list names, or None where it is no such list or names none."""
    cpus: set[int] = set()
    for part in text.strip().split(","):
        found = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", part.strip())
        if not found:
            return None
        first, last = int(found.group(1)), int(found.group(2) or found.group(1))
        if not first <= last < _MAX_CPUS:
            return None
        cpus.update(range(first, last + 1))
    return cpus


def parse_places(cgroup: str, mountinfo: str) -> dict[str, Place]:
    """Where the process is: by controller for v1, `unified` for v2.

    `cgroup` and `mountinfo` are the files of these names in /proc/self. A group path is relative to the root of its
    hierarchy; in a container without a namespace of its own the mount shows only a part of that, which is cut off.
    """
    groups: dict[str, str] = {}
    for line in cgroup.splitlines():
        number, names, path = (line.split(":", 2) + ["", ""])[:3]
        if names or number == "0":
            groups.update(dict.fromkeys(names.split(",") if names else ["unified"], path))
    places: dict[str, Place] = {}
    for line in mountinfo.splitlines():
        left, _dash, right = line.partition(" - ")
        fields, kind = left.split(" "), right.split(" ")
        if len(fields) < 6 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        controllers = ["unified"] if kind[0] == "cgroup2" else kind[2].split(",")
        root, mount = _unescape(fields[3]), _unescape(fields[4])
        for controller in controllers:
            if controller in groups and controller not in places:
                version = 2 if controller == "unified" else 1
                places[controller] = Place(version, mount.rstrip("/"), _below(groups[controller], root))
    return places


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), text)


def _below(path: str, root: str) -> str:
    """The way from a mount, which shows the hierarchy from `root` on, to the group `path`."""
    # ".." names what lies outside the namespace, of which the mount shows nothing.
    if root == "/" and ".." not in path.split("/"):
        return path
    # Of a group elsewhere the mount shows nothing; in a container the mount's own group is then the process's.
    return path[len(root) :] if path.startswith(root + "/") else "/"


def parse_cpu_max(text: str) -> float | None:
    """CPUs that v2's `cpu.max` (`quota period`, microseconds) grants, or None for `max` and for anything else."""
    found = re.fullmatch(r"([0-9]{1,18})(?:\s+([0-9]{1,18}))?", text.strip())
    period = int(found.group(2) or 100_000) if found else 0  # the kernel's default period
    return int(found.group(1)) / period if found and period else None


def read_limits(host: Host) -> Limits:
    """The limits that hold for this process."""
    limits = Limits()
    places = parse_places(host.text("/proc/self/cgroup") or "", host.text("/proc/self/mountinfo") or "")
    for controller, place in places.items():
        for directory in place.upwards():
            if controller == "unified":
                _read_v2(host, directory, limits)
            elif controller == "memory":
                limits.memory(host.number(f"{directory}/memory.limit_in_bytes") or 0, "cgroup v1 memory.limit_in_bytes")
            elif controller == "cpu":
                quota, period = (host.number(f"{directory}/cpu.cfs_{name}_us") or 0 for name in ("quota", "period"))
                if quota > 0 and period > 0:
                    limits.cpu(quota / period, "cgroup v1 cpu.cfs_quota_us")
    allowed = re.search(r"^Cpus_allowed_list:\s*(\S+)", host.text("/proc/self/status") or "", re.MULTILINE)
    online = cpu_set(host.text("/sys/devices/system/cpu/online") or "")
    pinned = cpu_set(allowed.group(1)) if allowed else None
    if pinned is not None and online and len(pinned & online) < len(online):
        limits.cpu(len(pinned & online), "CPU affinity")  # what cpusets and taskset come down to
    return limits


def _read_v2(host: Host, directory: str, limits: Limits) -> None:
    for name in ("memory.max", "memory.high"):
        limits.memory(host.number(f"{directory}/{name}") or 0, f"cgroup v2 {name}")
    limits.cpu(parse_cpu_max(host.text(f"{directory}/cpu.max") or "") or 0, "cgroup v2 cpu.max")
