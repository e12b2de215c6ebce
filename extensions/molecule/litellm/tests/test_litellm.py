# SPDX-License-Identifier: GPL-3.0-or-later
"""The proxy with the rendered configuration, before a model server that notes what it is asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

SCRATCH = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "scratch"
CONFIG = SCRATCH / "config"
LAUNCHER = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"]) / "roles" / "local_stack" / "files" / "litellm_proxy.py"
PORT = 17400
ASKED: list[tuple[str, str, str]] = []
"""Path, model and authorization of each request that reached the model server."""


class ModelServer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        ASKED.append((self.path, asked["model"], self.headers["Authorization"]))
        body = json.dumps(
            {
                "object": "list",
                "model": asked["model"],
                "data": [{"object": "embedding", "index": 0, "embedding": [0.25, 0.5]}],
                "usage": {"prompt_tokens": 1, "total_tokens": 1},
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: ASKED holds it."""


@pytest.fixture(scope="module")
def proxy() -> Iterator[httpx.Client]:
    models = HTTPServer(("127.0.0.1", 17401), ModelServer)
    threading.Thread(target=models.serve_forever, daemon=True).start()
    command = [sys.executable, str(LAUNCHER), "--config", str(CONFIG / "config.yaml"), "--port", str(PORT)]
    for name in ("LITELLM_MASTER_KEY", "CHAT_API_KEY", "EMBED_API_KEY"):
        (SCRATCH / name).write_text(f"value-of-{name}")
        command += ["--secret", f"{name}={SCRATCH / name}"]
    with (SCRATCH / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=30, trust_env=False) as client:
            deadline = time.monotonic() + 180
            while True:
                try:
                    client.get("/health/liveliness").raise_for_status()
                    break
                except httpx.HTTPError:
                    assert process.poll() is None and time.monotonic() < deadline, (SCRATCH / "log").read_text()[-3000:]
                    time.sleep(0.5)
            yield client
    finally:
        process.terminate()
        process.wait(30)
        models.shutdown()


def ask(proxy: httpx.Client, key: str, model: str, path: str = "/v1/embeddings") -> httpx.Response:
    content = {"model": model, "input": ["a"], "messages": [{"role": "user", "content": "a"}]}
    return proxy.post(path, json=content, headers={"Authorization": f"Bearer {key}"})


def test_a_caller_reaches_its_model_with_the_key_of_the_model_server(proxy: httpx.Client) -> None:
    ASKED.clear()
    answer = ask(proxy, "key-of-embed", "embed")
    assert answer.json()["data"][0]["embedding"] == [0.25, 0.5]
    assert ASKED == [("/v1/embeddings", "stand-in-embed", "Bearer value-of-EMBED_API_KEY")]


def test_a_caller_does_not_reach_another_model_and_a_stranger_none(proxy: httpx.Client) -> None:
    ASKED.clear()
    assert ask(proxy, "key-of-embed", "chat", "/v1/chat/completions").status_code in (401, 403)
    assert ask(proxy, "key-of-nobody", "embed").status_code == 401
    assert ASKED == []


def test_no_file_holds_a_key() -> None:
    for path in CONFIG.iterdir():
        if path.is_file():
            assert "key-of-" not in path.read_text()
    assert (CONFIG / "keys.json").stat().st_mode & 0o777 == 0o600
