# SPDX-License-Identifier: GPL-3.0-or-later
"""How well a running stack finds passages: recall@5, nDCG@10 and MRR@10 of hybrid search and of each leg alone.

    python -m tests.bench.retrieval --url http://127.0.0.1:28080 --key-file KEY [--collection NAME] [--json]

Ingests the generated corpus (tests/corpus; a second run finds it there and re-ingests nothing) and asks its questions
over HTTP. Each question has one gold passage, so nDCG@10 is 1/log2(1 + rank) and recall@5 the share of ranks up to 5.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import httpx

from tests.corpus.corpus import ANSWERABLE, HALVES, Corpus, Question, build

Mode = Literal["hybrid", "vector", "lexical"]
MODES: tuple[Mode, ...] = ("hybrid", "vector", "lexical")
DEPTH = 10
RECALL_AT = 5
SERVED = ("embedded", "graphed")
COLLECTION = "retrieval-corpus"


class Api:
    """The three calls that the measurements need; every refusal raises with the server's own message."""

    def __init__(self, url: str, key: str) -> None:
        self._client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._client.close()

    def _json(self, response: httpx.Response) -> dict[str, Any]:
        if response.is_error:
            raise RuntimeError(f"{response.request.method} {response.url}: {response.status_code} {response.text}")
        body: dict[str, Any] = response.json()
        return body

    def ingest(self, documents: Mapping[str, bytes], collection: str, *, seconds: float) -> None:
        """Uploads all, then waits until each is served; the stages work on many documents at once."""
        waiting = {}
        for name, content in documents.items():
            answer = self._json(
                self._client.post("/v1/documents", files={"file": (name, content)}, data={"collection": collection})
            )
            waiting[answer["id"]] = name
        deadline = time.monotonic() + seconds
        while waiting:
            for doc_id, name in list(waiting.items()):
                document = self._json(self._client.get(f"/v1/documents/{doc_id}"))
                if document["state"] == "failed":
                    raise RuntimeError(f"{name}: {document['error']}")
                if document["state"] not in SERVED:
                    break  # the queue is in order: what was sent later is rarely done earlier
                del waiting[doc_id]
            if waiting and time.monotonic() > deadline:
                raise TimeoutError(f"{len(waiting)} of {len(documents)} documents not served after {seconds:.0f} s")
            if waiting:
                time.sleep(0.5)

    def search(self, question: str, collection: str, mode: Mode = "hybrid", *, limit: int = DEPTH) -> dict[str, Any]:
        """One page of results. Raises when the server did not do what was asked, e.g. fell back to one leg."""
        body = {"query": question, "max_num_results": limit, "ranking_options": {"mode": mode}}
        page = self._json(self._client.post(f"/v1/vector_stores/{collection}/search", json=body))
        done = page["homelab"]["retrieval"]
        if done != mode:
            raise RuntimeError(f"asked for {mode} retrieval, got {done}: {page['homelab']['degraded']}")
        return page


@dataclass(frozen=True)
class Scores:
    """Means over `questions` questions, each 0..1."""

    questions: int
    recall: float
    ndcg: float
    mrr: float


def is_gold(hit: Mapping[str, Any], question: Question) -> bool:
    """The right document, and the right page where it has pages, else the right heading."""
    if hit["filename"].rpartition("/")[2] != question.document:
        return False
    attributes = hit["attributes"]
    if question.page is not None:
        return bool(attributes.get("page") == question.page)
    return str(attributes.get("heading", "")).endswith(str(question.heading))


def rank_of(hits: Sequence[Mapping[str, Any]], question: Question) -> int | None:
    """From 1; None when the gold passage is not among them."""
    return next((place for place, hit in enumerate(hits, start=1) if is_gold(hit, question)), None)


def scores(ranks: Iterable[int | None]) -> Scores:
    found = list(ranks)
    if not found:
        raise ValueError("no questions, no scores")
    best = [rank for rank in found if rank is not None and rank <= DEPTH]
    return Scores(
        questions=len(found),
        recall=sum(rank <= RECALL_AT for rank in best) / len(found),
        ndcg=sum(1 / math.log2(1 + rank) for rank in best) / len(found),
        mrr=sum(1 / rank for rank in best) / len(found),
    )


def measure(api: Api, corpus: Corpus, collection: str) -> dict[tuple[str, str, Mode], Scores]:
    """(kind, half, mode) -> scores."""
    table: dict[tuple[str, str, Mode], Scores] = {}
    for kind in ANSWERABLE:
        for half in HALVES:
            asked = [q for q in corpus.questions if q.kind == kind and q.half == half]
            for mode in MODES:
                pages = (api.search(q.question, collection, mode) for q in asked)
                table[kind, half, mode] = scores(
                    rank_of(page["data"], question) for page, question in zip(pages, asked, strict=True)
                )
    return table


def arguments(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--url", required=True, help="address of the query service")
    parser.add_argument("--key-file", required=True, type=Path, help="file that holds an API key")
    parser.add_argument("--collection", default=COLLECTION, help="default: %(default)s")
    parser.add_argument(
        "--wait", type=float, default=900, help="seconds that the ingest may take, default: %(default)s"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


def main() -> None:
    given = arguments("Measure retrieval on the generated corpus.").parse_args()
    corpus = build()
    with Api(given.url, given.key_file.read_text().strip()) as api:
        started = time.monotonic()
        api.ingest(corpus.documents, given.collection, seconds=given.wait)
        ingested = time.monotonic() - started
        table = measure(api, corpus, given.collection)
    if given.json:
        rows = [dict(zip(("kind", "half", "mode"), key, strict=True)) | vars(s) for key, s in table.items()]
        print(json.dumps({"ingest_seconds": round(ingested, 1), "scores": rows}, indent=1))
        return
    print(f"{len(corpus.documents)} documents served after {ingested:.1f} s")
    print(f"{'questions':<16}{'':>5}{'mode':<9}{'recall@5':>9}{'nDCG@10':>9}{'MRR@10':>9}")
    for (kind, half, mode), s in table.items():
        print(f"{kind + ' ' + half:<16}{s.questions:>4} {mode:<9}{s.recall:>9.3f}{s.ndcg:>9.3f}{s.mrr:>9.3f}")


if __name__ == "__main__":
    main()
