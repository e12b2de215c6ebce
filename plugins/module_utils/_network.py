# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Measures the links from this host to named peers. Where a measurement cannot be made, the result says why."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
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
from ansible_collections.homelab.ai.plugins.module_utils._tool import run_tool

SCHEMA = 1
INTERVAL = 0.2  # seconds between probes: the shortest that ping allows every user (ping(8), option -i)
PATIENCE = 2  # seconds that a probe waits for its answer
MAX_COUNT = 100
MAX_DURATION = 60
_SERVER_START = 5.0  # seconds that the server may take to listen
_REFUSED = ("connection refused", "server is busy")

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\.?")
_ZONE = re.compile(r"%[A-Za-z0-9._-]+\Z")  # of a link-local address

INSTALL_PING = "install it for ICMP (Debian, Ubuntu: apt install iputils-ping)"
SET_ADDRESS = "set ansible_host or hardware_audit_address of"
INSTALL_IPERF = "install it on both hosts (Debian, Ubuntu: apt install iperf3; Fedora: dnf install iperf3)"


class NetworkError(Exception):
    """Anything that stops the module; the text is meant for the user."""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(_ZONE.sub("", text))
    except ValueError:
        return _NAME.fullmatch(text) is not None
    return True


def _check_port(peer: dict[str, Any], option: str) -> None:
    port = peer[option]
    if port is not None and not 1 <= port <= 65535:
        raise NetworkError(f"{option} of peer {peer['name']} is {port} and must be from 1 to 65535")


def check_options(params: dict[str, Any]) -> None:
    """Raise NetworkError unless the options can be used."""
    for option, most in (("count", MAX_COUNT), ("duration", MAX_DURATION)):
        if not 1 <= params[option] <= most:
            raise NetworkError(f"{option} is {params[option]} and must be from 1 to {most}")
    names = [peer["name"] for peer in params["peers"]]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise NetworkError(f"peers names {', '.join(twice)} more than once: name each peer once")
    for peer in params["peers"]:
        for option in ("tcp_port", "iperf3_port"):
            _check_port(peer, option)


def _is_own(address: str) -> bool:
    """Whether an IP address is loopback, which leads to whoever asks. So does the address that stands for none."""
    try:
        found = ipaddress.ip_address(_ZONE.sub("", address))
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None) or found
    return bool(mapped.is_loopback or mapped.is_unspecified)


def refusal(peer: dict[str, Any], addresses: set[str]) -> str:
    """Why the link to this peer alone must not be measured, or nothing. `addresses` are those of its name."""
    # The address becomes an argument of other tools, so it must not look like an option.
    if not _is_address(peer["address"]):
        return (
            f"address {peer['address']!r} is neither a host name nor an IP address (ASCII letters, digits, '.', '-', "
            f"'_' and ':'): {SET_ADDRESS} {peer['name']}"
        )
    # Any of them: which one a tool takes is its own business.
    own = sorted(filter(_is_own, addresses))
    if own and not peer["same_host"]:
        return (
            f"address {peer['address']!r} is {own[0]} here, so that this host would measure itself: {SET_ADDRESS} "
            f"{peer['name']} to where other machines reach it"
        )
    return ""


def _no_latency(reason: str) -> dict[str, Any]:
    return {"method": "none", "sent": 0, "received": 0, "loss_percent": 100.0, "reason": reason}


def _addresses(name: str) -> set[str]:
    """IP addresses of a name: MagicDNS lets users write a node's short name, which its status does not list."""
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
    except (socket.gaierror, UnicodeError):
        return set()


def _ways(address: str, port: int) -> list[Any]:
    """Each address of a name, as the arguments of a socket and of its connection. Raises NetworkError."""
    try:
        return socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise NetworkError(f"{address} cannot be resolved: {error}") from error


def _connect(way: Any) -> float | None:
    """Milliseconds until the peer answers a TCP connection, also by refusing it; None when it does not."""
    family, kind, protocol, _name, where = way
    try:
        with socket.socket(family, kind, protocol) as probe:  # fails where this host does not speak IPv6
            probe.settimeout(PATIENCE)
            start = time.monotonic()
            code = probe.connect_ex(where)
            took = (time.monotonic() - start) * 1000
    except OSError:
        return None
    return took if code in (0, errno.ECONNREFUSED) else None


