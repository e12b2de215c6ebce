# SPDX-License-Identifier: Apache-2.0
"""Logs as JSON lines, spans and metrics through OpenTelemetry; nothing leaves unless an endpoint is set."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import logfire
from opentelemetry import metrics, propagate, trace
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


# logfire's default is an exponential histogram, which the Prometheus exporter cannot write (AttributeError).
_SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
_VIEWS = (View(instrument_name="homelab_stage_duration", aggregation=ExplicitBucketHistogramAggregation(_SECONDS)),)


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, service, message, trace id, and whatever `extra` holds."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "ts": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}",
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            entry["trace_id"] = format(context.trace_id, "032x")
        entry |= {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str, ensure_ascii=False)


def configure(service: str, *, level: str = "INFO") -> None:
    """Once per process, before anything else logs or traces. OTLP starts when OTEL_EXPORTER_OTLP_ENDPOINT is set."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("httpx", "httpcore", "nats.aio.client", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logfire.configure(
        send_to_logfire=False,
        service_name=f"homelab-{service}",
        console=False,
        inspect_arguments=False,
        metrics=logfire.MetricsOptions(additional_readers=[PrometheusMetricReader()], views=_VIEWS),
        distributed_tracing=True,
    )
    propagate.set_global_textmap(TraceContextTextMapPropagator())


def metrics_page() -> tuple[bytes, str]:
    """(body, content type) of /metrics."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST


class Meters:
    """The metrics that docs/contracts.md names."""

    def __init__(self) -> None:
        meter = metrics.get_meter("homelab")
        self.duration = meter.create_histogram("homelab_stage_duration", unit="s")
        self.lag = meter.create_gauge("homelab_stage_lag", description="messages behind the last one fetched")
        self.retries = meter.create_counter("homelab_retries")
        self.dead_letters = meter.create_counter("homelab_dlq")
        self.breaker = meter.create_gauge("homelab_breaker_state")
