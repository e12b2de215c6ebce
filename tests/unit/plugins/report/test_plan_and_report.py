# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan's table and the fleet's page say what was computed, and survive what machines are called."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.ai.plugins.filter.fleet_report import fleet_report
from ansible_collections.homelab.ai.plugins.filter.plan_lines import plan_lines
from ansible_collections.homelab.ai.plugins.plugin_utils._plan import more
from ansible_collections.homelab.ai.plugins.plugin_utils._report import shares
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning import tune
from hypothesis import example, given
from hypothesis import strategies as st

FACTS = {"memory_mib": 15900, "cores": 8, "has_avx2": True, "storage": {"total_gib": 512, "class": "emmc"}}
TUNING = tune(FACTS, "core", {})
AUDITED: dict[str, Any] = {
    "homelab": {
        "zone": "desk",
        "cpu_cores": 8,
        "architecture": "x86_64",
        "nominal_ram_mb": 16384,
        "distribution": "Debian 12",
        "hypervisor": None,
        "container": None,
        "storage": {"total_gib": 512, "class": "emmc"},
    },
    "cpu": {"cpu": {"model": "A processor"}},
    "gpu": {"has_gpu": True, "gpu_name": "A GPU", "gpu_vram_mb": 24576},
}
PEER = {
    "name": "jetson",
    "reachable": True,
    "latency": {"mean_ms": 1.25, "jitter_ms": 0.5, "loss_percent": 0.0},
    "bandwidth": {"measured": True, "mbit_s": 940.2},
    "tailnet": {"path": "relayed"},
}
VOID = {"meta"}
GOLDEN = {path.stem: json.loads(path.read_text()) for path in Path(__file__).parents[1].glob("tuning/golden/*.json")}


def sized(name: str) -> dict[str, Any]:
    """homelab_tuning of a golden machine."""
    return tune(GOLDEN[name]["facts"], GOLDEN[name]["preset"], {})