def tcp_latency(address: str, port: int, count: int) -> dict[str, Any]:
    """Latency figures from TCP connections, to the first address of a name that answers. Raises NetworkError.

    Stops early when the first three probes are not answered.
    """
    ways = _ways(address, port)
    times: list[float] = []
    sent = 0
    for number in range(count):
        if number:
            time.sleep(INTERVAL)
        sent += 1
        for way in ways:
            took = _connect(way)
            if took is not None:
                times.append(took)
                ways = [way]  # from now on a probe that it does not answer is lost
                break
        if number == 2 and not times:
            break
    return dict(latency_figures(sent, times), method="tcp", port=port)


def _icmp(ping: str | None, address: str, count: int) -> tuple[dict[str, Any] | None, str]:
    """Figures of ping, and why TCP has to be tried instead."""
    if ping is None:
        return None, f"ping is not on this host: {INSTALL_PING}"
    command = [ping, "-n", "-c", str(count), "-i", str(INTERVAL), "-W", str(PATIENCE), address]
    done = run_tool(command, count * (INTERVAL + PATIENCE) + 10)
    said = " ".join((done.err or done.out).split())[:200]
    if done.code is None:
        return None, "ping did not end in its time and was stopped"
    try:
        figures = dict(parse_ping(done.out), method="icmp")
    except NetworkParseError:
        if ping_not_permitted(done.err):
            return None, f"this user may not send ICMP ({said})"
        return None, f"ping failed: {said or f'code {done.code}'}"
    return figures, "" if figures["received"] else "no answer to ICMP"


def measure_latency(ping: str | None, peer: dict[str, Any], count: int) -> dict[str, Any]:
    """Latency figures by ICMP, or by TCP with the reason for it, or the loss of both."""
    figures, reason = _icmp(ping, peer["address"], count)
    if figures is not None and not reason:
        return figures
    try:
        tcp = tcp_latency(peer["address"], peer["tcp_port"], count)
    except NetworkError as error:
        return _no_latency(str(error))
    if tcp["received"]:
        return dict(tcp, reason=reason)
    return dict(figures or tcp, reason=f"{reason}, and no answer on TCP port {peer['tcp_port']}")


def measure_bandwidth(iperf: str | None, peer: dict[str, Any], duration: int) -> dict[str, Any]:
    """What iperf3 moved to the peer's server, or why it could not."""
    if peer["iperf3_port"] is None:
        return {"measured": False, "reason": "iperf3_port is not set for this peer"}
    if iperf is None:
        return {"measured": False, "reason": f"iperf3 is not on this host: {INSTALL_IPERF}"}
    port = peer["iperf3_port"]
    command = [iperf, "--client", peer["address"], "--port", str(port), "--time", str(duration), "--json"]
    command += ["--connect-timeout", str(PATIENCE * 1000)]
    end = time.monotonic() + _SERVER_START
    while True:
        done = run_tool(command, duration + 15)
        if done.code is None:
            return {"measured": False, "reason": f"iperf3 did not end 15 s after its {duration} s and was stopped"}
        try:
            return dict(parse_iperf(done.out or done.err), measured=True, duration=duration)
        except NetworkParseError as error:
            reason = str(error)
        # The server is started for this test only and may not listen yet.
        if not any(word in reason.lower() for word in _REFUSED) or time.monotonic() > end:
            ask = f"Does iperf3 -s -p {port} run on {peer['name']}, and is the port open?"
            return {"measured": False, "reason": f"{reason}. {ask}"}
        time.sleep(0.5)


