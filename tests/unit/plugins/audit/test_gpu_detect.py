# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.ai.plugins.module_utils._gpu import read_gpu
from ansible_collections.homelab.ai.plugins.module_utils._hostfs import Host, Output
from ansible_collections.homelab.ai.plugins.module_utils._jetson import (
    parse_cuda,
    parse_l4t,
    parse_power_mode,
    parse_power_modes,
    soc_of,
)
from ansible_collections.homelab.ai.plugins.module_utils._nvidia_smi import NvidiaSmiError, parse_csv, parse_xml, value
from recorded_machines import NAMES, RecordedHost, build, pick

CASES = yaml.safe_load(Path(__file__).with_suffix(".yml").read_text())
XML = "nvidia-smi -q -x"


def facts_of(host: Host) -> dict[str, Any]:
    facts, notes = read_gpu(host)
    return {**facts, "reasons": notes.reasons, "warnings": notes.warnings}


@pytest.mark.parametrize("name", CASES["machines"])
def test_recorded_machine(name: str, tmp_path: Path) -> None:
    facts = facts_of(build(name, tmp_path))
    wanted = CASES["machines"][name]
    assert {path: pick(facts, path) for path in wanted} == wanted


@pytest.mark.parametrize("name", NAMES)
def test_appendix_d_and_positions(name: str, tmp_path: Path) -> None:
    facts = facts_of(build(name, tmp_path))
    assert json.loads(json.dumps(facts)) == facts
    assert ("gpu_name" in facts, "gpu_vram_mb" in facts) == (facts["has_gpu"], facts["has_gpu"])
    assert facts["has_gpu"] or facts["reasons"]
    assert [device["index"] for device in facts["gpu"]["devices"]] == list(range(facts["gpu"]["count"]))


def add_device(root: Path, address: str, **files: str) -> None:
    device = root / "sys/bus/pci/devices" / address
    for name, text in files.items():
        (device / name.replace("__", "/")).parent.mkdir(parents=True, exist_ok=True)
        (device / name.replace("__", "/")).write_text(text + "\n")


@pytest.mark.parametrize(
    ("own_mib", "borrowed_mib", "told"),
    [(512, 63842, True), (512, 12288, True), (512, 12287, False), (2047, 63842, True), (2048, 63842, False)],
)
def test_integrated_graphics_with_much_to_borrow_say_where_to_raise_their_share(
    own_mib: int, borrowed_mib: int, told: bool, tmp_path: Path
) -> None:
    # Files in bytes: kernel drivers/gpu/drm/amd/amdgpu/amdgpu_{vram,gtt}_mgr.c, "DOC: mem_info_..._total".
    # Strix Halo is 1002:1586, a "Display controller [0380]": https://github.com/danbev/learning-ai, notes/gmktec.md.
    files = {"vendor": "0x1002", "device": "0x1586", "class": "0x038000", "uevent": "DRIVER=amdgpu"}
    sizes = {"mem_info_vram_total": str(own_mib << 20), "mem_info_gtt_total": str(borrowed_mib << 20)}
    add_device(tmp_path, "0000:c5:00.0", **files, **sizes)
    facts = facts_of(RecordedHost(tmp_path, "x86_64", {}))
    assert (facts["has_gpu"], facts["warnings"]) == (own_mib >= 2048, [])
    reason = (
        f"amd graphics at PCI 0000:c5:00.0 has {own_mib} MiB of its own; the {borrowed_mib} MiB that it may borrow "
        "(GTT) do not count. "
        "Integrated graphics get more of their own in the firmware's setup, as UMA frame buffer size"
    )
    assert (reason in facts["reasons"]) is told


