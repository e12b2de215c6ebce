# SPDX-License-Identifier: GPL-3.0-or-later
"""One trace from the upload to the graph, as a collector receives it (`local_stack_otlp_endpoint`)."""

from __future__ import annotations

import gzip
import json
import os
import secrets
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlparse

import httpx
import pytest
from conftest import Stack
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.http_server import serving

SERVICES = {f"homelab-{name}" for name in ("query", "extract", "chunk", "embed", "graph")}


class Collector:
    """(service, span) names by trace id, of everything that was exported while it listened."""

    def __init__(self) -> None:
        self.traces: dict[str, set[tuple[str, str]]] = {}
        self._lock = threading.Lock()

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        with self._lock:
            for resource in request.resource_spans:
                names = {item.key: item.value.string_value for item in resource.resource.attributes}
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        seen = self.traces.setdefault(span.trace_id.hex(), set())
                        seen.add((names["service.name"], span.name))

    def spans(self, trace_id: str) -> set[tuple[str, str]]:
        with self._lock:
            return set(self.traces.get(trace_id, ()))


@pytest.fixture
def collector() -> Iterator[Collector]:
    endpoint = json.loads(os.environ.get("HOMELAB_E2E", "{}")).get("local_stack_otlp_endpoint")
    if not endpoint:
        pytest.skip("the stack was deployed without local_stack_otlp_endpoint")
    collected = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path == "/v1/traces":
                collected.take(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_unused: object) -> None:
            """Nothing: the test's output is its assertion."""

    with serving(Handler, port=urlparse(endpoint).port or 4318):
        yield collected


def test_one_trace_from_the_upload_to_the_graph(stack: Stack, collector: Collector) -> None:
    """The caller begins the trace, so that its id is known; spans of earlier documents may arrive late."""
    trace_id = secrets.token_hex(16)
    answer = httpx.post(
        f"{stack.url}/v1/documents",
        files={"file": ("traced.md", b"# Trace\nThe tracer is a red-necked phalarope.\n")},
        data={"collection": "traced"},
        headers={"Authorization": f"Bearer {stack.api_key}", "traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"},
        timeout=60,
        trust_env=False,
    )
    answer.raise_for_status()
    assert stack.finished(answer.json()["id"])["state"] == "graphed"
    deadline = time.monotonic() + 60
    while not {service for service, _unused in collector.spans(trace_id)} >= SERVICES:
        assert time.monotonic() < deadline, f"the trace holds only {sorted(collector.spans(trace_id))}"
        time.sleep(0.2)
    spans = collector.spans(trace_id)
    names = {name for service, name in spans if service == "homelab-query"}
    assert any("POST" in name and "/v1/documents" in name for name in names), names
    assert ("homelab-graph", "graph graph") in spans
