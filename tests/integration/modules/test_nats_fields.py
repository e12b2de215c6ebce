# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every field of streams and consumers on a real server: set, repeated, changed, drifted, repaired, refused."""

from __future__ import annotations

import json
from typing import Any

from module_runner import Nats, Runner
from nats_rig import ask, config

SECOND = 1_000_000_000

SOURCES = [
    {"name": "TWO", "subject_transforms": [{"src": "two.*", "dest": "fields.two.{{wildcard(1)}}"}]},
    {"name": "ONE", "filter_subject": "one.a", "opt_start_time": "2026-01-31T09:00:00+01:00"},
    {"name": "FAR", "opt_start_seq": 5, "external": {"api": "$JS.far.API", "deliver": "far.deliver"}},
]
STREAM = {
    "name": "FIELDS",
    "subjects": ["fields.>"],
    "description": "all of them",
    "discard": "new",
    "discard_new_per_subject": True,
    "compression": "s2",
    "num_replicas": 1,
    "max_age": "1h",
    "max_bytes": 1_000_000,
    "max_msgs": 1000,
    "max_msgs_per_subject": 10,
    "max_msg_size": 5000,
    "max_consumers": 7,
    "duplicate_window": "90s",
    "consumer_limits": {"inactive_threshold": "1h", "max_ack_pending": 50},
    "first_seq": 100,
    "allow_direct": True,
    "allow_rollup_hdrs": True,
    "allow_atomic": True,
    "allow_batched": True,
    "subject_delete_marker_ttl": "1m",
    "subject_transform": {"src": "fields.a.*", "dest": "fields.b.{{wildcard(1)}}"},
    "republish": {"src": "fields.>", "dest": "again.>", "headers_only": True},
    "sources": SOURCES,
    "metadata": {"owner": "homelab"},
}


def unsafe(options: dict[str, Any]) -> dict[str, Any]:
    """The options with NATS placeholders protected from Ansible's own templates."""
    text = json.dumps(options).replace("{{wildcard(1)}}", "{{ '{{wildcard(1)}}' }}")
    result: dict[str, Any] = json.loads(text)
    return result


def test_stream_fields(stream: Runner, nats_server: Nats) -> None:
    def snapshot() -> Any:
        return config(nats_server, "FIELDS")

    stream.cycle(unsafe(STREAM), snapshot)
    wire = snapshot()
    plain = [option for option, value in STREAM.items() if not isinstance(value, (list, dict)) and option != "name"]
    durations = {"max_age": 3600, "duplicate_window": 90, "subject_delete_marker_ttl": 60}
    for option in plain:
        assert wire[option] == (durations[option] * SECOND if option in durations else STREAM[option]), option
    assert wire["allow_msg_ttl"] is True  # follows from the markers
    assert wire["consumer_limits"] == {"inactive_threshold": 3600 * SECOND, "max_ack_pending": 50}
    assert wire["subject_transform"] == STREAM["subject_transform"] and wire["republish"] == STREAM["republish"]
    origins = {origin["name"]: origin for origin in wire["sources"]}
    assert origins["ONE"]["opt_start_time"] == "2026-01-31T08:00:00Z"
    assert origins["FAR"]["external"] == {"api": "$JS.far.API", "deliver": "far.deliver"}
    assert origins["TWO"]["subject_transforms"][0]["src"] == "two.*"

    # The same in another order and spelling.
    same = {**STREAM, "sources": SOURCES[::-1], "max_age": 3600, "duplicate_window": "1m30s"}
    stream.cycle(unsafe(same), snapshot, changes=False)

    # In place, and back to nothing.
    changes = {
        "max_consumers": -1,
        "max_msgs_per_subject": 20,
        "consumer_limits": {},
        "subject_transform": {},
        "republish": {},
        "sources": [],
        "allow_atomic": False,
        "deny_delete": True,
    }
    stream.cycle({"name": "FIELDS", **changes}, snapshot)
    wire = snapshot()
    assert not {"subject_transform", "republish", "sources"} & set(wire) and wire["consumer_limits"] == {}
    assert (wire["max_consumers"], wire["max_msgs_per_subject"], wire["max_age"]) == (-1, 20, 3600 * SECOND)

    # What cannot be changed is refused, in check mode too, and nothing else of the task is done.
    before = snapshot()
    refused: dict[str, Any] = {
        "first_seq": 5,
        "deny_delete": False,
        "allow_msg_ttl": False,
        "allow_msg_counter": True,
        "persist_mode": "async",
        "mirror": {"name": "ONE"},
    }
    tasks = [
        {"name": "FIELDS", "max_msgs": 5, "check": check, option: value}
        for check in (True, False)
        for option, value in refused.items()
    ]
    for option, message in zip([*refused, *refused], stream.failures(*tasks), strict=True):
        assert option in message and ("recreate" in message or "leave allow_msg_ttl out" in message), message
    assert snapshot() == before

    # Sealing closes it for good, with what follows from that.
    conflict, *_unused = stream.failures({"name": "FIELDS", "sealed": True, "max_age": "1h"})
    assert "gets max_age 0s although 1h is wanted" in conflict
    sealed = {"name": "FIELDS", "sealed": True, "allow_rollup_hdrs": False, "subject_delete_marker_ttl": "0"}
    result = stream.cycle(sealed, snapshot)
    assert result["diff"]["after"]["max_age"] == "0s" and snapshot()["sealed"] is True
    assert "cannot change sealed in place" in stream.failure(name="FIELDS", sealed=False)
    stream({"name": "FIELDS", "state": "absent"})


