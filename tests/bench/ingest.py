# SPDX-License-Identifier: GPL-3.0-or-later
"""What the platform costs over its parts: ingest of one PDF through a running stack / the same stages in one process.

    ./bootstrap bench ingest [--rounds N] [--pdf FILE] [--secrets DIRECTORY] [--json]

The parts: Docling's child without the bus, `chunk_structure` with the model's tokenizer, texts straight to llama.cpp in
batches sorted by length, one binary COPY into a temporary table, one N-Triples PUT. No catalog, object store, bus,
LiteLLM or language model. Rounds alternate (bare, platform, bare, ...), each platform round under a new source_id that
is deleted afterwards. The ratio holds for a stack on this machine that has nothing else to do.

Without --pdf the manual of Debian's bash-doc is used (196 pages), fetched by `apt-get download` into --cache.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import psycopg
import pyoxigraph as rdf
from pgvector import Vector
from pgvector.psycopg import register_vector
from prometheus_client.parser import text_string_to_metric_families
from psycopg.conninfo import make_conninfo

from homelab_workers.adapters.docling import DoclingExtractor
from homelab_workers.adapters.tokenizer import FileTokenizer
from homelab_workers.cli.config import read_config
from homelab_workers.contracts import Chunk, EmbedCompleted, Structure, graph_iri
from homelab_workers.model_registry import EmbeddingModel, chunk_window, embedding_model
from homelab_workers.ports import ExtractLimits, Progress
from homelab_workers.stages.chunking import chunk_structure, embedding_text
from homelab_workers.stages.graph import structural_triples
from tests.manual import NoManual, bash_manual

RATIO_ALLOWED = 1.25
PEAK_ALLOWED_MB = 800
COLLECTION = "bench"
PARTS = ("extract", "chunk", "embed", "copy", "graph")
WAY = ("received", "extracted", "chunked", "embedded", "graphed")
WORKER_PORTS = (9101, 9102, 9103, 9104)
CHILD = b"homelab_workers.adapters.docling.child"
POLL_SECONDS = 0.1


# ---------------------------------------------------------------- the stack


@dataclass(frozen=True)
class Stack:
    """Addresses and keys of a stack: the API as a user has it, the servers behind it for the baseline."""

    url: str
    api_key: str
    base_port: int
    secrets: Path

    def secret(self, name: str) -> str:
        try:
            return (self.secrets / name).read_text(encoding="utf-8").strip()
        except OSError as error:
            sys.exit(f"secret {self.secrets / name}: {error.strerror}; run as root or name the folder with --secrets")

    def local(self, port: int) -> str:
        return f"http://127.0.0.1:{self.base_port + port}"

    def api(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {self.api_key}"}, timeout=300, trust_env=False
        )

    def llama(self) -> httpx.Client:
        """The embedding server itself, without LiteLLM in front."""
        headers = {"Authorization": f"Bearer {self.secret('llama-embed')}"}
        return httpx.Client(base_url=self.local(8081), headers=headers, timeout=300, trust_env=False)

    def conninfo(self, service: str) -> str:
        """Of the service's own role; holds its password."""
        return make_conninfo(
            host="127.0.0.1",
            port=self.base_port + 5432,
            dbname="postgres",
            user=f"homelab_{service}",
            password=self.secret(f"postgres-{service}"),
        )

    def postgres(self, service: str) -> psycopg.Connection[Any]:
        connection = psycopg.connect(self.conninfo(service), autocommit=True)
        register_vector(connection)
        return connection


