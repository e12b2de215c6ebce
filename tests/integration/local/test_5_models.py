# SPDX-License-Identifier: GPL-3.0-or-later
"""Models of the user's own: a file, an address with its sum, a server elsewhere. One line of inventory each.

The files are the bundled ones under other names, and the server elsewhere is llama.cpp beside the stack.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import httpx
import pytest

from tests.http_server import serving
from tests.integration.local.deployment import PORT_BASE, Deployment, answers, wait_until

KEY = "sk-the-key-of-the-server-elsewhere"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where the service user may read: pytest's own folders are private."""
    path = Path(tempfile.mkdtemp(prefix="hltest-models-", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def argument(stack: Deployment, program: str, option: str) -> Path:
    """What the supervisor gives to a program of the stack, as an argument or in its environment."""
    for file in sorted((stack.config / "programs").glob("*.conf")):
        found = re.search(rf"\[program:{program}\].*?{option}[ =\"]+([^\s\",]+)", file.read_text(), re.DOTALL)
        if found:
            return Path(found[1])
    raise AssertionError(f"{program} has no {option}")


def says_something(stack: Deployment) -> bool:
    body = {"model": "chat", "messages": [{"role": "user", "content": "Say yes."}], "max_tokens": 4}
    headers = {"Authorization": f"Bearer {stack.secrets()['litellm-query']}"}
    answer = httpx.post(
        stack.url(4000) + "/v1/chat/completions", json=body, headers=headers, timeout=60, trust_env=False
    )
    return answer.status_code == 200 and answer.json()["usage"]["completion_tokens"] > 0


def test_a_file_that_the_service_user_may_not_read_is_named(stack: Deployment, folder: Path) -> None:
    private = folder / "private.gguf"
    private.write_bytes(b"GGUF")
    private.chmod(0o600)
    run = stack.run(local_stack_chat={"gguf": str(private)}, expect=2)
    assert f"local_stack_chat.gguf is {private}: the user {stack.name} may not read it" in run.output


def test_files_and_addresses_of_models(stack: Deployment, folder: Path) -> None:
    chat = argument(stack, "llama-chat", "--model")
    shutil.copy(chat, folder / "mine.gguf")
    digest = hashlib.sha256(chat.read_bytes()).hexdigest()
    shutil.copy(argument(stack, "llama-embed", "--model"), folder / "embed.gguf")
    shutil.copy(argument(stack, "chunk", "TOKENIZER_FILE"), folder / "tokenizer.json")
    for path in folder.iterdir():
        path.chmod(0o644)
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with serving(handler) as address:
        url = f"{address}/mine.gguf"
        embed = {
            "gguf": str(folder / "embed.gguf"),
            "name": "all-MiniLM-L6-v2",
            "tokenizer": str(folder / "tokenizer.json"),
        }
        wrong = stack.run(local_stack_chat={"url": url, "sha256": "0" * 64}, expect=2)
        assert digest in wrong.output and "0" * 64 in wrong.output
        stack.run(local_stack_chat={"url": url, "sha256": digest}, local_stack_embed=embed)
    assert argument(stack, "llama-chat", "--model") == stack.lib / "models" / f"{digest}.gguf"
    assert argument(stack, "llama-embed", "--model") == folder / "embed.gguf"
    assert says_something(stack)


def test_a_server_elsewhere(stack: Deployment, folder: Path) -> None:
    port = PORT_BASE + 999
    key_file = folder / "server.key"
    key_file.write_text(KEY + "\n")
    key_file.chmod(0o600)
    command = [
        *(str(stack.lib / "venv" / "bin" / "python"), str(stack.lib / "libexec" / "llama_server.py")),
        *("--model", str(argument(stack, "llama-chat", "--model")), "--alias", "elsewhere"),
        *("--port", str(port), "--api-key-file", str(key_file)),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_until(lambda: answers(f"http://127.0.0.1:{port}/health"), "the server elsewhere")
            chat = {"base_url": f"http://127.0.0.1:{port}/v1", "model": "elsewhere", "api_key_file": str(key_file)}
            run = stack.run(local_stack_chat=chat)
            assert KEY not in run.output
            assert "llama-chat" not in stack.pids() and says_something(stack)
            assert stack.run(local_stack_chat=chat).changed == 0
        finally:
            server.terminate()
    assert not says_something(stack)
