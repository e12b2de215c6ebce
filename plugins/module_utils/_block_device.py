# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""What kind of device is below a path, from mountinfo and sysfs. Reads only, and says what it could not find out."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, NamedTuple

SECTOR = 512  # bytes; /sys/block/*/size counts these whatever the device's own sectors are (kernel, block/genhd.c)
MEMORY = ("ramfs", "tmpfs")
NETWORK = ("9p", "afs", "ceph", "cifs", "fuse.sshfs", "glusterfs", "nfs", "nfs4", "smb3", "virtiofs")
# From the slowest to the fastest: a volume over several devices is as slow as the slowest.
CLASSES = ("unknown", "sd", "emmc", "hdd", "virtual", "ssd", "nvme")
_DEPTH = 8  # partition over LVM over crypt over RAID and more; sysfs has no cycles, but a lying one could
_VIRTUAL_NAME = re.compile(r"(vd|xvd|nbd|rbd|zram|ram|loop|drbd|dasd|ubd)")
_VIRTUAL_MAKER = re.compile(r"qemu|vmware|vbox|virtual|msft|xen|google|scsi_debug", re.IGNORECASE)
_TRANSPORT = (  # first match in the device's sysfs path
    ("nvme", re.compile(r"/nvme")),
    ("usb", re.compile(r"/usb\d+/")),
    ("mmc", re.compile(r"/mmc_host/")),
    ("virtio", re.compile(r"/virtio\d+/")),
    ("sata", re.compile(r"/ata\d+/")),
    ("ufs", re.compile(r"/[^/]*ufs[^/]*/")),
    ("scsi", re.compile(r"/host\d+/")),
)


class Mount(NamedTuple):
    """One line of /proc/self/mountinfo (proc_pid_mountinfo(5)), as far as it is of use here."""

    device: str
    point: str
    kind: str
    source: str
    options: str


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), text)


def parse_mountinfo(text: str) -> list[Mount]:
    """The mounts in `text`; lines that are none are left out."""
    mounts = []
    for line in text.splitlines():
        left, dash, right = line.partition(" - ")
        before, after = left.split(), right.split()
        if dash and len(before) >= 6 and len(after) >= 2:
            options = after[2] if len(after) > 2 else ""
            mounts.append(Mount(before[2], _unescape(before[4]), after[0], _unescape(after[1]), options))
    return mounts


def mount_of(path: str, mounts: list[Mount]) -> Mount | None:
    """The mount that `path`, absolute and without symbolic links, is in. The last one mounted hides those before."""
    found = None
    for mount in mounts:
        inside = path == mount.point or path.startswith(mount.point.rstrip("/") + "/")
        if inside and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \n")
    except OSError:
        return ""


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,20}", text) else 0


def _kind(name: str, where: str, node: Path, maker: str) -> str:
    """The class of one physical device."""
    if name.startswith("mmcblk"):
        return {"MMC": "emmc", "SD": "sd"}.get(_read(node / "device" / "type"), "unknown")
    if _VIRTUAL_NAME.match(name) or "/virtio" in where or "/vmbus" in where or _VIRTUAL_MAKER.search(maker):
        return "virtual"
    if name.startswith("nvme"):
        return "nvme"
    return {"0": "ssd", "1": "hdd"}.get(_read(node / "queue" / "rotational"), "unknown")


def _leaf(node: Path, where: str) -> dict[str, Any]:
    vendor, model = _read(node / "device" / "vendor"), _read(node / "device" / "model")
    name = node.name
    return {
        "name": name,
        "class": _kind(name, where, node, f"{vendor} {model}"),
        "transport": next((word for word, pattern in _TRANSPORT if pattern.search(where)), "unknown"),
        # An eMMC or SD card calls its model "name"; virtio's vendor is a PCI number and says nothing.
        "model": model or _read(node / "device" / "name"),
        "size_bytes": _number(_read(node / "size")) * SECTOR,
    }


def _leaves(node: Path, depth: int) -> list[dict[str, Any]]:
    where = os.path.realpath(node)
    node = Path(where)
    if (node / "partition").exists():
        node = node.parent
    try:
        below = sorted((node / "slaves").iterdir())
    except OSError:
        below = []
    if not below or depth == 0:
        return [_leaf(node, str(node) + "/")]
    return [leaf for slave in below for leaf in _leaves(slave, depth - 1)]


def describe_device(number: str, sys: str = "/sys") -> dict[str, Any] | None:
    """The devices that hold the block device `number` ("259:2"), or None when sysfs has no such device.

    `class` is that of the slowest device, `parts` are the physical devices below partitions, LVM, dm-crypt and RAID,
    and `size_bytes` is the total of the whole device, not of the partition.
    """
    node = Path(sys) / "dev" / "block" / number
    if not re.fullmatch(r"[0-9]+:[0-9]+", number) or not node.exists():
        return None
    parts = {part["name"]: part for part in _leaves(node, _DEPTH)}
    devices = [parts[name] for name in sorted(parts)]
    slowest = min(devices, key=lambda part: CLASSES.index(part["class"]))
    return {"class": slowest["class"], "size_bytes": sum(part["size_bytes"] for part in devices), "parts": devices}


def _device_number(source: str) -> str | None:
    """The number of the block device `source`, where a file system (btrfs) hides it behind one of its own."""
    try:
        info = Path(source).stat()
    except OSError:
        return None
    if not source.startswith("/") or not info.st_rdev:
        return None
    return f"{os.major(info.st_rdev)}:{os.minor(info.st_rdev)}"


def describe_path(path: str, mounts: list[Mount], sys: str = "/sys") -> dict[str, Any]:
    """`{"filesystem": {type, mount}, "device": {class, size_bytes, parts, reason?}}` of an absolute real path."""
    mount = mount_of(path, mounts)
    nothing: dict[str, Any] = {"class": "unknown", "size_bytes": 0, "parts": []}
    if mount is None:
        reason = f"/proc/self/mountinfo names no mount that holds {path}"
        return {"filesystem": {"type": "unknown", "mount": ""}, "device": dict(nothing, reason=reason)}
    filesystem = {"type": mount.kind, "mount": mount.point}
    device = describe_device(mount.device, sys)
    if device is None:
        number = _device_number(mount.source)
        device = describe_device(number, sys) if number else None
    if device is None:
        device = dict(nothing, reason=f"{mount.kind} at {mount.point} ({mount.source}) shows no block device here")
    elif device["class"] == "unknown":
        names = ", ".join(part["name"] for part in device["parts"])
        device["reason"] = f"sysfs does not say what kind of device {names} is"
    return {"filesystem": filesystem, "device": device}


def is_directory(path: Path) -> bool:
    """Whether this user sees a directory there. Up to Python 3.13 `Path.is_dir` raises where the user may not look."""
    try:
        return path.is_dir()
    except OSError:
        return False


def storage_of(path: str) -> dict[str, Any]:
    """`path` without symbolic links, or the nearest directory above that this user sees; its file system and device.

    `filesystem.size_bytes` is the total, not what is free. Raises OSError where there is no /proc.
    """
    directory = Path(os.path.realpath(path))
    while not is_directory(directory):
        directory = directory.parent
    mounts = parse_mountinfo(Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape"))
    described = describe_path(str(directory), mounts)
    space = os.statvfs(directory)
    filesystem = dict(described["filesystem"], size_bytes=space.f_blocks * space.f_frsize)
    return {"path": str(directory), "filesystem": filesystem, "device": described["device"]}
