# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts the role's own model preparation and llama.cpp launcher."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.ports import free_port

FILES = Path(__file__).resolve().parents[3] / "roles" / "local_stack" / "files"
LAUNCHER = FILES / "llama_server.py"
READY_SECONDS = 30


@dataclass(frozen=True)
class Server:
    url: str
    key: str
    process: subprocess.Popen[bytes]

    def client(self, *, key: str | None = None) -> httpx.Client:
        return httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {key or self.key}"}, timeout=120, trust_env=False
        )


def prepare(folder: Path, quantisation: str, *options: str) -> dict[str, Any]:
    command = [sys.executable, FILES / "prepare_models.py", "--models-dir", folder, "--embed-quant", quantisation]
    done = subprocess.run([*command, *options], check=True, capture_output=True, text=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@contextmanager
def serving(folder: Path, model: Path, *options: str, launcher: Path = LAUNCHER) -> Iterator[Server]:
    """A server on a free port with one thread; its log is `folder`/llama.log."""
    key, port = secrets.token_urlsafe(24), free_port()
    key_file = folder / f"key-{port}"
    key_file.touch(0o600)
    key_file.write_text(key + "\n")
    command = [sys.executable, launcher, "--model", model, "--alias", "m", "--port", str(port)]
    with (folder / "llama.log").open("ab") as log:
        process = subprocess.Popen([*command, *options, "--api-key-file", key_file], stdout=log, stderr=log)
    try:
        server = Server(f"http://127.0.0.1:{port}", key, process)
        deadline = time.monotonic() + READY_SECONDS
        while not healthy(server):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"llama.cpp is not ready:\n{(folder / 'llama.log').read_text()[-2000:]}")
            time.sleep(0.1)
        yield server
    finally:
        process.kill()
        process.wait()


def healthy(server: Server) -> bool:
    try:
        return httpx.get(f"{server.url}/health", trust_env=False).is_success
    except httpx.TransportError:
        return False
