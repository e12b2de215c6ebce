# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from ansible_collections.homelab.ai.plugins.module_utils import _network
from ansible_collections.homelab.ai.plugins.module_utils._network import (
    NetworkError,
    check_options,
    measure_tailnet,
    refusal,
)
from ansible_collections.homelab.ai.plugins.module_utils._network_parse import (
    NetworkParseError,
    in_tailnet,
    latency_figures,
    parse_iperf,
    parse_ping,
    parse_tailscale_ping,
    parse_tailscale_status,
    ping_not_permitted,
)
from ansible_collections.homelab.ai.plugins.module_utils._tool import Done
from hypothesis import given
from hypothesis import strategies as st
from recorded_outputs import FOLDER, recorded

TEXTS = st.text() | st.sampled_from(sorted(path.name for path in FOLDER.iterdir())).flatmap(
    lambda name: st.tuples(st.just(recorded(name)), st.integers(0, 3000), st.integers(0, 60), st.text(max_size=4)).map(
        lambda parts: parts[0][: parts[1]] + parts[3] + parts[0][parts[1] + parts[2] :]
    )
)


@pytest.mark.parametrize(
    ("name", "expect"),
    [
        # The expected figures are ping's own rtt line, where it prints one.
        ("ping_iputils.txt", {"sent": 5, "received": 5, "loss_percent": 0.0, "min_ms": 0.021, "max_ms": 0.034}),
        ("ping_busybox.txt", {"sent": 3, "received": 3, "min_ms": 0.020, "mean_ms": 0.042, "max_ms": 0.057}),
        ("ping_ipv6.txt", {"sent": 3, "received": 3, "min_ms": 0.033, "mean_ms": 0.084, "max_ms": 0.183}),
        ("ping_blackhole.txt", {"sent": 3, "received": 0, "loss_percent": 100.0}),
    ],
)
def test_ping(name: str, expect: dict[str, Any]) -> None:
    found = parse_ping(recorded(name))
    assert {key: found[key] for key in expect} == expect
    assert ("mean_ms" in found) is (found["received"] > 0)


def test_ping_loss_is_pings_own() -> None:
    text = recorded("ping_loss.txt")
    found = parse_ping(text)
    assert found["sent"] == 20 and 0 < found["received"] < 20
    assert f"{found['received']} received, {found['loss_percent']:g}% packet loss" in text


def test_ping_jitter_by_hand() -> None:
    # 0.021 0.033 0.032 0.034 0.033: steps of 0.012, 0.001, 0.002 and 0.001
    assert parse_ping(recorded("ping_iputils.txt"))["jitter_ms"] == 0.004


def test_ping_duplicates_do_not_count() -> None:
    line = "64 bytes from 127.0.0.1: icmp_seq=2 ttl=64 time=0.033 ms"
    text = recorded("ping_iputils.txt")
    assert line in text
    assert parse_ping(text.replace(line, f"{line}\n{line} (DUP!)")) == parse_ping(text)


@pytest.mark.parametrize("name", ["ping_not_permitted.txt", "ping_not_permitted_busybox.txt", "ping_unknown_host.txt"])
def test_ping_that_has_not_measured(name: str) -> None:
    text = recorded(name)
    assert ping_not_permitted(text) is ("not_permitted" in name)
    with pytest.raises(NetworkParseError, match="no summary"):
        parse_ping(text)


@given(st.lists(st.floats(0, 1e4), max_size=20), st.integers(0, 10))
def test_latency_figures(times: list[float], lost: int) -> None:
    found = latency_figures(len(times) + lost, times)
    assert found["received"] + lost == found["sent"]
    assert 0 <= found["loss_percent"] <= 100
    if times:
        assert found["min_ms"] <= found["mean_ms"] + 1e-3 and found["mean_ms"] <= found["max_ms"] + 1e-3
        assert 0 <= found["jitter_ms"] <= found["max_ms"] - found["min_ms"] + 2e-3


def test_iperf() -> None:
    raw = json.loads(recorded("iperf3_ok.json"))["end"]
    found = parse_iperf(recorded("iperf3_ok.json"))
    assert found["mbit_s"] == pytest.approx(raw["sum_received"]["bits_per_second"] / 1e6, abs=0.1)
    assert found["retransmits"] == raw["sum_sent"]["retransmits"]
    with pytest.raises(NetworkParseError, match="Connection refused"):
        parse_iperf(recorded("iperf3_refused.json"))
    with pytest.raises(NetworkParseError, match="ended early"):
        parse_iperf('{"end": {"sum_received": {"bits_per_second": "fast"}}}')


