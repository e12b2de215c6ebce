# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nats_stream and nats_consumer against a real server, read back with the typed API of nats-py."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from typing import Any

import nats_rig
from module_runner import CANARY, Nats, Runner
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from tests.ports import free_port


def ask(server: Nats, question: Callable[[JetStreamContext], Awaitable[Any]]) -> Any:
    try:
        return nats_rig.ask(server, lambda client: question(client.jetstream()))
    except NotFoundError:
        return None


def stream_config(server: Nats, name: str) -> dict[str, Any] | None:
    info = ask(server, lambda js: js.stream_info(name))
    return asdict(info.config) if info else None


def consumer_config(server: Nats, stream: str, name: str) -> dict[str, Any] | None:
    info = ask(server, lambda js: js.consumer_info(stream, name))
    return asdict(info.config) if info else None


INGEST = {
    "name": "INGEST",
    "subjects": ["doc.>", "extra.>"],
    "retention": "interest",
    "discard": "new",
    "storage": "file",
    "max_age": "7d",
    "max_bytes": 1_000_000,
    "duplicate_window": "2m",
    "compression": "s2",
    "metadata": {"owner": "homelab"},
}


def test_stream_cycle(stream: Runner, nats_server: Nats) -> None:
    def snapshot() -> Any:
        return stream_config(nats_server, "INGEST")

    assert stream.check(INGEST, snapshot)["changed"] is True
    created = stream.cycle(INGEST, snapshot)
    assert created["diff"]["before"] == {}
    assert created["diff"]["after"]["max_age"] == "7d"
    config = snapshot()
    assert config["subjects"] == ["doc.>", "extra.>"]
    assert (config["retention"], config["discard"], config["storage"]) == ("interest", "new", "file")
    assert (config["max_age"], config["duplicate_window"], config["max_bytes"]) == (7 * 86400, 120, 1_000_000)
    assert config["metadata"]["owner"] == "homelab"

    # Another order and another spelling are no change; neither is leaving options out.
    stream.cycle({**INGEST, "subjects": ["extra.>", "doc.>"], "max_age": "168h"}, snapshot, changes=False)
    stream.cycle({"name": "INGEST"}, snapshot, changes=False)

    changed = stream.cycle({"name": "INGEST", "max_age": "1h30m", "max_msgs": 0, "metadata": {"a": "b"}}, snapshot)
    assert changed["diff"]["before"]["max_age"] == "7d"
    assert changed["diff"]["after"]["max_age"] == "1h30m"
    assert changed["diff"]["after"]["metadata"] == {"a": "b"}
    config = snapshot()
    assert (config["max_age"], config["max_msgs"], config["max_bytes"]) == (5400, -1, 1_000_000)
    assert {key for key in config["metadata"] if not key.startswith("_nats.")} == {"a"}
    stream.cycle({"name": "INGEST", "retention": "limits"}, snapshot)

    stream.check({"name": "INGEST", "state": "absent"}, snapshot)
    stream.cycle({"name": "INGEST", "state": "absent"}, snapshot)
    assert snapshot() is None

    # A name alone is enough: the rest is the server's default.
    assert stream.cycle({"name": "INGEST"}, snapshot)["stream"] == {"name": "INGEST"}
    assert snapshot()["subjects"] == ["INGEST"]
    stream({"name": "INGEST", "state": "absent"})


def test_stream_refusals(stream: Runner, nats_server: Nats) -> None:
    stream({"name": "KEEP", "subjects": ["keep.>"], "retention": "limits", "storage": "file"})
    ask(nats_server, lambda js: js.publish("keep.me", b"1"))
    kept = stream_config(nats_server, "KEEP")

    refused = ({"storage": "memory"}, {"retention": "workqueue"}, {"state": "absent"})
    for check in (True, False):
        storage, retention, absent = stream.failures(*({"name": "KEEP", "check": check, **one} for one in refused))
        assert "storage file and memory is wanted" in storage and "recreate" in storage
        assert "retention limits and workqueue is wanted" in retention
        assert "holds 1 messages" in absent and "purge: true" in absent
    soon, overlap = stream.failures({"name": "KEEP", "max_age": "soon"}, {"name": "OTHER", "subjects": ["keep.*"]})
    assert "is not a duration" in soon
    assert "err_code 10065" in overlap
    assert stream_config(nats_server, "KEEP") == kept

    stream.cycle({"name": "KEEP", "state": "absent", "purge": True}, lambda: stream_config(nats_server, "KEEP"))
    assert stream_config(nats_server, "KEEP") is None


