# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit on this machine, beside machines that are not there or cannot be audited."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ansible_collections.homelab.ai.plugins.module_utils._gpu import read_gpu

from tests.integration.roles.plays import ROOT, Plays, local
from tests.ports import free_port
from tests.unit.plugins.audit.recorded_machines import NAMES, build

SCHEMAS = {
    "homelab.fact": "homelab_fact",
    "cpu_capabilities.json": "cpu_capabilities",
    "gpu_info.json": "gpu_info",
    "storage_performance.json": "storage_performance",
    "network_profile.json": "network_profile",
}
AUDITED = {"homelab.fact", "cpu_capabilities.json", "gpu_info.json"}
GONE = {"ansible_host": "192.0.2.7", "ansible_ssh_common_args": "-o ConnectTimeout=1"}


def check(folder: Path) -> dict[str, dict[str, Any]]:
    """The files of a folder, each against its schema."""
    found = {}
    for path in folder.iterdir():
        found[path.name] = json.loads(path.read_text())
        data = ROOT / "plugins" / "plugin_utils" / "data" / f"{SCHEMAS[path.name]}.schema.json"
        jsonschema.Draft202012Validator(json.loads(data.read_text())).validate(found[path.name])
    return found


def test_the_files_are_right_and_a_second_run_changes_nothing(plays: Plays) -> None:
    folder = plays.folder / "facts.d"
    hosts = plays.inventory({"hosts": {"here": local(hardware_audit_facts_dir=str(folder), homelab_zone="desk")}})
    foretold = plays.run("homelab.ai.hardware_audit", hosts, "--check", "--diff")
    assert not folder.exists() and '+    "architecture"' in foretold.output
    plays.run("homelab.ai.hardware_audit", hosts)
    files = check(folder)
    assert files.keys() == AUDITED
    fact = files["homelab.fact"]
    memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal:"))
    assert fact["total_ram_mb"] == int(memory.split()[1]) // 1024
    assert fact["cpu_cores"] == os.cpu_count() and fact["architecture"] == platform.machine()
    assert fact["zone"] == "desk"
    assert fact["storage"]["total_gib"] == shutil.disk_usage("/var/lib").total >> 30
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert plays.run("homelab.ai.hardware_audit", hosts).changed("here") == 0
    assert plays.run("homelab.ai.hardware_audit", hosts, "--check", "--diff").changed("here") == 0
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    (folder / "homelab.fact").write_text("{}")
    assert plays.run("homelab.ai.hardware_audit", hosts, "--tags", "hardware_audit", "--diff").changed("here") == 1
    assert check(folder)["homelab.fact"] == fact
    setup = [str(Path(sys.executable).with_name("ansible")), "-i", str(hosts), "here", "-m", "setup"]
    setup += ["-a", f"gather_subset=!all,!min,local fact_path={folder}"]
    env = os.environ | {"ANSIBLE_HOME": str(plays.folder / "ansible"), "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"}
    said = subprocess.run(setup, env=env, capture_output=True, text=True, check=True, timeout=60).stdout
    assert json.loads(said.partition("=>")[2])["ansible_facts"]["ansible_local"]["homelab"] == fact


def test_a_machine_that_fails_does_not_stop_the_others(plays: Plays) -> None:
    folder = plays.folder / "facts.d"
    closed = plays.folder / "a-file"
    closed.write_text("where a directory should be")
    old = plays.folder / "old-python"
    old.write_text("#!/bin/sh\necho 'SyntaxError: too old' >&2\nexit 1\n")
    old.chmod(0o755)
    hosts = plays.inventory(
        {
            "hosts": {
                "gone": GONE,
                "old": local(ansible_python_interpreter=str(old)),
                "here": local(hardware_audit_facts_dir=str(folder)),
                "odd": local(hardware_audit_facts_dir=str(closed / "facts.d")),
            }
        }
    )
    play = plays.run("homelab.ai.hardware_audit", hosts)
    listed = [line.strip() for line in play.output.splitlines() if "NOT AUDITED" in line]
    assert any(line.startswith('"gone: NOT AUDITED.') and "connect" in line for line in listed)
    assert any(
        line.startswith('"odd: NOT AUDITED. Write the facts on the machine:') and f"{closed} is not a directory" in line
        for line in listed
    )
    assert any(line.startswith('"old: NOT AUDITED.') and "(SyntaxError: too old)" in line for line in listed)
    assert '"here: ' in play.output and check(folder).keys() == AUDITED
    strict = plays.run("homelab.ai.hardware_audit", hosts, "-e", "hardware_audit_strict=true", expect=2)
    assert "gone, odd, old could not be audited" in strict.output
    plays.run("homelab.ai.hardware_audit", hosts, "-e", "hardware_audit_strict=true", "--limit", "here")