@pytest.mark.parametrize(
    ("name", "expect"),
    [
        ("tailscale_ping_direct.txt", {"path": "direct", "via": "1.2.3.4:56126"}),
        ("tailscale_ping_relayed.txt", {"path": "relayed", "via": "tok"}),
        ("tailscale_ping_peer_relay.txt", {"path": "peer_relay", "via": "34.86.39.188:50000:vni:10318"}),
        ("tailscale_ping_no_reply.txt", None),
    ],
)
def test_tailscale_ping(name: str, expect: Any) -> None:
    assert parse_tailscale_ping(recorded(name)) == expect


def test_tailscale_status() -> None:
    text = recorded("tailscale_status_running.json").replace(
        '"DNSName": "desktop"', '"DNSName": "desktop.example.ts.net."'
    )
    nodes = parse_tailscale_status(text)
    known = ["100.64.0.2", "FD7A:115C:A1E0:AB12:4843:CD96:6240:0002", "Desktop.example.ts.net", "100.64.0.4"]
    assert [in_tailnet(nodes, address) for address in known] == [True] * 4
    # Not this host itself, and nobody else.
    assert [in_tailnet(nodes, address) for address in ("100.64.0.1", "192.168.1.1", "desktop")] == [False] * 3
    with pytest.raises(NetworkParseError, match=r"'NeedsLogin'.*tailscale up"):
        parse_tailscale_status(recorded("tailscale_status_needs_login.json"))


@pytest.mark.parametrize(
    ("address", "output", "expect"),
    [
        ("100.64.0.2", "tailscale_ping_direct.txt", {"path": "direct", "via": "1.2.3.4:56126"}),
        ("100.64.0.3", "tailscale_ping_relayed.txt", {"path": "relayed", "via": "tok"}),
    ],
)
def test_tailnet(address: str, output: str, expect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_network, "run_tool", lambda *_arguments: Done(0, recorded(output), ""))
    nodes = parse_tailscale_status(recorded("tailscale_status_running.json"))
    assert measure_tailnet("tailscale", nodes, "", address) == expect
    assert measure_tailnet("tailscale", nodes, "", "192.0.2.1")["reason"] == "192.0.2.1 is no address of this tailnet"
    assert measure_tailnet("tailscale", set(), "logged out", address) == {"path": "none", "reason": "logged out"}


def test_a_short_name_of_the_tailnet_is_known_by_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"desktop": [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("100.64.0.2", 0))]}

    def resolve(name: str, *_arguments: Any, **_options: Any) -> Any:
        if name not in names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return names[name]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    direct = Done(0, recorded("tailscale_ping_direct.txt"), "")
    monkeypatch.setattr(_network, "run_tool", lambda *_arguments: direct)
    full = '"DNSName": "desktop.example.ts.net."'
    nodes = parse_tailscale_status(recorded("tailscale_status_running.json").replace('"DNSName": "desktop"', full))
    assert measure_tailnet("tailscale", nodes, "", "desktop")["path"] == "direct"
    assert measure_tailnet("tailscale", nodes, "", "nas")["reason"] == "nas is no address of this tailnet"


def test_a_node_that_has_just_gone_has_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    # Its status, in the same recording, is still: active, by the relay.
    gone = json.loads(recorded("tailscale_status_running.json"))["Peer"]
    assert [peer["Relay"] for peer in gone.values() if peer["HostName"] == "gone" and peer["Active"]] == ["test"]
    nodes = parse_tailscale_status(recorded("tailscale_status_running.json"))
    silent = Done(1, recorded("tailscale_ping_no_reply.txt"), "no reply\n")
    monkeypatch.setattr(_network, "run_tool", lambda *_arguments: silent)
    reason = 'no answer to tailscale ping: ping "100.64.0.5" timed out; no reply'
    assert measure_tailnet("tailscale", nodes, "", "100.64.0.5") == {"path": "unknown", "reason": reason}


@given(TEXTS)
def test_parsers_survive_garbage(text: str) -> None:
    for parse in (parse_ping, parse_iperf, parse_tailscale_status):
        try:
            found: Any = parse(text)
        except NetworkParseError as error:
            assert str(error)
            continue
        if parse is parse_ping:
            assert 0 <= found["received"] <= found["sent"]
    path = parse_tailscale_ping(text)
    assert path is None or path["path"] in ("direct", "relayed", "peer_relay")


def peer(**options: Any) -> dict[str, Any]:
    return {"name": "a", "address": "192.0.2.1", "same_host": False, "tcp_port": 22, "iperf3_port": None, **options}


