# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.ai.plugins.module_utils._hostfs import Host
from ansible_collections.homelab.ai.plugins.module_utils._virtual import container, hypervisor

CASES = yaml.safe_load(Path(__file__).with_suffix(".yml").read_text())


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.mark.parametrize("case", CASES["hypervisors"], ids=lambda case: case["product_name"])
def test_firmware(case: dict[str, Any], tmp_path: Path) -> None:
    for name in ("sys_vendor", "product_name"):
        write(tmp_path, f"sys/class/dmi/id/{name}", case[name] + "\n")
    assert hypervisor(Host(str(tmp_path), "x86_64"), case["flags"]) == case["name"]


@pytest.mark.parametrize("case", CASES["clocks"], ids=lambda case: case["text"])
def test_clocks(case: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path, "sys/devices/system/clocksource/clocksource0/available_clocksource", case["text"] + "\n")
    assert hypervisor(Host(str(tmp_path), "x86_64"), []) == case["name"]


def test_firmware_goes_before_the_clock(tmp_path: Path) -> None:
    # VirtualBox' default for Linux guests is KVM's interface: VirtualBox User Manual, "Paravirtualization Providers".
    for name, text in (("sys_vendor", "innotek GmbH"), ("product_name", "VirtualBox")):
        write(tmp_path, f"sys/class/dmi/id/{name}", text + "\n")
    write(tmp_path, "sys/devices/system/clocksource/clocksource0/available_clocksource", "kvm-clock tsc acpi_pm\n")
    assert hypervisor(Host(str(tmp_path), "x86_64"), ["hypervisor"]) == "virtualbox"


@pytest.mark.parametrize(("path", "text", "name"), [("sys/hypervisor/type", "xen\n", "xen"), ("x", "", None)])
def test_xen_names_itself(path: str, text: str, name: str | None, tmp_path: Path) -> None:
    write(tmp_path, path, text)
    assert hypervisor(Host(str(tmp_path), "x86_64"), []) == name


@pytest.mark.parametrize(
    ("compatible", "name"), [("linux,kvm\0", "kvm"), ("xen,xen-4.17\0xen,xen\0", "xen"), ("x,y\0", "unknown")]
)
def test_device_tree(compatible: str, name: str, tmp_path: Path) -> None:
    write(tmp_path, "proc/device-tree/hypervisor/compatible", compatible)
    assert hypervisor(Host(str(tmp_path), "aarch64"), []) == name


@pytest.mark.parametrize("case", CASES["containers"], ids=lambda case: f"{case['file']}-{case['kind']}")
def test_container(case: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path, case["file"], case["text"])
    assert container(Host(str(tmp_path))) == case["kind"]
