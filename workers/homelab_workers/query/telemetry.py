# SPDX-License-Identifier: Apache-2.0
"""One server span and one duration per request, within the trace that the caller started."""

from __future__ import annotations

import time

from opentelemetry import metrics, propagate, trace
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})


class Traced:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._tracer = trace.get_tracer("homelab.query")
        self._duration = metrics.get_meter("homelab").create_histogram("homelab_stage_duration", unit="s")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _QUIET:
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        context = propagate.extract(dict(Headers(scope=scope)))
        with self._tracer.start_as_current_span(
            f"{scope['method']} /{'/'.join(scope['path'].split('/')[1:3])}", context=context, kind=trace.SpanKind.SERVER
        ) as span:
            span.set_attribute("http.request.method", scope["method"])
            span.set_attribute("url.path", scope["path"])

            async def traced_send(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        span.set_status(trace.StatusCode.ERROR)
                    trace_id = format(span.get_span_context().trace_id, "032x")
                    message["headers"] = [*message.get("headers", []), (b"homelab-trace-id", trace_id.encode())]
                await send(message)

            try:
                await self._app(scope, receive, traced_send)
            finally:
                self._duration.record(time.perf_counter() - started, {"stage": "query"})
