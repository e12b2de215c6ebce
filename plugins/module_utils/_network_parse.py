# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""What ping, iperf3 and tailscale print, as figures. Pure functions."""

from __future__ import annotations

import ipaddress
import json
import math
import re
from typing import Any

# Echo replies of iputils ("icmp_seq=1 ttl=64 time=0.3 ms") and BusyBox ("seq=0 ttl=64 time=0.3 ms").
_REPLY = re.compile(r"\b(?:icmp_)?seq=(\d{1,9}) .*?\btime[=<]([0-9]{1,9}(?:\.[0-9]{1,9})?) ?ms(.*)$")
_SUMMARY = re.compile(r"^(\d{1,9}) packets transmitted, (\d{1,9}) (?:packets )?received", re.MULTILINE)
_PONG = re.compile(r"^pong from .* via (\S+) in \S+$", re.MULTILINE)
_DERP = re.compile(r"DERP\((.*)\)")
_PEER_RELAY = re.compile(r"peer-relay\((.*)\)")


class NetworkParseError(Exception):
    """A tool has not measured; the text says why, for the user."""


def latency_figures(sent: int, times: list[float]) -> dict[str, Any]:
    """Figures of `sent` probes, of which `times` are the round trips (ms) of those answered, in order.

    `jitter_ms` is the mean difference between successive round trips (RFC 3393, section 4.5, on round trips).
    """
    figures: dict[str, Any] = {
        "sent": sent,
        "received": len(times),
        "loss_percent": round(100 * (sent - len(times)) / sent, 1) if sent else 100.0,
    }
    if times:
        steps = [abs(after - before) for before, after in zip(times, times[1:])]
        figures.update(
            min_ms=round(min(times), 3),
            mean_ms=round(sum(times) / len(times), 3),
            max_ms=round(max(times), 3),
            jitter_ms=round(sum(steps) / len(steps), 3) if steps else 0.0,
        )
    return figures


def parse_ping(text: str) -> dict[str, Any]:
    """Latency figures from ping's output. Raises NetworkParseError when ping has sent nothing.

    Replies are in the order in which they came; duplicates do not count.
    """
    summary = _SUMMARY.search(text)
    if summary is None or int(summary.group(1)) == 0:
        raise NetworkParseError(f"ping printed no summary but {' '.join(text.split())[:200]!r}")
    times: dict[int, float] = {}
    for line in text.splitlines():
        reply = _REPLY.search(line)
        if reply is not None and "DUP!" not in reply.group(3):
            times.setdefault(int(reply.group(1)), float(reply.group(2)))
    sent = int(summary.group(1))
    return latency_figures(sent, list(times.values())[:sent])


def ping_not_permitted(text: str) -> bool:
    """Whether ping says that this user may not send ICMP."""
    lowered = text.lower()
    # iputils and BusyBox use their own words around strerror's; containers drop CAP_NET_RAW.
    return any(word in lowered for word in ("operation not permitted", "permission denied", "are you root"))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _at(owner: Any, *path: str) -> Any:
    for key in path:
        owner = owner.get(key) if isinstance(owner, dict) else None
    return owner


def _rate(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        return None
    return float(value)


def parse_iperf(text: str) -> dict[str, Any]:
    """`{"mbit_s", "retransmits"}` from `iperf3 --json` of a TCP client. Raises NetworkParseError with iperf3's reason.

    `mbit_s` is what the server received, in 10^6 bit/s. `retransmits` is None where the system does not count them.
    """
    start = text.find("{")
    data = _json(text[start:]) if start >= 0 else None
    if not isinstance(data, dict):
        raise NetworkParseError(f"iperf3 printed no JSON but {' '.join(text.split())[:200]!r}")
    if data.get("error"):
        raise NetworkParseError(f"iperf3: {str(data['error'])[:200]}")
    rate = _rate(_at(data, "end", "sum_received", "bits_per_second"))
    if rate is None:
        raise NetworkParseError("iperf3's result has no end.sum_received.bits_per_second: it ended early")
    again = _rate(_at(data, "end", "sum_sent", "retransmits"))
    return {"mbit_s": round(rate / 1e6, 1), "retransmits": None if again is None else int(again)}


def _address(text: Any) -> str:
    """The one way to write an address; names in lower case without the last dot."""
    name: str = str(text).strip().rstrip(".").lower()
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


def parse_tailscale_status(text: str) -> set[str]:
    """Addresses and DNS names of the tailnet's other nodes, from `tailscale status --json`.

    Raises NetworkParseError with the reason when tailscale is not running. Names: ipnstate.Status and PeerStatus.
    """
    data = _json(text)
    state = _at(data, "BackendState")
    if not isinstance(state, str):
        raise NetworkParseError(f"tailscale status printed no status but {' '.join(text.split())[:200]!r}")
    if state != "Running":
        raise NetworkParseError(f"tailscale is in state {state[:40]!r} and not 'Running': log in with tailscale up")
    nodes: set[str] = set()
    peers = _at(data, "Peer")
    for peer in peers.values() if isinstance(peers, dict) else ():
        addresses = _at(peer, "TailscaleIPs")
        names = [_at(peer, "DNSName")] + (addresses if isinstance(addresses, list) else [])
        nodes.update(_address(name) for name in names if isinstance(name, str) and name)
    return nodes


def in_tailnet(nodes: set[str], address: str) -> bool:
    """Whether `address`, a DNS name or IP address, is one of `nodes`."""
    return _address(address) in nodes


def parse_tailscale_ping(text: str) -> dict[str, Any] | None:
    """The path of the last reply in what `tailscale ping` prints; None when nothing came back."""
    pongs = _PONG.findall(text)
    if not pongs:
        return None
    via = pongs[-1]
    for pattern, path in ((_DERP, "relayed"), (_PEER_RELAY, "peer_relay")):
        found = pattern.fullmatch(via)
        if found is not None:
            return {"path": path, "via": found.group(1)}
    return {"path": "direct", "via": via}