def arguments(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--url", help="address of the query service; default: that of the `homelab` command")
    parser.add_argument("--key-file", type=Path, help="file with an API key; default: that of the `homelab` command")
    parser.add_argument("--secrets", type=Path, default=Path("/etc/homelab/secrets"), help="default: %(default)s")
    parser.add_argument(
        "--base-port", type=int, default=20000, help="offset of the stack's ports, default: %(default)s"
    )
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="the stack's embedding model, default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


def stack_of(given: argparse.Namespace) -> Stack:
    config = read_config(os.environ)
    key = given.key_file.read_text(encoding="utf-8").strip() if given.key_file else config.api_key
    if not key:
        sys.exit(f"no API key: name its file with --key-file or as api_key_file in {config.file}")
    return Stack(given.url or config.url, key, given.base_port, given.secrets)


def answered(response: httpx.Response) -> Any:
    if response.is_error:
        sys.exit(f"{response.request.method} {response.url}: HTTP {response.status_code} {response.text[:500]}")
    return response.json()


def load() -> str:
    return f"load average {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores"


# ---------------------------------------------------------------- memory


def _status(pid: int, name: str) -> int:
    """A number of /proc/PID/status; memory is in kB there."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0


class Peak:
    """The highest VmHWM of parsing children while the block runs, in `mb` (10^6 bytes).

    Looked at five times a second: a child that goes over its bound is replaced right after its document.
    """

    def __init__(self, *, ours: bool) -> None:
        """`ours`: children of this process, else those of other processes (the stack's)."""
        self.mb = 0.0
        self._ours = ours
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        for pid in self._pids():
            # "5" resets the mark that earlier documents left; without the right to, the mark only errs upwards.
            with contextlib.suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
        self._thread.start()
        return self

    def __exit__(self, *_unused: object) -> None:
        self._ended.set()
        self._thread.join()

    def _pids(self) -> list[int]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            # Processes come and go while we look.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if CHILD in (process / "cmdline").read_bytes().split(b"\0"):
                    pid = int(process.name)
                    if (_status(pid, "PPid") == os.getpid()) == self._ours:
                        found.append(pid)
        return found

    def _watch(self) -> None:
        while True:
            last = self._ended.wait(0.2)
            for pid in self._pids():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    self.mb = max(self.mb, _status(pid, "VmHWM") * 1024 / 1e6)
            if last:
                return


# ---------------------------------------------------------------- the parts


@dataclass(frozen=True)
class Parts:
    """What the baseline holds open between rounds."""

    extractor: DoclingExtractor
    tokenizer: FileTokenizer
    model: EmbeddingModel
    llama: httpx.Client
    postgres: psycopg.Connection[Any]
    oxigraph: httpx.Client
    batch: int
    work_dir: Path


@contextlib.asynccontextmanager
async def parts_of(stack: Stack, given: argparse.Namespace, work_dir: Path) -> AsyncIterator[Parts]:
    model = embedding_model(given.model)
    tokenizer = FileTokenizer(given.tokenizer, model)
    with (
        stack.llama() as llama,
        stack.postgres("embed") as postgres,
        httpx.Client(base_url=stack.local(7878), timeout=300, trust_env=False) as oxigraph,
    ):
        extractor = DoclingExtractor(work_dir)
        try:
            yield Parts(extractor, tokenizer, model, llama, postgres, oxigraph, given.batch, work_dir)
        finally:
            await extractor.close()


async def bare(parts: Parts, pdf: Path) -> dict[str, float]:
    """Seconds by part."""
    doc_id, version = uuid.uuid4(), "0" * 16
    spent: dict[str, float] = {}

    @contextlib.contextmanager
    def timed(part: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        spent[part] = time.perf_counter() - started

    await parts.extractor.start()
    with tempfile.TemporaryDirectory(dir=parts.work_dir) as folder, timed("extract"):
        extraction = await parts.extractor.extract(
            pdf, name=pdf.name, mime_type="application/pdf", folder=Path(folder), limits=ExtractLimits()
        )
    window, overlap = chunk_window(parts.model, 512, 128)
    with timed("chunk"):
        chunks = chunk_structure(
            extraction.structure, parts.tokenizer, window=window, overlap=overlap, doc_id=doc_id, version=version
        )
    with timed("embed"):
        vectors = embedded(parts, chunks)
    with timed("copy"):
        copied(parts.postgres, vectors)
    with timed("graph"):
        stored(parts.oxigraph, doc_id, version, extraction.structure, chunks, pdf.name)
    parts.oxigraph.delete("/store", params={"graph": graph_iri(doc_id)}).raise_for_status()
    return spent


def embedded(parts: Parts, chunks: Sequence[Chunk]) -> dict[uuid.UUID, list[float]]:
    """Texts of like length share a request, as in the embed stage."""
    texts = [(c.chunk_id, parts.model.document_prefix + embedding_text(c.heading, c.text)) for c in chunks]
    texts.sort(key=lambda pair: len(pair[1]))
    vectors: dict[uuid.UUID, list[float]] = {}
    for start in range(0, len(texts), parts.batch):
        piece = texts[start : start + parts.batch]
        body = {"model": "embed", "input": [text for _unused, text in piece], "encoding_format": "float"}
        for item in answered(parts.llama.post("/v1/embeddings", json=body))["data"]:
            vectors[piece[item["index"]][0]] = item["embedding"]
    return vectors


def copied(postgres: psycopg.Connection[Any], vectors: Mapping[uuid.UUID, list[float]]) -> None:
    with postgres.transaction(), postgres.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE bench_vectors (id uuid, embedding vector) ON COMMIT DROP")
        with cursor.copy("COPY bench_vectors (id, embedding) FROM STDIN WITH (FORMAT BINARY)") as copy:
            copy.set_types(["uuid", "vector"])
            for chunk_id, vector in vectors.items():
                copy.write_row((chunk_id, Vector(vector)))


def stored(
    oxigraph: httpx.Client, doc_id: uuid.UUID, version: str, structure: Structure, chunks: list[Chunk], name: str
) -> None:
    event = EmbedCompleted(doc_id=doc_id, version=version, wanted_seq=1, model="bench")
    known = Progress(
        state="embedded",
        attempts=1,
        wanted_seq=1,
        current=True,
        source_uri="s3://raw/bench",
        content_sha256="0" * 64,
        collection=COLLECTION,
        title=None,
        mime_type="application/pdf",
        name=name,
        chunks_total=len(chunks),
        chunks_pending=0,
        reissues=0,
        active=True,
    )
    body = rdf.serialize(list(structural_triples(event, known, structure, chunks)), format=rdf.RdfFormat.N_TRIPLES)
    oxigraph.put(
        "/store",
        params={"graph": graph_iri(doc_id)},
        content=body,
        headers={"Content-Type": "application/n-triples"},
    ).raise_for_status()


# ---------------------------------------------------------------- the platform


@dataclass(frozen=True)
class Ingested:
    """`seconds` from the upload's first byte to the state graphed; `stages` as the workers measured themselves."""

    seconds: float
    chunks: int
    stages: dict[str, float]
    reached: dict[str, float]
    """State -> second at which it, or a later one, was first seen (to POLL_SECONDS)."""


def platform(stack: Stack, api: httpx.Client, pdf: Path, *, limit: float) -> Ingested:
    before = durations(stack)
    started = time.perf_counter()
    with pdf.open("rb") as file:
        doc_id = answered(
            api.post(
                "/v1/documents",
                files={"file": (pdf.name, file, "application/pdf")},
                data={"source_id": f"bench:{uuid.uuid4()}", "collection": COLLECTION},
            )
        )["id"]
    try:
        reached: dict[str, float] = {}
        while True:
            document = answered(api.get(f"/v1/documents/{doc_id}"))
            passed = time.perf_counter() - started
            state = document["state"]
            if state not in WAY or passed > limit:
                sys.exit(f"document {doc_id} is {state} after {passed:.0f} s: {document['error']}")
            for earlier in WAY[: WAY.index(state) + 1]:
                reached.setdefault(earlier, passed)
            if state == "graphed":
                break
            time.sleep(POLL_SECONDS)
        after = durations(stack)
    finally:
        deleted(api, doc_id)
    stages = {stage: after[stage] - before.get(stage, 0.0) for stage in after}
    return Ingested(passed, document["chunks_total"], stages, reached)


def deleted(api: httpx.Client, doc_id: str) -> None:
    """Returns when nothing is left of it."""
    answered(api.delete(f"/v1/documents/{doc_id}"))
    deadline = time.monotonic() + 120
    while api.get(f"/v1/documents/{doc_id}").status_code != 404:
        if time.monotonic() > deadline:
            sys.exit(f"document {doc_id} is still being deleted after 120 s: see the log of the delete service")
        time.sleep(0.2)


def durations(stack: Stack) -> dict[str, float]:
    """Seconds that each stage has worked since its start, from /metrics; a worker that serves none is left out."""
    found: dict[str, float] = {}
    for port in WORKER_PORTS:
        page = httpx.get(f"{stack.local(port)}/metrics", trust_env=False)
        if page.is_error:
            print(f"{page.url}: HTTP {page.status_code}, its stages are left out", file=sys.stderr)
            continue
        for family in text_string_to_metric_families(page.text):
            for sample in family.samples:
                if sample.name.startswith("homelab_stage_duration") and sample.name.endswith("_sum"):
                    stage = sample.labels["stage"]
                    found[stage] = found.get(stage, 0.0) + sample.value
    return found


# ---------------------------------------------------------------- the comparison


@dataclass(frozen=True)
class Round:
    bare: dict[str, float]
    platform: Ingested
    peak_mb: dict[str, float]

    @property
    def ratio(self) -> float:
        return self.platform.seconds / sum(self.bare.values())


async def measure(stack: Stack, given: argparse.Namespace, pdf: Path) -> list[Round]:
    rounds: list[Round] = []
    with tempfile.TemporaryDirectory(prefix="homelab-bench-") as work_dir, stack.api() as api:
        async with parts_of(stack, given, Path(work_dir)) as parts:
            for number in range(given.rounds):
                with Peak(ours=True) as own:
                    apart = await bare(parts, pdf)
                with Peak(ours=False) as theirs:
                    whole = await asyncio.to_thread(platform, stack, api, pdf, limit=given.wait)
                rounds.append(Round(apart, whole, {"bare": own.mb, "platform": theirs.mb}))
                print(
                    f"round {number + 1}: ratio {rounds[-1].ratio:.3f}, {whole.chunks} chunks, {load()}",
                    file=sys.stderr,
                    flush=True,
                )
    return rounds


def report(rounds: Sequence[Round]) -> dict[str, Any]:
    """Times as shares of the bare sum of their round, which a busy machine changes less than seconds."""
    ratios = [r.ratio for r in rounds]

    def shares(times: Sequence[Mapping[str, float]], names: Sequence[str]) -> dict[str, float]:
        return {
            name: round(
                statistics.median(t.get(name, 0.0) / sum(r.bare.values()) for t, r in zip(times, rounds, strict=True)),
                3,
            )
            for name in names
        }

    return {
        "rounds": len(rounds),
        "chunks": rounds[-1].platform.chunks,
        "ratio_median": round(statistics.median(ratios), 3),
        "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
        "bare_shares": shares([r.bare for r in rounds], PARTS),
        "worker_shares": shares([r.platform.stages for r in rounds], sorted(rounds[-1].platform.stages)),
        "state_reached_at": shares([r.platform.reached for r in rounds], WAY),
        "peak_rss_mb": {side: round(max(r.peak_mb[side] for r in rounds)) for side in ("bare", "platform")},
        "load": load(),
    }


def show(found: Mapping[str, Any]) -> None:
    low, high = found["ratio_range"]
    print(
        f"platform / bare stages: {found['ratio_median']:.3f} ({low:.3f} to {high:.3f}, {found['rounds']} rounds, "
        f"{found['chunks']} chunks, allowed {RATIO_ALLOWED}), {found['load']}"
    )
    print("shares of the bare sum")
    for title, key in (("bare", "bare_shares"), ("workers", "worker_shares"), ("reached", "state_reached_at")):
        print(f"  {title:<9}" + ", ".join(f"{name} {share:.3f}" for name, share in found[key].items()))
    peaks = ", ".join(f"{side} {mb} MB" for side, mb in found["peak_rss_mb"].items())
    print(f"peak RSS of the extract child: {peaks} (allowed: under {PEAK_ALLOWED_MB})")


def main() -> None:
    parser = arguments(__doc__)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "homelab-bench"
    tokenizer = Path("/opt/homelab/models/all-MiniLM-L6-v2.tokenizer.json")
    parser.add_argument("--rounds", type=int, default=3, help="at least 3, default: %(default)s")
    parser.add_argument("--pdf", type=Path, help="default: bashref.pdf of Debian's bash-doc")
    parser.add_argument("--cache", type=Path, default=cache, help="default: %(default)s")
    parser.add_argument("--tokenizer", type=Path, default=tokenizer, help="tokenizer.json, default: %(default)s")
    parser.add_argument("--batch", type=int, default=16, help="the stack's EMBED_BATCH, default: %(default)s")
    parser.add_argument(
        "--wait", type=float, default=900, help="seconds that one ingest may take, default: %(default)s"
    )
    given = parser.parse_args()
    if given.rounds < 3:
        parser.error(f"--rounds is {given.rounds}: a median needs at least 3")
    try:
        manual = given.pdf or bash_manual(given.cache)
    except NoManual as reason:
        sys.exit(f"{reason}; or name a PDF by --pdf")
    found = report(asyncio.run(measure(stack_of(given), given, manual)))
    if given.json:
        print(json.dumps(found, indent=1))
    else:
        show(found)
    failures = []
    if found["ratio_median"] > RATIO_ALLOWED:
        failures.append(f"the platform takes {found['ratio_median']} times its stages, over {RATIO_ALLOWED}")
    if (peak := max(found["peak_rss_mb"].values())) >= PEAK_ALLOWED_MB:
        failures.append(f"the extract child took {peak} MB, allowed are less than {PEAK_ALLOWED_MB}")
    if failures:
        sys.exit("; ".join(failures))


if __name__ == "__main__":
    main()
