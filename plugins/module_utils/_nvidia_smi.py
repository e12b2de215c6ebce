# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Reads what nvidia-smi prints: its XML (`-q -x`), its CSV (`--query-gpu`), and its ways of saying nothing."""

from __future__ import annotations

import csv
import re
from typing import Any
from xml.etree import ElementTree

from ansible_collections.homelab.ai.plugins.module_utils._hostfs import Output

# Everything in brackets ("[N/A]", "[Not Supported]", "[Unknown Error]", "[GPU requires reset]") is no value either.
_NO_VALUE = frozenset(["", "N/A", "ERR!", "Unknown Error", "Not Supported"])


class NvidiaSmiError(Exception):
    """The output is none that nvidia-smi gives about working GPUs; the text says what it is instead."""


def value(text: str | None) -> str | None:
    """A value as text, or None where nvidia-smi says that it has none."""
    text = " ".join((text or "").split())
    return None if text in _NO_VALUE or text.startswith(("[", "Requested functionality")) else text


def mib(text: str | None) -> int | None:
    """Memory: `24576 MiB` in XML and CSV, a bare number with `nounits`."""
    found = re.fullmatch(r"([0-9]{1,12})(?: MiB)?", value(text) or "")
    return int(found.group(1)) if found and int(found.group(1)) > 0 else None


def version(text: str | None) -> str | None:
    found = re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6}){0,3}", value(text) or "")
    return found.group(0) if found else None


def parse_xml(text: str) -> dict[str, Any]:
    """`nvidia-smi -q -x`: driver and CUDA version, and the GPUs in their order. Raises NvidiaSmiError.

    CUDA is the newest version that the driver supports. Compute capability is not in there.
    """
    # Real output names a DTD but defines no entities; expanding those of a forger could fill the memory.
    if "<!ENTITY" in text:
        raise NvidiaSmiError("nvidia-smi -q -x defines XML entities, which it never does: is it NVIDIA's program?")
    try:
        log = ElementTree.fromstring(text.strip())
    except (ElementTree.ParseError, ValueError):
        raise NvidiaSmiError(f"nvidia-smi -q -x printed no XML but {_quoted(text)}") from None
    if log.tag != "nvidia_smi_log":
        raise NvidiaSmiError(f"nvidia-smi -q -x printed <{log.tag[:40]}> instead of <nvidia_smi_log>")
    driver, cuda = version(log.findtext("driver_version")), version(log.findtext("cuda_version"))
    return {
        "driver_version": driver,
        "cuda_version": cuda,
        "devices": [_xml_device(index, gpu, driver) for index, gpu in enumerate(log.findall("gpu"))],
    }


def _xml_device(index: int, gpu: ElementTree.Element, driver: str | None) -> dict[str, Any]:
    slices = [
        {
            "gpu_instance_id": _whole(item.findtext("gpu_instance_id")),
            "compute_instance_id": _whole(item.findtext("compute_instance_id")),
            "memory_mib": mib(item.findtext("fb_memory_usage/total")),
        }
        for item in gpu.findall("mig_devices/mig_device")
    ]
    mode = value(gpu.findtext("mig_mode/current_mig"))
    return {
        "index": index,
        "name": value(gpu.findtext("product_name")),
        "uuid": value(gpu.findtext("uuid")),
        "pci_address": _pci(gpu.get("id")),
        "memory_mib": mib(gpu.findtext("fb_memory_usage/total")),
        "compute_capability": None,
        "driver": driver,
        "mig": None if mode is None else {"enabled": mode == "Enabled", "devices": slices},
    }


def _whole(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"[0-9]{1,9}", text.strip()) else None


def _pci(text: str | None) -> str | None:
    """sysfs writes the domain with four digits, nvidia-smi with eight."""
    found = re.fullmatch(r"(?:0000)?([0-9A-F]{4,8}:[0-9A-F]{2}:[0-9A-F]{2}\.[0-7])", (text or "").strip().upper())
    return found.group(1).lower() if found else None


def parse_csv(text: str) -> list[dict[str, str | None]]:
    """`nvidia-smi --query-gpu=… --format=csv`: a dictionary for each GPU, keys without their units.

    Raises NvidiaSmiError.
    """
    rows = [row for row in csv.reader(text.splitlines(), skipinitialspace=True) if row]
    header = [re.sub(r"\s*\[.*\]$", "", cell).strip() for cell in rows[0]] if rows else []
    if not header or not all(re.fullmatch(r"[a-z_]+(\.[a-z_]+)*", name) for name in header):
        raise NvidiaSmiError(f"nvidia-smi --query-gpu printed no table but {_quoted(text)}")
    if any(len(row) != len(header) for row in rows[1:]):
        raise NvidiaSmiError(f"nvidia-smi --query-gpu printed rows of another length than its header: {_quoted(text)}")
    return [dict(zip(header, (value(cell) for cell in row))) for row in rows[1:]]


def csv_devices(rows: list[dict[str, str | None]]) -> list[dict[str, Any]]:
    """Devices by CSV, for an nvidia-smi whose XML cannot be used."""
    return [
        {
            "index": index,
            "name": row.get("name"),
            "uuid": row.get("uuid"),
            "pci_address": _pci(row.get("pci.bus_id")),
            "memory_mib": mib(row.get("memory.total")),
            "compute_capability": None,
            "driver": version(row.get("driver_version")),
            "mig": None,
        }
        for index, row in enumerate(rows)
    ]


def why(error: NvidiaSmiError, output: Output) -> str:
    """What to tell the user about output that could not be read."""
    if output.problem:
        return output.problem
    said = " ".join(output.stderr.split())[:120]
    return f"{error} (it ended with {output.rc}{': ' + said if said else ''})" if output.rc else str(error)


def _quoted(text: str) -> str:
    line = " ".join(text.split())
    return repr(line[:120] + ("…" if len(line) > 120 else "")) if line else "nothing"
