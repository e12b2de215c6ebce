# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports for the servers of tests, of which several processes run at once."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing

# Above the ports of a local stack, and below those from which the kernel gives each outgoing connection one.
FIRST, BLOCK, BLOCKS = 30000, 100, 27

_claims: list[socket.socket] = []


def _claimed() -> Iterator[int]:
    """The ports of one block after another, each claimed by this process for as long as it lives."""
    for start in range(FIRST, FIRST + BLOCK * BLOCKS, BLOCK):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0homelab-test-ports-{start}")  # an abstract name: it goes with the process
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        yield from range(start, start + BLOCK)
    raise RuntimeError(f"no free port from {FIRST} to {FIRST + BLOCK * BLOCKS - 1}: other tests have claimed them")


_ports = _claimed()


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens, and which no test is given again."""
    for port in _ports:
        with closing(socket.socket()) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("the generator raises when it ends")