def test_memory_of_intels_tiles_adds_up(tmp_path: Path) -> None:
    vram = {f"tile{number}__physical_vram_size_bytes": str(size << 30) for number, size in ((0, 16), (1, 8))}
    add_device(tmp_path, "0000:03:00.0", vendor="0x8086", device="0xe20b", **{"class": "0x030000"}, **vram)
    (tmp_path / "sys/bus/pci/devices/0000:03:00.0/uevent").write_text("DRIVER=xe\nPCI_CLASS=30000\n")
    facts = facts_of(RecordedHost(tmp_path, "x86_64", {}))
    assert (facts["gpu_name"], facts["gpu_vram_mb"]) == ("Intel 8086:e20b", 24 << 10)


def test_a_name_that_the_driver_tells_is_taken(tmp_path: Path) -> None:
    host = build("gpu_vega_56", tmp_path)
    add_device(tmp_path, "0000:09:00.0", product_name="Radeon Pro", unique_id="not a number")
    facts = facts_of(host)
    assert (facts["gpu_name"], facts["gpu"]["devices"][0]["uuid"]) == ("Radeon Pro", None)


def test_the_gpu_with_the_most_memory_is_the_one_that_is_named(tmp_path: Path) -> None:
    host = build("gpu_vega_56", tmp_path)
    build("gpu_hades_canyon", tmp_path)
    facts = facts_of(host)
    assert [device["pci_address"] for device in facts["gpu"]["devices"]] == [
        "0000:00:02.0",
        "0000:01:00.0",
        "0000:09:00.0",
    ]
    assert facts["gpu_name"] == "AMD 1002:687f"


@pytest.mark.parametrize(
    ("vendor", "kind"),
    [("0x1a03", "0x030000"), ("0x10de", "0x040300"), ("0x1002", "0x060400"), ("0x10de", "what"), ("", "0x030000")],
)
def test_what_is_no_gpu_is_not_missed(vendor: str, kind: str, tmp_path: Path) -> None:
    add_device(tmp_path, "0000:03:00.1", vendor=vendor, device="0x2000", **{"class": kind})
    facts = facts_of(RecordedHost(tmp_path, "x86_64", {}))
    assert (facts["gpu"]["count"], facts["warnings"]) == (0, [])
    assert facts["reasons"] == ["no NVIDIA, AMD or Intel graphics with a working driver was found"]


def test_a_card_that_no_driver_has_taken_does_not_count(tmp_path: Path) -> None:
    host = build("gpu_vega_56", tmp_path)
    add_device(tmp_path, "0000:09:00.0", uevent="PCI_CLASS=30000")
    facts = facts_of(host)
    assert not facts["gpu"]["present"]
    assert "amd graphics at PCI 0000:09:00.0 has no kernel driver: not counted" in facts["reasons"]


# Addresses, numbers and drivers of two NVIDIA cards: https://github.com/truenas/middleware/pull/11397, lspci -nnk.
PASSED_THROUGH = {"0000:17:00.0": "vfio-pci", "0000:65:00.0": "nvidia"}


@pytest.mark.parametrize("vendor", ["0x10de", "0x1002", "0x8086"])
def test_a_card_for_a_virtual_machine_is_not_this_machines(vendor: str, tmp_path: Path) -> None:
    add_device(
        tmp_path, "0000:17:00.0", vendor=vendor, device="0x1ff2", uevent="DRIVER=vfio-pci", **{"class": "0x030000"}
    )
    facts = facts_of(RecordedHost(tmp_path, "x86_64", {}))
    assert (facts["gpu"]["present"], facts["warnings"]) == (False, [])
    assert "graphics at PCI 0000:17:00.0 is held for virtual machines by vfio-pci: not counted" in facts["reasons"][0]


def test_nvidia_smi_is_not_asked_for_the_card_of_a_virtual_machine(tmp_path: Path) -> None:
    host = build("gpu_rtx_3090", tmp_path)  # which has one GPU
    for address, driver in PASSED_THROUGH.items():
        add_device(
            tmp_path, address, vendor="0x10de", device="0x1ff2", uevent=f"DRIVER={driver}", **{"class": "0x030000"}
        )
    assert facts_of(host)["warnings"] == []


