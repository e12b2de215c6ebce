# SPDX-License-Identifier: GPL-3.0-or-later
"""Latency of `/v1/vector_stores/{collection}/search` on a running stack, beside what it cannot do without.

    ./bootstrap bench search [--collection NAME] [--queries N] [--secrets DIRECTORY] [--json]

The baseline makes the same embedding call (LiteLLM, the query service's key) and runs the same statement from this
process: what is left is the query service itself. Queries alternate between the two, one at a time, after a warm-up.
The collection must hold documents; `./bootstrap demo` ingests the samples that the questions are about.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx

from homelab_workers.adapters.openai import OpenAIEmbedder
from homelab_workers.adapters.postgres import PostgresCatalog
from homelab_workers.adapters.search_postgres import PostgresSearch
from homelab_workers.model_registry import embedding_model
from homelab_workers.query.deps import QuerySettings
from tests.bench.ingest import Stack, arguments, load, stack_of

QUESTIONS = Path(__file__).resolve().parents[2] / "demo" / "questions.json"
LIMIT = 10
WARM_UP = 20
PATHS = ("search", "embed + SQL", "embed", "SQL")

T = TypeVar("T")


async def measure(stack: Stack, given: argparse.Namespace, questions: Sequence[str]) -> dict[str, list[float]]:
    """Seconds of each query by path."""
    times: dict[str, list[float]] = {path: [] for path in PATHS}
    model = embedding_model(given.model)
    catalog = await PostgresCatalog.open(stack.conninfo("query"), name="bench")
    headers = {"Authorization": f"Bearer {stack.api_key}"}
    try:
        async with (
            OpenAIEmbedder(stack.local(4000), stack.secret("litellm-query"), model) as embedder,
            httpx.AsyncClient(base_url=stack.url, headers=headers, timeout=60, trust_env=False) as api,
        ):
            index = PostgresSearch(catalog.pool)
            for number in range(-WARM_UP, given.queries):
                question = questions[number % len(questions)]
                whole, found = await timed(searched(api, given.collection, question))
                embedding, vectors = await timed(embedder.embed([question], kind="query"))
                statement, hits = await timed(
                    index.search(
                        given.collection,
                        text=question,
                        vector=vectors[0],
                        limit=LIMIT,
                        per_document=QuerySettings(work_dir=Path()).per_document,
                    )
                )
                if found != [str(hit.chunk_id) for hit in hits]:
                    sys.exit(f"{question!r}: the baseline finds other chunks than the service, so it is no baseline")
                if number >= 0:
                    spent = (whole, embedding + statement, embedding, statement)
                    for path, seconds in zip(PATHS, spent, strict=True):
                        times[path].append(seconds)
    finally:
        await catalog.close()
    return times


async def timed(work: Awaitable[T]) -> tuple[float, T]:
    started = time.perf_counter()
    result = await work
    return time.perf_counter() - started, result


async def searched(api: httpx.AsyncClient, collection: str, question: str) -> list[str]:
    """Chunk ids of the hits. Ends the run where the service did less than a hybrid search."""
    response = await api.post(
        f"/v1/vector_stores/{collection}/search", json={"query": question, "max_num_results": LIMIT}
    )
    if response.is_error:
        sys.exit(f"search in {collection!r}: HTTP {response.status_code} {response.text[:500]}")
    page = response.json()
    if page["homelab"]["retrieval"] != "hybrid":
        sys.exit(f"the search was {page['homelab']['retrieval']} only: {page['homelab']['degraded']}")
    if not page["data"]:
        sys.exit(f"{question!r} has no hits in {collection!r}: ingest the samples first (`./bootstrap demo`)")
    return [hit["attributes"]["chunk_id"] for hit in page["data"]]


def report(times: dict[str, list[float]]) -> dict[str, Any]:
    """Milliseconds, and the ratio of the service over embedding and statement alone."""

    def percentiles(values: Sequence[float]) -> dict[str, float]:
        cuts = statistics.quantiles(values, n=100, method="inclusive")
        return {"p50": round(1000 * cuts[49], 1), "p99": round(1000 * cuts[98], 1)}

    ratios = [whole / parts for whole, parts in zip(times["search"], times["embed + SQL"], strict=True)]
    return {
        "queries": len(ratios),
        "milliseconds": {path: percentiles(values) for path, values in times.items()},
        "ratio_median": round(statistics.median(ratios), 2),
        "load": load(),
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--collection", default="default", help="default: %(default)s")
    parser.add_argument("--queries", type=int, default=200, help="at least 100, default: %(default)s")
    given = parser.parse_args()
    if given.queries < 100:
        parser.error(f"--queries is {given.queries}: a 99th percentile needs at least 100")
    questions = [entry["question"] for entry in json.loads(QUESTIONS.read_text(encoding="utf-8"))]
    found = report(asyncio.run(measure(stack_of(given), given, questions)))
    if given.json:
        print(json.dumps(found, indent=1))
        return
    print(f"{found['queries']} queries, median ratio {found['ratio_median']}, {found['load']}")
    print(f"{'milliseconds':<14}{'p50':>8}{'p99':>8}")
    for path, values in found["milliseconds"].items():
        print(f"{path:<14}{values['p50']:>8.1f}{values['p99']:>8.1f}")


if __name__ == "__main__":
    main()