def test_every_recorded_gpu_leads_to_a_profile(plays: Plays) -> None:
    cpu = {"memory_mib": 31846, "cpus": 8.0}
    storage = {"device": {"class": "nvme"}, "filesystem": {"size_bytes": 512 << 30}}
    found = {
        name: {
            "cpu_capabilities": {"cpu": {"effective": cpu, "has_avx2": True, "has_neon": False}},
            "gpu_info": read_gpu(build(name, plays.folder / "machines" / name))[0],
            "storage": storage,
        }
        for name in NAMES
    }
    computed = plays.folder / "computed.json"
    tasks: list[dict[str, Any]] = [
        {"ansible.builtin.include_vars": {"file": str(ROOT / "roles" / "hardware_audit" / "vars" / "main.yml")}},
        {
            "ansible.builtin.set_fact": {
                "computed": "{{ computed | default({}) | combine({item: __hardware_audit_machine"
                " | homelab.ai.tuning_profile(preset='core')}) }}"
            },
            "vars": {"__hardware_audit_found": "{{ found[item] }}"},
            "loop": list(NAMES),
            "loop_control": {"label": "{{ item }}"},
        },
        {"ansible.builtin.copy": {"content": "{{ computed | to_json }}", "dest": str(computed), "mode": "0600"}},
    ]
    playbook = plays.folder / "profiles.yml"
    playbook.write_text(json.dumps([{"hosts": "here", "gather_facts": False, "tasks": tasks}]))  # JSON is YAML
    (plays.folder / "found.json").write_text(json.dumps({"found": found}))
    hosts = plays.inventory({"hosts": {"here": local()}})
    plays.run(str(playbook), hosts, "-e", f"@{plays.folder / 'found.json'}")
    inference = {name: profile["inference"] for name, profile in json.loads(computed.read_text()).items()}
    kinds = {name: entry["accelerator"] for name, entry in inference.items()}
    assert kinds["jetson_orin_64"] == kinds["dgx_spark"] == "unified"
    with_gpu = {name for name in NAMES if found[name]["gpu_info"]["has_gpu"]}
    assert {name for name, kind in kinds.items() if kind != "none"} == with_gpu
    # What no model fits into is not added to what one fits into.
    assert inference["gpu_hades_canyon"]["budget_mib"] <= 4096


def test_a_machine_that_is_lost_on_the_way_is_listed(plays: Plays) -> None:
    found = "hardware_audit_facts is defined"
    lost = local(ansible_connection=f"{{{{ 'ssh' if {found} else 'local' }}}}", **GONE)
    machines = {"wrong": local(hardware_audit_location="moon"), "here": local(), "lost": lost}
    hosts = plays.inventory({"vars": {"hardware_audit_facts_dir": str(plays.folder / "facts.d")}, "hosts": machines})
    play = plays.run("homelab.ai.hardware_audit", hosts, "-e", "hardware_audit_strict=true", expect=4)
    for name in ("lost", "wrong"):
        assert f'"{name}: NOT AUDITED. It failed or was lost on the way' in play.output
    assert '"here: ' in play.output and "lost, wrong could not be audited" in play.output
    assert check(plays.folder / "facts.d").keys() == AUDITED


