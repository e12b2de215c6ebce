# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documented examples of nats_stream and nats_consumer, run against a real server."""

from __future__ import annotations

from typing import Any

from examples import run_examples
from module_runner import CANARY, Nats, Runner
from nats_rig import ask, config


def login(server: Nats) -> dict[str, Any]:
    others = dict.fromkeys(["password_file", "creds_file", "tls_ca"])
    return {**others, "servers": [server.url], "user": "admin", "password": CANARY}


def test_examples(stream: Runner, nats_server: Nats) -> None:
    stream({"name": "SCRATCH", "subjects": ["scratch"]})
    ask(nats_server, lambda client: client.jetstream().publish("scratch", b"1"))
    streams = run_examples(stream, "nats_stream", login(nats_server))
    assert all(result["changed"] for result in streams.values()), streams
    assert config(nats_server, "SCRATCH") is None
    archive, sensors = config(nats_server, "ARCHIVE"), config(nats_server, "SENSORS")
    assert archive is not None and archive["sealed"] is True
    assert sensors is not None and sensors["allow_direct"] is True

    consumers = run_examples(stream, "nats_consumer", login(nats_server))
    assert all(result["changed"] for result in consumers.values()), consumers
    extract = config(nats_server, "INGEST", "extract")
    assert extract is not None and extract["filter_subject" if "filter_subject" in extract else "filter_subjects"]
    assert config(nats_server, "INGEST", "convert") is None
    stream(*({"name": name, "state": "absent"} for name in ("INGEST", "JOBS", "SENSORS", "ARCHIVE")))
