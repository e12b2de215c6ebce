# SPDX-License-Identifier: GPL-3.0-or-later
"""Is q8_0 good enough? Retrieval and speed of the bundled embedding model, q8_0 against f16, in one run.

Retrieval is known-item search over documentation that is installed anyway (docstrings of the standard
library and of packages in this environment; nothing of it is stored): the first sentence is the query,
the rest the document. Rule: q8_0 may cost at most 0.005 nDCG@10. Exits with 1 when it costs more.
Speed is one thread, both servers up, rounds in turn, so that other load hits both alike.

Run: python -m tests.bench.embedding_quantisation [--documents 800] [--rounds 9]
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import re
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import numpy as np
import numpy.typing as npt

from homelab_workers.adapters.tokenizer import FileTokenizer
from homelab_workers.model_registry import embedding_model
from tests.integration.models.servers import Server, prepare, serving

ALLOWED_LOSS = 0.005
KINDS = ("f16", "q8_0")
MODEL = embedding_model("all-MiniLM-L6-v2")
MODULES = (
    "argparse asyncio collections contextlib csv datetime decimal email.message fractions functools gzip hashlib heapq "
    "http.client importlib.metadata inspect io ipaddress itertools json logging math multiprocessing os pathlib pickle "
    "queue random re shutil smtplib socket sqlite3 ssl statistics string subprocess tarfile tempfile textwrap "
    "threading unittest urllib.request uuid weakref xml.etree.ElementTree zipfile numpy numpy.linalg scipy.signal "
    "scipy.stats scipy.optimize scipy.spatial httpx psycopg pydantic"
).split()

Matrix = npt.NDArray[np.float64]


def items(limit: int, tokenizer: FileTokenizer) -> list[tuple[str, str]]:
    """(query, document) pairs, spread evenly over the modules; documents are cut at the model's window."""
    found: dict[str, str] = {}
    for name in MODULES:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue  # the environment decides what is there; the printed count says how much was used
        for member in vars(module).values():
            text = inspect.getdoc(member) if callable(member) else None
            match = re.match(r"(.{30,200}?)\.\s+(.{80,})", text or "", re.DOTALL)
            if match and len(spans := tokenizer.spans(match[2])) >= 20:
                end = spans[min(len(spans), MODEL.trained_tokens - MODEL.special_tokens) - 1][1]
                found.setdefault(" ".join(match[1].split()), match[2][:end])
    pairs = list(found.items())
    return pairs[:: max(1, len(pairs) // limit)][:limit]


def embed(client: httpx.Client, texts: list[str]) -> Matrix:
    rows: list[list[float]] = []
    for start in range(0, len(texts), 16):
        answer = client.post("/v1/embeddings", json={"model": "m", "input": texts[start : start + 16]})
        data = answer.raise_for_status().json()["data"]
        rows += [item["embedding"] for item in sorted(data, key=lambda item: item["index"])]
    return np.array(rows)


def ndcg(queries: Matrix, documents: Matrix) -> npt.NDArray[np.float64]:
    """nDCG@10 per query where document i alone is relevant to query i (ideal gain 1)."""
    scores = queries @ documents.T
    ranks = (scores > np.diag(scores)[:, None]).sum(axis=1)
    return np.where(ranks < 10, 1 / np.log2(ranks + 2), 0.0)


def interval(difference: npt.NDArray[np.float64]) -> list[float]:
    """95 % bootstrap interval of the mean of paired differences; the seed is fixed."""
    random = np.random.default_rng(1)
    means = [random.choice(difference, len(difference)).mean() for _unused in range(2000)]
    return [round(float(x), 4) for x in np.percentile(means, [2.5, 97.5])]


def seconds(client: httpx.Client, texts: list[str]) -> float:
    start = time.perf_counter()
    embed(client, texts)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--documents", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        folder = Path(scratch)
        made = {kind: prepare(folder, kind) for kind in KINDS}
        tokenizer = FileTokenizer(Path(made["f16"]["tokenizer_file"]), MODEL)
        pairs = items(options.documents, tokenizer)
        queries, documents = [query for query, _unused in pairs], [document for _unused, document in pairs]
        clients: dict[str, httpx.Client] = {}
        for kind in KINDS:
            model = Path(made[kind]["embed_gguf"])
            server: Server = stack.enter_context(serving(folder, model, "--embedding", "--ctx", "512"))
            clients[kind] = stack.enter_context(server.client())
        quality = {kind: ndcg(embed(clients[kind], queries), embed(clients[kind], documents)) for kind in KINDS}
        full = sorted(documents, key=len, reverse=True)[:16]
        times: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for _unused in range(options.rounds):
            for kind in KINDS:
                times[kind].append(seconds(clients[kind], full))
    loss = quality["f16"] - quality["q8_0"]
    ratios = [slow / fast for slow, fast in zip(times["f16"], times["q8_0"], strict=True)]
    report = {
        "queries": len(pairs),
        "ndcg_at_10": {kind: round(float(quality[kind].mean()), 4) for kind in KINDS},
        "loss": round(float(loss.mean()), 4),
        "loss_95": interval(loss),
        "texts_per_second": {kind: round(len(full) / statistics.median(times[kind]), 2) for kind in KINDS},
        "tokens_per_text": round(statistics.mean(tokenizer.count(text) for text in full)),
        "speedup_median": round(statistics.median(ratios), 2),
        "speedup_range": [round(min(ratios), 2), round(max(ratios), 2)],
    }
    print(json.dumps(report, indent=2))
    if report["loss"] > ALLOWED_LOSS:
        sys.exit(f"q8_0 costs {report['loss']} nDCG@10, over {ALLOWED_LOSS}: use f16")


if __name__ == "__main__":
    main()