def test_batches_and_other_strategies_list_no_machine_as_missing(plays: Plays) -> None:
    facts = {"hardware_audit_facts_dir": str(plays.folder / "{{ inventory_hostname }}"), "hardware_audit_strict": True}
    hosts = plays.inventory({"vars": facts, "hosts": {"one": local(), "two": local()}})
    batches = plays.folder / "batches.yml"
    audit = {"role": "homelab.ai.hardware_audit"}
    batches.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "serial": 1, "roles": [audit]}]))
    for play in (
        plays.run(str(batches), hosts),
        plays.run("homelab.ai.hardware_audit", hosts, ANSIBLE_STRATEGY="free"),
    ):
        assert "NOT AUDITED" not in play.output and "run_once" not in play.output
        assert '"one: ' in play.output and '"two: ' in play.output


def test_a_peer_that_has_gone_costs_its_bandwidth_alone(plays: Plays) -> None:
    """And a machine whose links cannot be written is listed with the reason."""
    folder, closed = plays.folder / "facts.d", plays.folder / "a-file"
    closed.write_text("where a directory should be")
    # Nobody can start the server on it, but it measures by itself.
    away = "{{ 'ssh' if __hardware_audit_peer | default('') == 'away' else 'local' }}"
    machines = {
        "here": local(ansible_host="127.0.0.1", hardware_audit_facts_dir=str(folder)),
        "away": local(
            ansible_connection=away,
            ansible_host="127.0.0.9",
            ansible_port=9,  # where no SSH server listens
            hardware_audit_facts_dir=str(closed / "facts.d"),
        ),
    }
    seconds = {"hardware_audit_benchmark_seconds": 1}
    hosts = plays.inventory({"vars": seconds, "hosts": machines})
    play = plays.run("homelab.ai.hardware_audit", hosts, "--tags", "network_benchmark")
    (peer,) = check(folder)["network_profile.json"]["peers"]
    assert peer["name"] == "away" and peer["reachable"] and not peer["bandwidth"]["measured"]
    reason = peer["bandwidth"]["reason"]
    assert reason.startswith("iperf3 -s on away: ") and "Failed to connect to the host via ssh" in reason
    assert '"away: NOT AUDITED. Write the facts on the machine: ' in play.output and '"here: ' in play.output


@pytest.mark.parametrize("name", ["my desktop", "büro-pc"])
def test_a_machine_whose_name_is_no_address_costs_the_links_to_it_alone(plays: Plays, name: str) -> None:
    machines = {"here": local(ansible_host="127.0.0.1"), name: local(), "nas": local(ansible_host="127.0.0.9")}
    for host, machine in machines.items():
        machine["hardware_audit_facts_dir"] = str(plays.folder / host / "facts.d")
    variables = {"hardware_audit_benchmark_seconds": 1}
    hosts = plays.inventory({"vars": variables, "hosts": machines})
    play = plays.run("homelab.ai.hardware_audit", hosts, "--tags", "network_benchmark")
    assert "NOT AUDITED" not in play.output
    for host in machines:
        peers = check(plays.folder / host / "facts.d")["network_profile.json"]["peers"]
        reachable = {peer["name"]: peer["reachable"] for peer in peers}
        assert reachable == {other: other != name for other in machines if other != host}
        assert all(
            f"address {name!r} is neither" in peer["latency"]["reason"] for peer in peers if peer["name"] == name
        )