def test_capabilities_come_by_uuid(tmp_path: Path) -> None:
    host = build("gpu_two_a5000", tmp_path)
    uuids = ["GPU-12345678-aaaa-bbbb-cccc-0123456789cd", "GPU-12345678-aaaa-bbbb-cccc-0123456789ab"]
    rows = f"uuid, compute_cap\n{uuids[0]}, 8.6\n{uuids[1]}, [N/A]\n"
    host.commands["nvidia-smi --query-gpu=uuid,compute_cap --format=csv"] = {"rc": 0, "stdout": rows}
    facts = facts_of(host)
    assert [device["compute_capability"] for device in facts["gpu"]["devices"]] == [None, "8.6"]
    assert "nvidia-smi does not tell the compute capability of every GPU" in facts["reasons"]


def test_a_card_that_fell_off_the_bus_is_missed(tmp_path: Path) -> None:
    host = build("gpu_rtx_3090", tmp_path)
    for address in ("0000:00:10.0", "0000:00:11.0"):
        device = tmp_path / "sys/bus/pci/devices" / address
        device.mkdir(parents=True)
        for name, text in (("vendor", "0x10de"), ("device", "0x2204"), ("class", "0x030000")):
            (device / name).write_text(text + "\n")
    assert "NVIDIA graphics on the PCI bus: 2, but nvidia-smi lists 1" in facts_of(host)["warnings"]


def test_a_card_without_nvidia_smi_says_what_to_install(tmp_path: Path) -> None:
    build("gpu_driver_mismatch", tmp_path)
    facts = facts_of(RecordedHost(tmp_path, "x86_64", {}))
    assert not facts["has_gpu"]
    assert facts["warnings"] == [
        "NVIDIA graphics at PCI 0000:03:00.0, but nvidia-smi is not installed: not counted. Install NVIDIA's driver"
    ]


def test_a_warning_code_after_a_good_answer_keeps_the_gpu(tmp_path: Path) -> None:
    host = build("gpu_rtx_3090", tmp_path)
    host.commands[XML]["rc"] = 14
    facts = facts_of(host)
    assert facts["has_gpu"]
    assert "nvidia-smi ended with 14 after it had listed 1 GPUs" in facts["reasons"]


@pytest.mark.parametrize("told", ["N/A", "[Unknown Error]", "ERR!", "-1 MiB", "lots", "0 MiB"])
def test_a_gpu_that_does_not_tell_its_memory_does_not_count(told: str, tmp_path: Path) -> None:
    host = build("gpu_rtx_3090", tmp_path)
    host.commands[XML]["stdout"] = host.commands[XML]["stdout"].replace("24576 MiB", told)
    facts = facts_of(host)
    assert (facts["has_gpu"], facts["gpu"]["present"]) == (False, True)
    assert facts["warnings"] == [
        "nvidia-smi tells no memory for NVIDIA GeForce RTX 3090: it is not counted for inference"
    ]


@pytest.mark.parametrize(("told", "counts"), [("2047 MiB", False), ("2048 MiB", True)])
def test_a_small_gpu_does_not_count(told: str, counts: bool, tmp_path: Path) -> None:
    host = build("gpu_rtx_3090", tmp_path)
    host.commands[XML]["stdout"] = host.commands[XML]["stdout"].replace("24576 MiB", told)
    facts = facts_of(host)
    assert (facts["has_gpu"], facts["gpu"]["present"]) == (counts, True)
    assert ("no graphics device tells at least 2048 MiB of memory" in " ".join(facts["reasons"])) is not counts


def test_mig_without_an_instance_does_not_count(tmp_path: Path) -> None:
    host = build("gpu_a100_mig", tmp_path)
    xml = host.commands[XML]["stdout"]
    start, end = xml.index("<mig_devices>"), xml.index("</mig_devices>")
    host.commands[XML]["stdout"] = xml[:start] + "<mig_devices>None" + xml[end:]
    facts = facts_of(host)
    assert (facts["has_gpu"], facts["gpu"]["devices"][0]["memory_mib"]) == (False, 81920)
    assert "MIG is on for NVIDIA A100-SXM4-80GB, but it lists no instance" in facts["warnings"][0]