def tailnet_nodes(tailscale: str | None) -> tuple[set[str], str]:
    """Addresses and names of the tailnet, and why there are none."""
    if tailscale is None:
        return set(), "tailscale is not on this host"
    done = run_tool([tailscale, "status", "--json"], 15)
    if done.code is None:
        return set(), "tailscale status did not answer within 15 s"
    try:
        return parse_tailscale_status(done.out), ""
    except NetworkParseError as error:
        said = " ".join(done.err.split())[:200]
        return set(), f"{error}{f' ({said})' if said else ''}"


def measure_tailnet(tailscale: str | None, nodes: set[str], why: str, address: str) -> dict[str, Any]:
    """Whether the tailnet's path to `address` is direct or relayed, or why that is not known.

    By `tailscale ping` alone: the status of a node that has just gone still names the relay.
    """
    if tailscale is None or why:
        return {"path": "none", "reason": why}
    if not any(in_tailnet(nodes, name) for name in (address, *_addresses(address))):
        return {"path": "none", "reason": f"{address} is no address of this tailnet"}
    # The first replies come over a relay while a direct path is sought; ping stops at the first direct one.
    done = run_tool([tailscale, "ping", "--c", "5", "--timeout", f"{PATIENCE}s", address], 5 * (PATIENCE + 1) + 10)
    path = parse_tailscale_ping(done.out)
    if path is None:
        said = "; ".join(dict.fromkeys([*done.out.splitlines(), *done.err.splitlines()]))[:200]
        return {"path": "unknown", "reason": f"no answer to tailscale ping: {said or 'it was silent'}"}
    return path


def _plan(peer: dict[str, Any], params: dict[str, Any], tools: dict[str, str | None]) -> list[str]:
    reason = refusal(peer, {peer["address"]})  # a name is not looked up, as that would send something
    if reason:
        return [f"{peer['name']}: nothing, because {reason}"]
    by = "ping" if tools["ping"] else f"TCP port {peer['tcp_port']}, because ping is not on this host"
    steps = [f"{peer['name']}: {params['count']} probes of {peer['address']} by {by}"]
    if peer["iperf3_port"] is not None:
        does = "send as fast as it goes" if tools["iperf3"] else "skipped, because iperf3 is not on this host"
        steps.append(f"{peer['name']}: iperf3 to port {peer['iperf3_port']} for {params['duration']} s: {does}")
    if tools["tailscale"]:
        steps.append(f"{peer['name']}: tailscale ping")
    return steps


def _refused(reason: str) -> dict[str, Any]:
    return {
        "latency": _no_latency(reason),
        "bandwidth": {"measured": False, "reason": reason},
        "tailnet": {"path": "none", "reason": reason},
    }


def profile(module: AnsibleModule) -> dict[str, Any]:
    """Measure each peer after the other, or say in check mode what would be. Raises NetworkError."""
    params = module.params
    check_options(params)
    tools = {name: module.get_bin_path(name) for name in ("ping", "iperf3", "tailscale")}
    result: dict[str, Any] = {
        "changed": False,
        "plan": [step for peer in params["peers"] for step in _plan(peer, params, tools)],
    }
    if module.check_mode:
        return result
    nodes, why = tailnet_nodes(tools["tailscale"])
    peers: list[dict[str, Any]] = []
    warnings: list[str] = []
    for peer in params["peers"]:
        name, reason = peer["name"], refusal(peer, _addresses(peer["address"]))
        if reason:
            found = _refused(reason)
            warnings.append(f"the link to {name} was not measured: {reason}")
        else:
            found = {
                "latency": measure_latency(tools["ping"], peer, params["count"]),
                "bandwidth": measure_bandwidth(tools["iperf3"], peer, params["duration"]),
                "tailnet": measure_tailnet(tools["tailscale"], nodes, why, peer["address"]),
            }
            if not found["latency"]["received"]:
                warnings.append(f"no answer from {name}")
        if found["tailnet"]["path"] in ("relayed", "peer_relay"):
            warnings.append(f"the tailnet relays the path to {name}: open UDP port 41641 for a direct one")
        known = {"name": name, "address": peer["address"], "reachable": found["latency"]["received"] > 0}
        peers.append({**known, **found})
    result["network_profile"] = {"schema": SCHEMA, "peers": peers, "warnings": warnings}
    return result
