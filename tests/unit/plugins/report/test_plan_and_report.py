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
from ansible_collections.homelab.ai.plugins.plugin_utils._report_page import FAMILIES, STYLE, page
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
        self.targets: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        # A place on the page itself is not loaded.
        self.loaded += [value for name, value in attrs if name in ("src", "href") and value and value[0] != "#"]
        self.targets += [value[1:] for name, value in attrs if name == "href" and value and value[0] == "#"]
        self.ids += [value for name, value in attrs if name == "id" and value]

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
    assert page.targets == page.ids == ["machine-1", "machine-2", "machine-3"]
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


@pytest.mark.parametrize("name", [name for name, case in GOLDEN.items() if "error" not in case])
def test_the_bars_of_every_machine_add_up_to_what_it_has(name: str) -> None:
    tuning, facts = sized(name), GOLDEN[name]["facts"]
    found = shares(tuning)
    whole = {"memory": tuning["basis"]["nominal_mib"], "cores": facts["cores"], "disk": facts["storage"]["total_gib"]}
    if "hdd_gib" in facts["storage"]:
        whole["hard_disk"] = facts["storage"]["hdd_gib"]
    assert {what: pytest.approx(sum(amount for _name, amount in parts)) for what, parts in found.items()} == whole
    assert all(amount >= 0 for parts in found.values() for _name, amount in parts)
    assert dict(found["memory"])["host"] == tuning["node"]["reserved_mib"]
    # The kernel of a machine sees less than what it was sold with.
    assert dict(found["memory"])["firmware"] == tuning["basis"]["nominal_mib"] - facts["memory_mib"]


def test_the_disk_holds_the_system_beside_the_components_and_a_hard_disk_is_another_bar() -> None:
    found = shares(sized("workstation-128gb-gpu"))
    assert dict(found["disk"])["system and models"] == 16 + 4 + 8  # reserved_gib of tuning_profiles.json
    assert [name for name, _amount in found["hard_disk"]] == ["garage-hdd", "backups", "left"]


def test_data_and_page_have_the_same_shares() -> None:
    (machine,) = fleet_report([{"name": "pc", "facts": AUDITED, "tuning": TUNING}])["machines"]
    assert machine["shares"] == {what: dict(parts) for what, parts in shares(TUNING).items()}
    assert machine["zone"] == "desk"


def test_sizes_that_an_inventory_defines_without_reasons_are_drawn_too() -> None:
    bare = {**TUNING, "explain": [], "warnings": []}
    parsed(fleet_report([{"name": "pc", "facts": AUDITED, "tuning": bare}], "html"))
    assert plan_lines(bare, "pc")


@pytest.mark.parametrize("number", [0, 1, 2, 30])
def test_a_fleet_of_any_size_has_a_line_for_each_machine(number: int) -> None:
    machines = [{"name": f"m{index:02}", "facts": AUDITED, "tuning": TUNING} for index in range(number)]
    page = parsed(fleet_report(machines, "html"))
    assert page.seen.count("section") == len(page.ids) == number
    assert page.targets == (page.ids if number > 1 else [])


def test_what_is_slow_is_said_where_sizes_are_missing_too() -> None:
    facts = {**AUDITED, "cpu": {"has_avx2": False, "has_neon": False}}
    (machine,) = fleet_report([{"name": "yellow", "facts": facts, "problem": "preset core does not fit"}])["machines"]
    assert [warning.split(":")[0] for warning in machine["warnings"]] == [
        "No AVX2 and no NEON",
        "The database is on emmc",
    ]


def test_several_graphics_processors_are_counted() -> None:
    device = {"name": "NVIDIA RTX A5000", "memory_mib": 24564}
    gpu = {**AUDITED["gpu"], "gpu": {"devices": [device, device, {"name": None, "memory_mib": None}]}}
    text = fleet_report([{"name": "pc", "facts": {**AUDITED, "gpu": gpu}}], "html")
    assert "2 x NVIDIA RTX A5000, 24.0 GiB · GPU" in text


def test_a_zone_of_digits_and_a_link_that_was_not_measured_are_shown() -> None:
    numbered = {**AUDITED, "homelab": {**AUDITED["homelab"], "zone": 1}}
    silent = {"name": "cabin", "reachable": False}
    untimed = {"name": "attic", "reachable": True, "latency": {"loss_percent": None}}
    text = fleet_report([{"name": "pc", "facts": numbered, "network": {"peers": [PEER, silent, untimed]}}], "html")
    assert "1 · 8 x A processor" in text and "no answer" in text and "not measured" in text


@given(st.text(min_size=1), st.text(min_size=1))
@example("<b>GPU", "'\"><script>alert(1)</script>")
def test_what_machines_report_is_text_and_never_markup(name: str, word: str) -> None:
    homelab = {**AUDITED["homelab"], "zone": word, "distribution": word, "hypervisor": word}
    facts = {"homelab": homelab, "cpu": {"cpu": {"model": word}}, "gpu": {"has_gpu": True, "gpu_name": word}}
    said = {"peers": [{**PEER, "name": word, "tailnet": {"path": word}}], "warnings": [word.replace("`", "")]}
    plain = fleet_report(
        [{"name": "a", "facts": AUDITED, "tuning": TUNING, "network": {"peers": [PEER], "warnings": ["b"]}}]
    )
    odd = {"name": name, "facts": facts, "tuning": {**TUNING, "profile": word}, "network": said, "vm_of": word}
    assert parsed(fleet_report([odd], "html")).seen == parsed(page(plain)).seen


def test_colours_keep_apart_from_both_backgrounds_and_under_white_letters() -> None:
    """WCAG 2.2: 3:1 for parts of a picture (1.4.11), 4.5:1 for small letters (1.4.3)."""
    colours = [colour for colour, _names in FAMILIES.values() if colour != "transparent"]
    for colour in colours:
        assert contrast(colour, "#ffffff") >= 4.5 and contrast(colour, "#0d1117") >= 3, colour
    light, dark = (dict(re.findall(r"--(\w+):(#\w+)", part)) for part in STYLE.partition("}}")[0].split("@media"))
    for scheme in (light, dark):
        for letters in ("fore", "soft", "warn", "bad"):
            assert contrast(scheme[letters], scheme["back"]) >= 4.5, letters


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2), of #rgb or #rrggbb."""
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    parts = [int(digits[start : start + 2], 16) / 255 for start in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


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