def test_xml_with_entities_is_refused() -> None:
    with pytest.raises(NvidiaSmiError, match="defines XML entities"):
        parse_xml('<!DOCTYPE a [<!ENTITY b "bb">]><nvidia_smi_log>&b;</nvidia_smi_log>')


def test_xml_of_something_else_is_refused() -> None:
    with pytest.raises(NvidiaSmiError, match="printed <html> instead"):
        parse_xml("<html/>")


@pytest.mark.parametrize("text", ["", "No devices were found\n", "name, uuid\nonly one cell\n"])
def test_csv_that_is_no_table_is_refused(text: str) -> None:
    with pytest.raises(NvidiaSmiError, match="printed"):
        parse_csv(text)


def test_csv_of_two_kinds_of_gpu() -> None:
    assert parse_csv(CASES["csv"]["text"]) == CASES["csv"]["rows"]


@pytest.mark.parametrize("text", ["[N/A]", "[Not Supported]", "[GPU requires reset]", "N/A", "ERR!", " ", None])
def test_no_value(text: str | None) -> None:
    assert value(text) is None


@pytest.mark.parametrize(("compatible", "soc"), CASES["socs"])
def test_soc(compatible: str, soc: str | None) -> None:
    assert soc_of(compatible.replace("|", "\0")) == soc


@pytest.mark.parametrize(("text", "release"), CASES["releases"])
def test_release(text: str, release: str | None) -> None:
    assert parse_l4t(text) == release


def test_power_modes() -> None:
    assert parse_power_modes(CASES["power_modes"]["text"]) == CASES["power_modes"]["modes"]
    assert parse_power_mode("NV Power Mode: MODE_30W\n2\n") == "MODE_30W"
    assert parse_power_mode("NVPM ERROR: failed to read PARAM ARG\n") is None


@pytest.mark.parametrize("text", ["", "[]", '{"cuda": 1}', '{"cuda": {"version": 13}}', '{"cuda": {"version": "x"}}'])
def test_no_cuda_version(text: str) -> None:
    assert parse_cuda(text) is None


def test_cuda_version() -> None:
    assert parse_cuda('{"cuda": {"name": "CUDA SDK", "version": "12.6.11"}}') == "12.6.11"


def test_cuda_of_a_jetson_is_that_of_the_toolkit(tmp_path: Path) -> None:
    host = build("jetson_orin_64", tmp_path)
    file = tmp_path / "usr/local/cuda/version.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"cuda": {"version": "12.6.11"}}')
    facts = facts_of(host)
    assert (facts["gpu"]["cuda_version"], facts["reasons"]) == ("12.6.11", [])


def test_a_power_mode_that_cannot_be_read_is_a_warning(tmp_path: Path) -> None:
    host = build("jetson_orin_64", tmp_path)
    host.commands["nvpmodel -q"] = {"rc": 1, "stdout": "", "stderr": "NVPM ERROR: Error opening config\n"}
    assert facts_of(host)["warnings"] == [
        "nvpmodel -q names no power mode: ended with 1 and 'NVPM ERROR: Error opening config'"
    ]


def test_a_hanging_program_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr("ansible_collections.homelab.ai.plugins.module_utils._hostfs.COMMAND_TIMEOUT", 0.2)
    output = Host().run(["nvidia-smi", "-q", "-x"])
    assert output is not None
    assert output.problem == f"{program} did not answer within 0 s"


def test_a_program_that_cannot_run_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_bytes(b"\x7fELF of another machine")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    output = Host().run(["nvidia-smi"])
    assert output is not None
    assert output.problem == f"{program} cannot be run: Exec format error"


def test_a_program_that_is_not_there_is_none() -> None:
    assert Host().run(["homelab-no-such-program"]) is None


def test_what_programs_say_is_read_in_english(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\necho "$LC_ALL $1"; echo \\\\377 >&2; exit 3\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert Host().run(["nvidia-smi", "-q"]) == Output(3, "C -q\n", "�\n")