class Page(HTMLParser):
    """Every element is closed in order; what a browser would load is collected."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        self.loaded += [value for name, value in attrs if name in ("src", "href") and value]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(text: str) -> Page:
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []
    return page


def test_the_plan_shows_each_component_with_its_binding_and_the_warnings() -> None:
    lines = plan_lines(TUNING, "pc")
    rows = {line.split()[0]: line for line in lines}
    assert set(TUNING["components"]) <= rows.keys()
    assert rows["postgres"].endswith("more memory") and rows["chunk"].endswith("floor_mib")
    assert any("homelab_tuning_overrides" in line and "{floor_mib: {chat: 900}}" in line for line in lines)
    assert any("emmc" in line and "warning" in line for line in lines)
    for missing in ("components", "profile", "warnings"):
        with pytest.raises(AnsibleFilterError, match="is no result of"):
            plan_lines({key: value for key, value in TUNING.items() if key != missing}, "pc")


def test_the_plan_says_what_moves_disks_and_what_is_switched_off() -> None:
    facts = FACTS | {"storage": {"total_gib": 512, "hdd_gib": 4000}}
    lines = plan_lines(tune(facts, "core", {"without": ["chat"]}), "pc")
    rows = {line.split()[0]: re.split(r"  +", line.strip())[-1] for line in lines}
    assert rows["chat"] == "without"
    assert rows["garage-hdd"] == rows["backups"] == "a larger hard disk"
    # An inventory may write the sizes itself, without a word of explanation.
    assert any(re.fullmatch(r"postgres .* -", line) for line in plan_lines(TUNING | {"explain": []}, "pc"))


@pytest.mark.parametrize(
    ("binding", "says"),
    [
        ("memory_mib", "more memory"),
        ("nominal_mib", "more memory"),
        ("memory_mib and allocatable_mib", "more memory and more allocatable memory"),
        ("allocatable_mib and cores", "more allocatable memory and more cores"),
        ("overrides.ollama_vram_percent and cores", "ollama_vram_percent and more cores"),
        ("storage.total_gib", "a larger disk"),
        ("gpu.devices", "a larger GPU"),
        ("cores and has_avx2", "more cores and AVX2"),
        ("overrides.settings.chat.context", "settings"),
    ],
)
def test_what_gives_more_is_said_in_words(binding: str, says: str) -> None:
    assert more(binding) == says


@pytest.mark.parametrize("name", [name for name, case in GOLDEN.items() if "error" not in case])
def test_the_plan_of_every_machine_fits_80_columns_beside_what_ansible_prints_around_a_line(name: str) -> None:
    assert max(map(len, plan_lines(sized(name), name))) + len('        "",') <= 80


def test_the_plan_says_what_would_give_another_replica() -> None:
    """The 32 GB desktop has cores but no memory for a third extractor; two processors are the opposite."""
    assert "another extract, graph, enrich by more memory" in plan_lines(sized("desktop-32gb"), "pc")
    lines = plan_lines(sized("this-machine-24gb"), "vm")
    assert {"another extract by more cores", "another graph by max_replicas"} <= set(lines)
    assert any(line.startswith("extract x2 ") for line in lines)


def test_the_plan_of_a_jetson_has_the_memory_of_its_models() -> None:
    text = " ".join(plan_lines(sized("jetson-orin-64gb"), "jetson"))
    assert f"models on the GPU may take {62800 * 0.7 / 1024:.1f} GiB of this memory" in text


def test_shares_add_up_to_the_machine() -> None:
    found = shares(TUNING)
    assert sum(amount for _name, amount in found["memory"]) == pytest.approx(TUNING["basis"]["nominal_mib"])
    assert sum(amount for _name, amount in found["cores"]) == pytest.approx(TUNING["basis"]["cores"])
    assert dict(found["memory"])["extract"] == (
        TUNING["components"]["extract"]["limit"]["memory_mib"] * TUNING["components"]["extract"]["replicas"]["max"]
    )


def test_the_page_has_every_machine_and_nothing_from_elsewhere() -> None:
    machines = [
        {"name": "desk", "facts": AUDITED, "tuning": TUNING, "network": {"peers": [PEER], "warnings": ["relayed"]}},
        {
            "name": "vm",
            "facts": {**AUDITED, "homelab": {**AUDITED["homelab"], "nominal_ram_mb": 6144}},
            "vm_of": "desk",
        },
        {"name": "gone", "problem": "no route to host"},
    ]
    text = fleet_report(machines, "html")
    page = parsed(text)
    assert page.seen.count("section") == 3 and page.loaded == [] and "script" not in page.seen
    assert not re.search(r"url\(|@import|https?://", text)
    for said in ("A GPU, 24.0 GiB", "940", "relayed", "no route to host", "rdctl set --virtual-machine.memory-in-gb 8"):
        assert said in text
    data = fleet_report(machines)
    assert [machine["name"] for machine in data["machines"]] == ["desk", "gone", "vm"]
    assert data["machines"][0]["links"] == [
        {
            "to": "jetson",
            "reachable": True,
            "mean_ms": 1.25,
            "jitter_ms": 0.5,
            "loss_percent": 0.0,
            "mbit_s": 940.2,
            "path": "relayed",
        }
    ]


@given(st.text(min_size=1), st.text())
@example("<b>desk", "<script>alert(1)</script>")
def test_names_and_reasons_are_text_and_never_markup(name: str, problem: str) -> None:
    page = parsed(fleet_report([{"name": name, "problem": problem}], "html"))
    assert set(page.seen) <= {"html", "head", "meta", "title", "style", "body", "h1", "h2", "section", "p"}


@pytest.mark.parametrize(
    ("machines", "form", "named"), [([{}], "html", "name"), (["x"], "data", "name"), ([], "pdf", "pdf")]
)
def test_input_of_another_shape_is_refused(machines: list[Any], form: str, named: str) -> None:
    with pytest.raises(AnsibleFilterError, match=named):
        fleet_report(machines, form)