@pytest.mark.parametrize(
    "address", ["192.0.2.1", "nas", "nas.example.org.", "100.64.0.1", "fe80::1%eth0", "2001:db8::1", "x-1"]
)
def test_good_addresses(address: str) -> None:
    assert refusal(peer(address=address), {address}) == ""


@pytest.mark.parametrize(
    "address", ["", "-c", "--help", "a b", "a;b", "$(id)", "a/b", "1.2.3.4\n", "ä", ":", "x" * 300]
)
def test_bad_addresses(address: str) -> None:
    assert refusal(peer(address=address, same_host=True), set()) == (
        f"address {address!r} is neither a host name nor an IP address (ASCII letters, digits, '.', '-', '_' and ':'): "
        "set ansible_host or hardware_audit_address of a"
    )


@pytest.mark.parametrize(
    ("address", "addresses", "own"),
    [
        ("127.0.0.1", {"127.0.0.1"}, "127.0.0.1"),
        ("127.8.9.1", {"127.8.9.1"}, "127.8.9.1"),
        ("::1", {"::1"}, "::1"),
        ("::ffff:127.0.0.1", {"::ffff:127.0.0.1"}, "::ffff:127.0.0.1"),
        ("0.0.0.0", {"0.0.0.0"}, "0.0.0.0"),
        ("localhost", {"::1", "127.0.0.1"}, "127.0.0.1"),
        ("desktop", {"127.0.1.1"}, "127.0.1.1"),
        ("desktop", {"192.0.2.1", "127.0.1.1"}, "127.0.1.1"),
    ],
)
def test_loopback_leads_to_this_host_itself(address: str, addresses: set[str], own: str) -> None:
    assert refusal(peer(address=address), addresses) == (
        f"address {address!r} is {own} here, so that this host would measure itself: "
        "set ansible_host or hardware_audit_address of a to where other machines reach it"
    )
    assert refusal(peer(address=address, same_host=True), addresses) == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "count is 0 and must be from 1 to 100"),
        ({"duration": 61}, "duration is 61 and must be from 1 to 60"),
        ({"peers": [peer(), peer()]}, "peers names a more than once"),
        ({"peers": [peer(tcp_port=0)]}, "tcp_port of peer a is 0"),
        ({"peers": [peer(iperf3_port=65536)]}, "iperf3_port of peer a is 65536"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        check_options({"count": 1, "duration": 1, "peers": [peer()], **options})


def test_latency_over_tcp_and_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = Done(2, "", recorded("ping_not_permitted.txt"))
    monkeypatch.setattr(_network, "run_tool", lambda *_arguments: refused)
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = peer(address="127.0.0.1", tcp_port=server.getsockname()[1])
        found = _network.measure_latency("/bin/ping", here, 2)
        assert (found["method"], found["port"], found["received"]) == ("tcp", here["tcp_port"], 2)
        assert "may not send ICMP" in found["reason"]
    # Nobody listens any more: the refusal is an answer too.
    assert _network.measure_latency(None, here, 1)["received"] == 1


def test_nothing_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_network, "run_tool", lambda *_arguments: Done(1, recorded("ping_blackhole.txt"), ""))
    monkeypatch.setattr(_network, "_connect", lambda *_arguments: None)
    found = _network.measure_latency("/bin/ping", peer(), 3)
    assert (found["method"], found["loss_percent"]) == ("icmp", 100.0)
    assert found["reason"] == "no answer to ICMP, and no answer on TCP port 22"
    # Each probe takes 2 seconds until it is given up.
    silent = _network.measure_latency(None, peer(), 100)
    assert (silent["method"], silent["sent"], silent["loss_percent"]) == ("tcp", 3, 100.0)


def test_a_dead_address_does_not_hide_one_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 9, 0, 0))
    strange = (-1, socket.SOCK_STREAM, 6, "", ("nowhere", 9))  # as IPv6 is to a kernel without it
    real = _network._connect
    asked = []

    def connect(way: Any) -> float | None:
        asked.append(way)
        return None if way == dead else real(way)

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        alive = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: [dead, strange, alive])
        monkeypatch.setattr(_network, "_connect", connect)
        found = _network.tcp_latency("nas", port, 3)
    assert (found["sent"], found["received"]) == (3, 3)
    # The time that the dead one takes is spent once.
    assert asked == [dead, strange, alive, alive, alive]


def test_once_an_address_has_answered_its_losses_count(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([1.0, None, 3.0])
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: ["first", "second"])
    monkeypatch.setattr(_network, "_connect", lambda way: next(times) if way == "first" else 9.0)
    found = _network.tcp_latency("nas", 22, 3)
    assert (found["sent"], found["received"], found["min_ms"], found["max_ms"]) == (3, 2, 1.0, 3.0)
