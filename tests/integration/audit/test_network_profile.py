# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""network_profile between two network namespaces over a shaped link, and over loopback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from module_runner import Runner

from tests.ports import free_port

from .conftest import need, validate

HERE, PEER = "198.18.53.1", "198.18.53.2"  # RFC 2544: addresses for benchmarks
HERE_ITSELF = {"address": "127.0.0.1", "same_host": True}
RATE, DELAY = 50, 20  # Mbit/s, ms


@dataclass
class Link:
    """Two namespaces; `delay` is whether the link is also made longer."""

    here: str
    peer: str
    delay: bool


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def serve(address: str, port: int, *before: str) -> subprocess.Popen[bytes]:
    """As the role starts it: for one test, on one address, and never for longer than a minute."""
    command = [*before, "timeout", "60", "iperf3", "-s", "-1", "-B", address, "-p", str(port)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture
def network(runner: Runner) -> Runner:
    need("ping", "iperf3")
    return replace(runner, module="network_profile", defaults={"count": 3, "duration": 1})


@pytest.fixture
def link() -> Iterator[Link]:
    need("ip", "tc")
    here, peer = (f"hl-{side}-{os.getpid()}" for side in ("here", "peer"))
    steps = [
        f"ip netns add {here}",
        f"ip netns add {peer}",
        f"ip -n {here} link add here type veth peer name peer netns {peer}",
        f"ip -n {here} addr add {HERE}/30 dev here",
        f"ip -n {peer} addr add {PEER}/30 dev peer",
        f"ip -n {here} link set here up",
        f"ip -n {peer} link set peer up",
        f"ip -n {here} link set lo up",
        f"tc -n {here} qdisc add dev here root handle 1: tbf rate {RATE}mbit burst 32kbit latency 100ms",
    ]
    try:
        for step in steps:
            done = run(*step.split())
            if done.returncode:
                pytest.skip(f"network namespaces cannot be shaped here: {step}: {done.stderr.strip()}")
        delayed = run(*f"tc -n {peer} qdisc add dev peer root netem delay {DELAY}ms".split())
        if delayed.returncode:
            print(f"no netem in this kernel, so the link has no delay: {delayed.stderr.strip()}")
        yield Link(here, peer, delayed.returncode == 0)
    finally:
        for name in (here, peer):
            run("ip", "netns", "delete", name)


def inside(runner: Runner, namespace: str, tmp_path: Path) -> Runner:
    """The module's Python runs in the namespace."""
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nexec ip netns exec {namespace} {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    return replace(runner, python=str(wrapper))


def test_shaped_link(network: Runner, link: Link, tmp_path: Path) -> None:
    server = serve(PEER, 5201, "ip", "netns", "exec", link.peer)
    try:
        peers = [{"name": "other zone", "address": PEER, "iperf3_port": 5201}]
        (result,) = inside(network, link.here, tmp_path)({"peers": peers}).tasks
        assert not result.get("failed"), result
        # The server has ended with its one test; nobody had to stop it.
        assert server.wait(30) == 0
    finally:
        server.kill()
        server.wait(10)
    assert result["changed"] is False
    found = result["network_profile"]
    validate("network_profile", found)
    (peer,) = found["peers"]
    assert peer["reachable"] and peer["latency"]["method"] == "icmp" and peer["latency"]["loss_percent"] == 0
    # tbf lets no more through than its rate, and its burst; an unshaped veth carries more than 1 Gbit/s.
    assert peer["bandwidth"]["measured"] and RATE / 5 < peer["bandwidth"]["mbit_s"] < RATE * 1.2
    if link.delay:
        assert peer["latency"]["min_ms"] >= DELAY
    assert peer["tailnet"]["path"] == "none" and peer["tailnet"]["reason"]


def test_blocked_and_silent_peers(network: Runner, link: Link, tmp_path: Path) -> None:
    run("ip", "netns", "exec", link.peer, "sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=1")
    peers = [
        {"name": "blocked", "address": PEER},
        {"name": "unroutable", "address": "203.0.113.1", "iperf3_port": 5201},
        {"name": "nameless", "address": "no.such.invalid"},
    ]
    (result,) = inside(network, link.here, tmp_path)({"peers": peers}).tasks
    found = result["network_profile"]
    validate("network_profile", found)
    blocked, unroutable, nameless = found["peers"]
    # Nothing listens on port 22 there, and the refusal is an answer.
    assert blocked["reachable"] and blocked["latency"]["method"] == "tcp"
    assert blocked["latency"]["reason"] == "no answer to ICMP"
    assert not unroutable["reachable"] and "unreachable" in unroutable["latency"]["reason"]
    assert not unroutable["bandwidth"]["measured"] and "iperf3" in unroutable["bandwidth"]["reason"]
    assert not nameless["reachable"] and "cannot be resolved" in nameless["latency"]["reason"]
    assert found["warnings"] == ["no answer from unroutable", "no answer from nameless"]


def test_loopback_waits_for_the_server(network: Runner) -> None:
    port = free_port()
    late = f"sleep 2; exec timeout 60 iperf3 -s -1 -B 127.0.0.1 -p {port}"
    server = subprocess.Popen(["sh", "-c", late], stdout=subprocess.DEVNULL)
    try:
        peers = [{"name": "here", **HERE_ITSELF, "iperf3_port": port}]
        check, real = network({"peers": peers, "check": True, "count": 1}, {"peers": peers, "count": 1}).tasks
        assert server.wait(30) == 0
    finally:
        server.kill()
        server.wait(10)
    # Had check mode connected, the server for one test would have been gone.
    assert "network_profile" not in check and check["plan"] == real["plan"]
    validate("network_profile", real["network_profile"])
    assert real["network_profile"]["peers"][0]["bandwidth"]["mbit_s"] > 0


def test_without_tools(network: Runner, tmp_path: Path) -> None:
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nPATH=/nonexistent exec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    peers = [{"name": "here", **HERE_ITSELF, "tcp_port": free_port(), "iperf3_port": 5201}]
    (result,) = replace(network, python=str(wrapper))({"peers": peers}).tasks
    found = result["network_profile"]
    validate("network_profile", found)
    (peer,) = found["peers"]
    assert peer["latency"]["method"] == "tcp" and "apt install iputils-ping" in peer["latency"]["reason"]
    assert "apt install iperf3" in peer["bandwidth"]["reason"]
    assert peer["tailnet"] == {"path": "none", "reason": "tailscale is not on this host"}


def test_tools_that_lie(network: Runner, tmp_path: Path) -> None:
    for tool, prints in (("ping", "4 packets"), ("iperf3", '{"end": 1}'), ("tailscale", "[]")):
        (tmp_path / tool).write_text(f"#!/bin/sh\necho '{prints}'\n")
        (tmp_path / tool).chmod(0o755)
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nPATH={tmp_path}:$PATH exec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    peers = [{"name": "here", **HERE_ITSELF, "tcp_port": free_port(), "iperf3_port": 5201}]
    (result,) = replace(network, python=str(wrapper))({"peers": peers}).tasks
    found = result["network_profile"]
    validate("network_profile", found)
    (peer,) = found["peers"]
    assert peer["latency"]["method"] == "tcp" and "ping failed" in peer["latency"]["reason"]
    assert "ended early" in peer["bandwidth"]["reason"]
    assert "printed no status" in peer["tailnet"]["reason"]


def test_refusals(network: Runner) -> None:
    good = {"name": "a", "address": "192.0.2.1"}
    messages = network.failures(
        {"peers": [good, {**good, "name": "b", "iperf3_port": 0}]},
        {"peers": [good, good]},
        {"peers": [good], "count": 0},
    )
    for message, part in zip(messages, ("iperf3_port of peer b is 0", "more than once", "count is 0"), strict=True):
        assert part in message


def test_a_bad_address_costs_its_link_alone(network: Runner) -> None:
    port = free_port()
    addresses = {"my desktop": "my desktop", "büro-pc": "büro-pc", "option": "--help", "nothing": ""}
    peers: list[dict[str, object]] = [
        {"name": name, "address": address, "iperf3_port": port} for name, address in addresses.items()
    ]
    peers.append({"name": "here", **HERE_ITSELF})
    check, real = network({"peers": peers, "check": True}, {"peers": peers}).tasks
    found = real["network_profile"]
    validate("network_profile", found)
    *bad, good = found["peers"]
    assert check["plan"] == real["plan"] and good["reachable"]
    for peer, step, warning in zip(bad, real["plan"][: len(bad)], found["warnings"], strict=True):
        reason = peer["latency"]["reason"]
        assert reason.startswith(f"address {peer['address']!r} is neither a host name nor an IP address")
        assert reason.endswith(f"set ansible_host or hardware_audit_address of {peer['name']}")
        assert not peer["reachable"] and peer["latency"]["method"] == "none"
        assert {part["reason"] for part in (peer["bandwidth"], peer["tailnet"])} == {reason}
        assert step == f"{peer['name']}: nothing, because {reason}"
        assert warning == f"the link to {peer['name']} was not measured: {reason}"


def test_a_name_that_leads_here_is_not_measured(network: Runner) -> None:
    (result,) = network({"peers": [{"name": "desktop", "address": "localhost"}]}).tasks
    found = result["network_profile"]
    validate("network_profile", found)
    (peer,) = found["peers"]
    assert not peer["reachable"] and "so that this host would measure itself" in peer["latency"]["reason"]
