# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""NATS servers for the tests, and a client that is not the module."""

from __future__ import annotations

import asyncio
import json
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nats
from module_runner import BIN, CANARY, Nats, wait_for_port
from nats.aio.client import Client

from tests.ports import free_port


@contextmanager
def running_nats(folder: Path, settings: str, jetstream: bool = True) -> Iterator[Nats]:
    port, home = free_port(), Path(tempfile.mkdtemp(prefix="nats-", dir=folder))
    store = f'jetstream {{ store_dir: "{home}/jetstream", max_mem: 64M, max_file: 64G }}' if jetstream else ""
    (home / "nats.conf").write_text(f"host: 127.0.0.1\nport: {port}\n{store}\n{settings}\n")
    process = subprocess.Popen([str(BIN / "nats-server"), "-c", str(home / "nats.conf"), "-l", str(home / "nats.log")])
    try:
        wait_for_port(port, process)
        yield Nats(port, f"nats://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(timeout=30)


def ask(server: Nats, question: Callable[[Client], Awaitable[Any]]) -> Any:
    """The answer to a client that is not the module."""

    async def run() -> Any:
        client = await nats.connect(server.url, user="admin", password=CANARY)
        try:
            return await question(client)
        finally:
            await client.close()

    return asyncio.run(run())


def config(server: Nats, *name: str) -> dict[str, Any] | None:
    """What the server has of a stream, or of the consumer of a stream; on the wire, as nats-py has not all fields."""
    subject = f"$JS.API.{'CONSUMER' if len(name) > 1 else 'STREAM'}.INFO.{'.'.join(name)}"
    answer = json.loads(ask(server, lambda client: client.request(subject)).data)
    if "error" in answer:
        assert answer["error"]["code"] == 404, answer
        return None
    found: dict[str, Any] = answer["config"]
    return found
