# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Durable consumers: which options there are and how one is brought to them."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.ai.plugins.module_utils._nats import ApiError, JetStream, NatsError
from ansible_collections.homelab.ai.plugins.module_utils._nats_fields import (
    Field,
    duration_field,
    durations_field,
    flag_field,
    limit_field,
    metadata_field,
    read_fields,
    refuse_change,
    refuse_conflict,
    set_field,
    time_field,
    wanted_fields,
    write_fields,
)
from ansible_collections.homelab.ai.plugins.module_utils._nats_stream import STREAM_NOT_FOUND
from ansible_collections.homelab.ai.plugins.module_utils._outcome import outcome

CONSUMER_NOT_FOUND = 10014


def _percent(value: str) -> str:
    """The server takes 50 and 50% alike."""
    return value.rstrip("%")


CONSUMER_FIELDS = (
    Field("name"),
    set_field("filter_subjects"),
    Field("description", absent=""),
    Field("deliver_policy", absent="all"),
    Field("opt_start_seq", absent=0),
    time_field("opt_start_time"),
    Field("ack_policy", absent="none"),
    duration_field("ack_wait"),
    limit_field("max_deliver"),
    durations_field("backoff"),
    limit_field("max_ack_pending"),
    Field("max_waiting", absent=0),
    Field("max_batch", absent=0),
    duration_field("max_expires"),
    Field("max_bytes", absent=0),
    Field("replay_policy", absent="instant"),
    flag_field("headers_only"),
    Field("sample_freq", absent="", wanted=_percent, read=_percent),
    duration_field("inactive_threshold"),
    Field("num_replicas", absent=0),
    flag_field("mem_storage"),
    time_field("pause_until"),
    set_field("priority_groups"),
    Field("priority_policy", absent="none"),
    duration_field("priority_timeout"),
    Field("deliver_subject", absent=""),
    Field("deliver_group", absent=""),
    duration_field("idle_heartbeat"),
    flag_field("flow_control"),
    Field("rate_limit_bps", absent=0),
    metadata_field(),
)

CONSUMER_ARGUMENTS: dict[str, Any] = {
    "stream": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "filter_subjects": {"type": "list", "elements": "str"},
    "description": {"type": "str"},
    "deliver_policy": {
        "type": "str",
        "choices": ["all", "last", "last_per_subject", "new", "by_start_sequence", "by_start_time"],
    },
    "opt_start_seq": {"type": "int"},
    "opt_start_time": {"type": "str"},
    "ack_policy": {"type": "str", "choices": ["explicit", "all", "none"]},
    "ack_wait": {"type": "str"},
    "max_deliver": {"type": "int"},
    "backoff": {"type": "list", "elements": "str"},
    "max_ack_pending": {"type": "int"},
    "max_waiting": {"type": "int"},
    "max_batch": {"type": "int"},
    "max_expires": {"type": "str"},
    "max_bytes": {"type": "int"},
    "replay_policy": {"type": "str", "choices": ["instant", "original"]},
    "headers_only": {"type": "bool"},
    "sample_freq": {"type": "str"},
    "inactive_threshold": {"type": "str"},
    "num_replicas": {"type": "int"},
    "mem_storage": {"type": "bool"},
    "pause_until": {"type": "str"},
    "priority_groups": {"type": "list", "elements": "str"},
    "priority_policy": {"type": "str", "choices": ["none", "overflow", "pinned_client", "prioritized"]},
    "priority_timeout": {"type": "str"},
    "deliver_subject": {"type": "str"},
    "deliver_group": {"type": "str"},
    "idle_heartbeat": {"type": "str"},
    "flow_control": {"type": "bool"},
    "rate_limit_bps": {"type": "int"},
    "metadata": {"type": "dict"},
}

# What nats-server 2.15 does not change on an existing consumer (server/consumer.go, checkNewConsumerConfig).
_FIXED = (
    "deliver_policy",
    "opt_start_seq",
    "opt_start_time",
    "ack_policy",
    "replay_policy",
    "mem_storage",
    "max_waiting",
    "idle_heartbeat",
    "flow_control",
)


def refuse_consumer_update(what: str, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Raise NatsError for what the server does not change on an existing consumer."""
    options = list(_FIXED)
    # The subject itself can change, but a pull consumer stays one, and so does a push consumer.
    if bool(before["deliver_subject"]) != bool(after["deliver_subject"]):
        options.append("deliver_subject")
    for option in options:
        refuse_change(
            what,
            option,
            before,
            after,
            "keep the current value, or give the consumer another name and delete this one when it has nothing pending",
        )


def one_filter_list(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with a lone `filter_subject` written as the list `filter_subjects`."""
    result = dict(config)
    single = result.pop("filter_subject", None)
    if single:
        result["filter_subjects"] = [single]
    return result


def ensure_consumer(session: JetStream, module: AnsibleModule) -> dict[str, Any]:
    """Create, update or delete the consumer that the task names; returns the module's result."""
    name, stream = module.params["name"], module.params["stream"]
    what = f"consumer {name} of stream {stream}"
    wanted = wanted_fields(CONSUMER_FIELDS, module.params)
    info = _find(session, module, what)
    config = one_filter_list(info["config"]) if info else {"durable_name": name}
    before = read_fields(CONSUMER_FIELDS, config) if info else {}
    if module.params["state"] == "absent":
        if info and not module.check_mode:
            _change(session, what, f"CONSUMER.DELETE.{stream}.{name}")
        return outcome(module, "consumer", what, before, {})
    if not info:
        wanted.setdefault("ack_policy", "explicit")  # the server's own default would lose what a worker drops
    after = dict(before, **wanted)
    if after.get("backoff"):
        also = {"ack_wait": after["backoff"][0]}
        refuse_conflict(what, wanted, also, session.version)
        after.update(also)
    if info:
        refuse_consumer_update(what, before, after)
    if before != after and not module.check_mode:
        if info and before["pause_until"] != after["pause_until"]:
            # An update keeps the pause; only this request changes it, and without a time it ends it.
            until = after["pause_until"]
            _change(session, what, f"CONSUMER.PAUSE.{stream}.{name}", {"pause_until": until} if until else {})
        body = write_fields(CONSUMER_FIELDS, config, wanted)
        request = {"stream_name": stream, "config": body, "action": "update" if info else "create"}
        reply = _change(session, what, f"CONSUMER.CREATE.{stream}.{name}", request)
        kept = read_fields(CONSUMER_FIELDS, one_filter_list(reply["config"]))
        refuse_conflict(what, wanted, kept, session.version)
        after = kept if info else after
    return outcome(module, "consumer", what, before, after)


def _find(session: JetStream, module: AnsibleModule, what: str) -> dict[str, Any] | None:
    try:
        return session.find(f"CONSUMER.INFO.{module.params['stream']}.{module.params['name']}", CONSUMER_NOT_FOUND)
    except ApiError as error:
        if error.code != STREAM_NOT_FOUND:
            raise
        # On a fresh host in check mode the stream was only announced by the task before.
        if module.params["state"] == "present" and not module.check_mode:
            raise NatsError(f"{what}: the stream does not exist. Create it with homelab.ai.nats_stream") from error
        return None


def _change(session: JetStream, what: str, subject: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    try:
        return session.request(subject, body)
    except ApiError as error:
        raise NatsError(f"the server refused the change of {what}: {error}") from error