def test_mirror_and_its_promotion(stream: Runner, nats_server: Nats) -> None:
    def snapshot() -> Any:
        return config(nats_server, "COPY")

    stream({"name": "ORIGIN", "subjects": ["origin.>"], "allow_direct": True})
    mirror = {"name": "COPY", "mirror": {"name": "ORIGIN", "opt_start_seq": 1}, "mirror_direct": True}
    stream.cycle(mirror, snapshot)
    assert snapshot()["mirror"] == {"name": "ORIGIN", "opt_start_seq": 1}
    assert "cannot change mirror in place" in stream.failure(name="COPY", mirror={"name": "ELSEWHERE"})
    stream.cycle({"name": "COPY", "mirror": {}, "subjects": ["copy.>"]}, snapshot)
    assert "mirror" not in snapshot() and snapshot()["subjects"] == ["copy.>"]
    stream({"name": "COPY", "state": "absent"}, {"name": "ORIGIN", "state": "absent"})


def test_placement_and_what_only_a_new_stream_can_have(stream: Runner, nats_server: Nats) -> None:
    def snapshot() -> Any:
        return config(nats_server, "COUNT")

    options = {"name": "COUNT", "allow_msg_counter": True, "no_ack": False, "persist_mode": "async"}
    stream.cycle({**options, "placement": {"tags": ["ssd", "quiet"]}}, snapshot)
    assert snapshot()["placement"] == {"tags": ["quiet", "ssd"]}
    assert (snapshot()["allow_msg_counter"], snapshot()["persist_mode"]) == (True, "async")
    stream.cycle({"name": "COUNT", "placement": {}}, snapshot)
    assert "placement" not in snapshot()
    by_server, window = stream.failures(
        {"name": "COUNT", "allow_msg_schedules": True, "discard": "new"}, {"name": "COUNT", "duplicate_window": "0"}
    )
    assert "the server refused to update stream COUNT" in by_server and "err_code" in by_server
    assert "gets duplicate_window 2m although 0s is wanted" in window
    stream({"name": "COUNT", "state": "absent"})


def test_planted_drift_of_a_stream(stream: Runner, nats_server: Nats) -> None:
    options = {"name": "DRIFT", "subjects": ["drift.>"], "max_age": "1h", "republish": {"dest": "again.>"}}
    stream(options)
    wanted = config(nats_server, "DRIFT")
    assert wanted is not None
    drifted = {**wanted, "max_age": 7200 * SECOND, "subjects": ["drift.a"], "duplicate_window": 60 * SECOND}
    del drifted["republish"]
    body = json.dumps(drifted).encode()
    ask(nats_server, lambda client: client.request("$JS.API.STREAM.UPDATE.DRIFT", body))

    check = stream.check(options, lambda: config(nats_server, "DRIFT"))
    assert check["changed"] is True
    assert check["diff"]["before"]["max_age"] == "2h" and check["diff"]["after"]["max_age"] == "1h"
    stream.cycle(options, lambda: config(nats_server, "DRIFT"))
    # Repaired, and what the task does not name has kept what somebody else has chosen.
    repaired = config(nats_server, "DRIFT")
    assert repaired is not None
    assert {key: repaired[key] for key in ("max_age", "subjects", "republish")} == {
        key: wanted[key] for key in ("max_age", "subjects", "republish")
    }
    assert repaired["duplicate_window"] == 60 * SECOND
    stream({"name": "DRIFT", "state": "absent"})


PULL = {
    "stream": "FEED",
    "name": "pull",
    "description": "all of them",
    "filter_subjects": ["feed.b", "feed.a"],
    "deliver_policy": "by_start_sequence",
    "opt_start_seq": 3,
    "ack_policy": "explicit",
    "max_deliver": 5,
    "backoff": ["1s", "1m"],
    "max_ack_pending": 20,
    "max_waiting": 9,
    "max_batch": 8,
    "max_expires": "30s",
    "max_bytes": 4096,
    "headers_only": True,
    "sample_freq": "50%",
    "inactive_threshold": "1h",
    "num_replicas": 1,
    "mem_storage": True,
    "replay_policy": "original",
    "pause_until": "2099-01-31T09:00:00+01:00",
    "priority_groups": ["jobs"],
    "priority_policy": "pinned_client",
    "priority_timeout": "3m",
    "metadata": {"service": "pull"},
}