@pytest.mark.skipif(not shutil.which("iperf3"), reason="iperf3 is not installed (Debian: apt-get install iperf3)")
def test_a_server_that_cannot_start_says_why(plays: Plays) -> None:
    """And one that nobody reaches leaves it to the client to say so."""
    iperf = plays.folder / "bin" / "iperf3"
    iperf.parent.mkdir()
    program = f"""#!/bin/sh
    case "$*" in
      *"--client 127.0.0.7"*) echo '{{"error": "no route to it"}}' ;;
      *"-B 127.0.0.8"*) exec {iperf}-gone ;;
      *) exec {shutil.which("iperf3")} "$@" ;;
    esac
    """
    iperf.write_text(program)
    iperf.chmod(0o755)
    variables = {
        "hardware_audit_facts_dir": str(plays.folder / "{{ inventory_hostname }}"),
        "hardware_audit_benchmark_seconds": 1,
        "hardware_audit_iperf3_port": free_port(),
        "ansible_async_dir": str(plays.folder / "jobs"),
    }
    addresses = {"taken": "127.0.0.6", "far": "127.0.0.7", "without": "127.0.0.8"}
    machines = {name: local(ansible_host=address) for name, address in addresses.items()}
    hosts = plays.inventory({"vars": variables, "hosts": machines})
    with socket.socket() as taken:
        taken.bind((addresses["taken"], variables["hardware_audit_iperf3_port"]))
        path = f"{iperf.parent}:{os.environ['PATH']}"
        plays.run("homelab.ai.hardware_audit", hosts, "--tags", "network_benchmark", PATH=path)
    reasons = {}
    for name in machines:
        for peer in check(plays.folder / name)["network_profile.json"]["peers"]:
            assert peer["reachable"] and not peer["bandwidth"]["measured"], peer
            reasons[peer["name"]] = peer["bandwidth"]["reason"]
    assert reasons["taken"].startswith("iperf3 -s on taken: iperf3: error - unable to start listener")
    assert "Address already in use" in reasons["taken"] and "(here: iperf3: " in reasons["taken"]
    assert reasons["without"].startswith("iperf3 -s on without: ") and f"{iperf}-gone: not found" in reasons["without"]
    # Neither is it the server that the machine before has started in vain.
    assert reasons["far"].startswith("iperf3: no route to it. Does iperf3 -s -p ")
    assert not list((plays.folder / "jobs").iterdir()), "the servers have left something behind"


ELSEWHERE = """
from ansible.plugins.connection import local

DOCUMENTATION = local.DOCUMENTATION.replace("name: local", "name: elsewhere")


class Connection(local.Connection):
    transport = "elsewhere"
"""


def test_loopback_is_for_machines_that_are_one(plays: Plays) -> None:
    """To any other it is the machine that measures."""
    plugin = plays.folder / "connection" / "elsewhere.py"
    plugin.parent.mkdir()
    plugin.write_text(ELSEWHERE)
    machines = {
        "here": {"ansible_host": "localhost"},
        "too": {"ansible_host": "127.0.0.9"},
        "there": {"ansible_host": "127.0.0.1", "ansible_connection": "elsewhere"},
    }
    for host, machine in machines.items():
        machine["hardware_audit_facts_dir"] = str(plays.folder / host / "facts.d")
        machine["ansible_python_interpreter"] = sys.executable
    hosts = plays.inventory({"vars": {"hardware_audit_benchmark_seconds": 1}, "hosts": machines})
    audit = ("homelab.ai.hardware_audit", hosts, "--tags", "network_benchmark", "--connection", "local")
    plays.run(*audit, ANSIBLE_CONNECTION_PLUGINS=str(plugin.parent))
    for host in machines:
        for peer in check(plays.folder / host / "facts.d")["network_profile.json"]["peers"]:
            assert peer["reachable"] is ("there" not in (host, peer["name"])), peer
            assert peer["reachable"] or f"of {peer['name']} to where other machines" in peer["latency"]["reason"]


def test_where_a_machine_keeps_no_files_they_stay_on_the_controller(plays: Plays) -> None:
    target, controller = plays.folder / "facts.d", plays.folder / "controller"
    variables = {"hardware_audit_facts_dir": str(target), "hardware_audit_controller_dir": str(controller)}
    hosts = plays.inventory(
        {
            "vars": variables,
            "hosts": {
                "yellow": local(),
                "chosen": local(hardware_audit_location="controller"),
            },
        }
    )
    # The environment by which an app of Home Assistant OS knows its supervisor.
    plays.run("homelab.ai.hardware_audit", hosts, SUPERVISOR_TOKEN="not a secret")
    assert not target.exists()
    assert check(controller / "yellow").keys() == check(controller / "chosen").keys() == AUDITED
    assert plays.run("homelab.ai.hardware_audit", hosts, SUPERVISOR_TOKEN="not a secret").changed("yellow") == 0