def test_consumer_cycle(stream: Runner, consumer: Runner, nats_server: Nats) -> None:
    def snapshot() -> Any:
        return consumer_config(nats_server, "WORK", "extract")

    options = {"stream": "WORK", "name": "extract", "filter_subjects": ["work.a"], "metadata": {"service": "extract"}}
    # Check mode on a fresh host: the stream was only announced. A real run says what is missing.
    (check,) = consumer({**options, "check": True}).tasks
    assert check["changed"] is True and not check.get("failed")
    assert "homelab.ai.nats_stream" in consumer.failure(**options)

    stream({"name": "WORK", "subjects": ["work.>"], "retention": "interest"})
    assert consumer.check(options, snapshot)["changed"] is True
    consumer.cycle(options, snapshot)
    config = snapshot()
    assert config["durable_name"] == "extract"
    assert [config["filter_subject"]] == ["work.a"] or config["filter_subjects"] == ["work.a"]
    assert (config["ack_policy"], config["ack_wait"], config["max_deliver"]) == ("explicit", 30, -1)

    ask(nats_server, lambda js: js.publish("work.a", b"waits"))
    changed = consumer.cycle(
        {**options, "filter_subjects": ["work.b", "work.a"], "ack_wait": "90", "max_ack_pending": 4}, snapshot
    )
    assert changed["diff"]["before"]["ack_wait"] == "30s"
    assert changed["diff"]["after"]["ack_wait"] == "1m30s"
    config = snapshot()
    assert (sorted(config["filter_subjects"]), config["max_ack_pending"]) == (["work.a", "work.b"], 4)
    # Updated in place: the message that waited is still there, and back to one filter works too.
    assert ask(nats_server, lambda js: js.consumer_info("WORK", "extract")).num_pending == 1
    consumer.cycle({**options, "ack_wait": "90s"}, snapshot)

    deliver, ack = consumer.failures({**options, "deliver_policy": "new"}, {**options, "ack_policy": "none"})
    assert "deliver_policy all and new is wanted" in deliver and "another name" in deliver
    assert "ack_policy explicit and none is wanted" in ack

    consumer.cycle({"stream": "WORK", "name": "extract", "state": "absent"}, snapshot)
    assert snapshot() is None
    stream({"name": "WORK", "state": "absent", "purge": True})


def test_each_failure_has_its_own_message(stream: Runner, nats_server: Nats) -> None:
    port = free_port()
    unreachable, password, guest, outsider, in_address = stream.failures(
        {"name": "X", "servers": [f"nats://127.0.0.1:{port}"]},
        {"name": "X", "password": "wrong-password"},
        {"name": "X", "user": "guest"},
        {"name": "X", "user": "outsider"},
        {"name": "X", "servers": [f"nats://admin:{CANARY}@127.0.0.1:{port}"]},
    )
    assert f"127.0.0.1:{port}" in unreachable and "cannot reach" in unreachable and "user admin" in unreachable
    assert "refused user admin" in password and "wrong-password" not in password
    assert "ermissions" in guest and "$JS.API.STREAM.INFO.X" in guest and "no answer" not in guest
    assert "JetStream" in outsider and "user outsider" in outsider
    assert "move them to the options" in in_address


def test_missing_library_names_interpreter_and_package(stream: Runner) -> None:
    bare = replace(stream, python="/usr/bin/python3")
    message = bare.failure(name="X")
    assert "nats-py" in message and "/usr/bin/python3" in message


def test_secrets_stay_out_of_the_output(stream: Runner, folder: Any) -> None:
    file = folder / "nats-password"
    file.write_text(f"{CANARY}\n")
    play = stream({"name": "SILENT", "subjects": ["silent.>"]}, {"name": "SILENT", "state": "absent"}, verbosity="-vvv")
    from_file = replace(stream, defaults={**stream.defaults, "password": None, "password_file": str(file)})
    second = from_file({"name": "SILENT"}, {"name": "SILENT", "state": "absent"}, verbosity="-vvv")
    assert [task["changed"] for task in play.tasks + second.tasks] == [True, True, True, True], second.tasks
    assert CANARY not in play.output and CANARY not in second.output