def test_pull_consumer_fields(stream: Runner, consumer: Runner, nats_server: Nats) -> None:
    def snapshot() -> Any:
        return config(nats_server, "FEED", "pull")

    stream({"name": "FEED", "subjects": ["feed.>"]})
    consumer.cycle(PULL, snapshot)
    wire = snapshot()
    durations = {"max_expires": 30, "inactive_threshold": 3600, "priority_timeout": 180}
    for option in set(PULL) - {
        "stream",
        "name",
        "backoff",
        "pause_until",
        "metadata",
        "filter_subjects",
        "sample_freq",
    }:
        assert wire[option] == (durations[option] * SECOND if option in durations else PULL[option]), option
    assert (wire["sample_freq"], wire["backoff"], wire["ack_wait"]) == ("50", [SECOND, 60 * SECOND], SECOND)
    assert wire["pause_until"] == "2099-01-31T08:00:00Z" and sorted(wire["filter_subjects"]) == ["feed.a", "feed.b"]
    assert wire["durable_name"] == "pull"

    same = {**PULL, "sample_freq": "50", "pause_until": "2099-01-31T08:00:00Z", "backoff": ["1000ms", 60]}
    consumer.cycle(same, snapshot, changes=False)

    changes = {
        "pause_until": "",
        "backoff": [],
        "ack_wait": "20s",
        "priority_policy": "overflow",
        "priority_groups": ["jobs"],
        "priority_timeout": "0",
        "headers_only": False,
        "sample_freq": "",
        "max_bytes": 0,
        "filter_subjects": [],
    }
    consumer.cycle({"stream": "FEED", "name": "pull", **changes}, snapshot)
    wire = snapshot()
    assert not {"pause_until", "backoff", "max_bytes", "filter_subject", "filter_subjects"} & set(wire)
    assert (wire["priority_policy"], wire["ack_wait"], wire["max_batch"]) == ("overflow", 20 * SECOND, 8)

    before = snapshot()
    refused: dict[str, Any] = {
        "opt_start_seq": 5,
        "mem_storage": False,
        "replay_policy": "instant",
        "max_waiting": 5,
        "deliver_subject": "elsewhere",
    }
    tasks = [
        {"stream": "FEED", "name": "pull", "check": check, option: value}
        for check in (True, False)
        for option, value in refused.items()
    ]
    for option, message in zip([*refused, *refused], consumer.failures(*tasks), strict=True):
        assert f"cannot change {option} in place" in message
    conflict, by_server = consumer.failures(
        {"stream": "FEED", "name": "pull", "backoff": ["1s"], "ack_wait": "20s"},
        {"stream": "FEED", "name": "other", "deliver_policy": "by_start_time"},
    )
    assert "gets ack_wait 1s although 20s is wanted" in conflict
    assert "the server refused the change of consumer other" in by_server and "start time" in by_server
    assert snapshot() == before

    # Planted drift: reported in check mode, repaired by the next run.
    drifted = {**before, "ack_wait": 5 * SECOND, "max_deliver": 1}
    body = json.dumps({"stream_name": "FEED", "config": drifted, "action": "update"}).encode()
    ask(nats_server, lambda client: client.request("$JS.API.CONSUMER.CREATE.FEED.pull", body))
    wanted = {"stream": "FEED", "name": "pull", "ack_wait": "20s", "max_deliver": 5}
    check = consumer.check(wanted, snapshot)
    assert check["changed"] is True and check["diff"]["before"]["ack_wait"] == "5s"
    consumer.cycle(wanted, snapshot)
    assert snapshot() == before
    consumer.cycle({"stream": "FEED", "name": "pull", "state": "absent"}, snapshot)
    stream({"name": "FEED", "state": "absent", "purge": True})


def test_push_consumer_and_a_start_time(stream: Runner, consumer: Runner, nats_server: Nats) -> None:
    def snapshot() -> Any:
        return config(nats_server, "FEED", "push")

    stream({"name": "FEED", "subjects": ["feed.>"]})
    options = {
        "stream": "FEED",
        "name": "push",
        "deliver_subject": "out.push",
        "deliver_group": "workers",
        "idle_heartbeat": "5s",
        "rate_limit_bps": 1000,
        "deliver_policy": "by_start_time",
        "opt_start_time": "2026-01-31T09:00:00.5+01:00",
    }
    consumer.cycle(options, snapshot)
    wire = snapshot()
    assert (wire["opt_start_time"], wire["idle_heartbeat"]) == ("2026-01-31T08:00:00.5Z", 5 * SECOND)
    assert {key: wire[key] for key in ("deliver_subject", "deliver_group", "rate_limit_bps")} == {
        key: options[key] for key in ("deliver_subject", "deliver_group", "rate_limit_bps")
    }
    consumer.cycle({**options, "deliver_subject": "out.elsewhere", "rate_limit_bps": 2000}, snapshot)
    pull, start = consumer.failures(
        {**options, "deliver_subject": ""}, {**options, "opt_start_time": "2026-02-01T00:00:00Z"}
    )
    assert "cannot change deliver_subject in place" in pull and "another name" in pull
    assert "cannot change opt_start_time in place" in start
    flow = {
        "stream": "FEED",
        "name": "flow",
        "deliver_subject": "out.flow",
        "idle_heartbeat": "5s",
        "flow_control": True,
    }
    consumer.cycle(flow, lambda: config(nats_server, "FEED", "flow"))
    stream({"name": "FEED", "state": "absent"})