def test_without_root_the_facts_stay_on_the_controller(plays: Plays) -> None:
    """Although the inventory asks for root everywhere: sudo fails on the machine, and is not for the controller."""
    target, controller = plays.folder / "facts.d", plays.folder / "controller"
    user = plays.folder / "python-of-a-user"
    drop = "setpriv --reuid 65534 --regid 65534 --clear-groups " if os.geteuid() == 0 else ""
    user.write_text(f'#!/bin/sh\nexec {drop}/usr/bin/python3 "$@"\n')
    user.chmod(0o755)
    variables = {
        "ansible_become": True,
        "ansible_become_exe": "/no/such/sudo",
        "hardware_audit_facts_dir": str(target),
        "hardware_audit_controller_dir": "controller",  # relative to where the playbook is started
    }
    machine = local(ansible_python_interpreter=str(user))
    hosts = plays.inventory({"vars": variables, "hosts": {"here": machine}})
    # Pipelining: the user may not read what root would copy. Without the other, sudo is left out from root to root.
    audit = partial(
        plays.run, "homelab.ai.hardware_audit", hosts, ANSIBLE_PIPELINING="1", ANSIBLE_BECOME_ALLOW_SAME_USER="1"
    )
    play = audit()
    assert f"; facts on this controller, in {controller}/here" in play.output
    assert check(controller / "here").keys() == AUDITED and not target.exists()
    assert audit().changed("here") == 0


@pytest.mark.skipif(not shutil.which("fio"), reason="fio is not installed (Debian: apt-get install fio)")
@pytest.mark.skipif(not shutil.which("iperf3"), reason="iperf3 is not installed (Debian: apt-get install iperf3)")
def test_each_benchmark_runs_with_its_tag_alone(plays: Plays) -> None:
    folders = {name: plays.folder / name for name in ("one", "two")}
    jobs = plays.folder / "jobs"
    small = {
        "hardware_audit_benchmark_size_mib": 64,
        "hardware_audit_benchmark_seconds": "1",  # text, as of -e
        "ansible_async_dir": str(jobs),
    }
    machines = {
        "one": local(ansible_host="192.0.2.1", hardware_audit_address="localhost"),
        "two": local(ansible_host="127.0.0.2"),
    }
    for name, machine in machines.items():
        machine["hardware_audit_facts_dir"] = str(folders[name])
    hosts = plays.inventory({"vars": small, "hosts": machines})
    log = plays.folder / "iperf3.log"
    iperf = plays.folder / "bin" / "iperf3"
    iperf.parent.mkdir()
    iperf.write_text(f'#!/bin/sh\necho "$*" >> {log}\nexec {shutil.which("iperf3")} "$@"\n')
    iperf.chmod(0o755)
    plays.run("homelab.ai.hardware_audit", hosts, "--tags", "storage_benchmark", "--limit", "one")
    assert check(folders["one"]).keys() == {"storage_performance.json"}
    path = f"{iperf.parent}:{os.environ['PATH']}"
    plays.run("homelab.ai.hardware_audit", hosts, "--tags", "network_benchmark", PATH=path)
    found = check(folders["one"])
    assert found.keys() == {"storage_performance.json", "network_profile.json"}
    (peer,) = found["network_profile.json"]["peers"]
    assert peer["name"] == "two" and peer["reachable"] and peer["bandwidth"]["measured"], peer
    assert jobs.is_dir() and not list(jobs.iterdir()), "the servers have left something behind"
    (other,) = check(folders["two"])["network_profile.json"]["peers"]
    assert (other["name"], other["address"]) == ("one", "localhost") and other["bandwidth"]["measured"]
    # A machine may know its own name by another address than its peers do, such as 127.0.1.1.
    servers = {line.split()[3] for line in log.read_text().splitlines() if line.startswith("-s -1 -B ")}
    assert "127.0.0.2" in servers and servers - {"127.0.0.2"} <= {"127.0.0.1", "::1"} and len(servers) == 2
    before = {path: path.read_bytes() for path in folders["one"].iterdir()}
    plays.run("homelab.ai.hardware_audit", hosts)
    assert {path: path.read_bytes() for path in folders["one"].iterdir() if path in before} == before
    assert check(folders["one"]).keys() == AUDITED | {path.name for path in before}
