# SPDX-License-Identifier: GPL-3.0-or-later
"""What every service serves beside its work: a metrics page that can be read, on a socket that does not wait."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from homelab_workers.runtime.health import health_app, serving

WORKERS = Path(__file__).parents[3] / "workers"

RECORD_AND_PRINT = """
from homelab_workers.runtime import telemetry
telemetry.configure("test")
telemetry.Meters().duration.record(0.3, {"stage": "embed"})
print(telemetry.metrics_page()[0].decode())
"""


def test_the_metrics_page_can_be_read_after_a_duration_was_recorded() -> None:
    """In a process of its own: OpenTelemetry is configured once a process."""
    done = subprocess.run(
        [sys.executable, "-c", RECORD_AND_PRINT], cwd=WORKERS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "homelab_stage_duration_seconds_bucket{" in done.stdout and 'stage="embed"' in done.stdout


async def test_replies_do_not_wait_for_the_clients_delayed_acknowledgement(monkeypatch: pytest.MonkeyPatch) -> None:
    accept = socket.socket.accept

    def watched(listener: socket.socket) -> tuple[socket.socket, object]:
        connection, address = accept(listener)
        accepted.append(connection)
        return connection, address

    accepted: list[socket.socket] = []
    monkeypatch.setattr(socket.socket, "accept", watched)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with serving(health_app({}), "127.0.0.1", port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" in await reader.readline()
        options = [c.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for c in accepted]
        writer.close()
    assert options and all(options)
