# SPDX-License-Identifier: GPL-3.0-or-later
"""The specification's hardware tests (section 11.3), for any machine that was audited.

    pytest tests/host --hosts=ssh://desktop,ssh://jetson      (pytest-testinfra; without --hosts: this machine)

The test of Postgres' share of the memory runs where root has deployed homelab.ai.local with the shares of its profile.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

FACTS = "/etc/ansible/facts.d"
POSTGRES = "/etc/homelab/postgres/postgresql.conf"


def read(host: Any, name: str) -> dict[str, Any]:
    file = host.file(f"{FACTS}/{name}")
    assert file.exists, f"{FACTS}/{name} is not there: run ansible-playbook homelab.ai.hardware_audit first"
    content: dict[str, Any] = json.loads(file.content_string)
    return content


def test_hardware_facts_exist(host: Any) -> None:
    facts = read(host, "homelab.fact")
    assert facts["total_ram_mb"] > 0


def test_the_facts_are_those_of_this_machine(host: Any) -> None:
    facts = read(host, "homelab.fact")
    total = int(host.check_output("awk '/^MemTotal:/ {print $2}' /proc/meminfo")) // 1024
    assert abs(facts["total_ram_mb"] - total) <= total * 0.01
    assert facts["cpu_cores"] == int(host.check_output("getconf _NPROCESSORS_ONLN"))
    assert facts["architecture"] == host.check_output("uname -m")


def test_everybody_may_read_the_facts_and_root_alone_may_write_them(host: Any) -> None:
    for name in ("homelab.fact", "cpu_capabilities.json", "gpu_info.json"):
        read(host, name)
        file = host.file(f"{FACTS}/{name}")
        assert file.user == "root" and file.mode == 0o644


def test_a_gpu_is_described_where_there_is_one(host: Any) -> None:
    facts = read(host, "gpu_info.json")
    assert not facts["has_gpu"] or (facts["gpu_name"] and facts["gpu_vram_mb"] >= 2048)
    assert facts["has_gpu"] or facts["reasons"]


def test_postgres_memory_tuned(host: Any) -> None:
    """Postgres has its share of the memory, by its buffers, which are a quarter of that (docs/tuning.md)."""
    file = host.file(POSTGRES)
    if not file.exists:
        pytest.skip(f"{POSTGRES} is not there: homelab.ai.local is not deployed by root here")
    if read(host, "gpu_info.json")["gpu"]["is_jetson"]:
        pytest.skip("on a Jetson most of the memory is kept for models")
    facts = read(host, "homelab.fact")
    nominal = facts["nominal_ram_mb"]
    share = 0.30 if nominal < 16 * 1024 else 0.40 if nominal <= 32 * 1024 else 0.45
    buffers = re.search(r"^shared_buffers = (\d+)MB$", file.content_string, re.MULTILINE)
    assert buffers is not None
    expected = facts["effective"]["memory_mib"] * share
    part = int(buffers[1]) / 0.25 / expected
    assert part < 1.10
    assert part > 0.90 or nominal < 24 * 1024, "only a small machine may give less, for the floors of the others"
