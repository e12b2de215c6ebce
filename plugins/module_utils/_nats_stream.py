# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Streams: which options there are and how a stream is brought to them."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.ai.plugins.module_utils._nats import ApiError, JetStream, NatsError
from ansible_collections.homelab.ai.plugins.module_utils._nats_fields import (
    Field,
    duration_field,
    flag_field,
    format_duration,
    limit_field,
    metadata_field,
    object_field,
    objects_field,
    parse_duration,
    read_fields,
    refuse_change,
    refuse_conflict,
    set_field,
    time_field,
    wanted_fields,
    write_fields,
)
from ansible_collections.homelab.ai.plugins.module_utils._outcome import outcome

STREAM_NOT_FOUND = 10059

_TRANSFORM = (Field("src", absent=""), Field("dest", absent=""))
_ORIGIN = (
    Field("name", absent=""),
    Field("opt_start_seq", absent=0),
    time_field("opt_start_time"),
    Field("filter_subject", absent=""),
    objects_field("subject_transforms", _TRANSFORM, required=("dest",)),
    object_field("external", (Field("api", absent=""), Field("deliver", absent="")), required=("api",)),
    object_field(
        "consumer", (Field("name", absent=""), Field("deliver_subject", absent="")), ("name", "deliver_subject")
    ),
)

STREAM_FIELDS = (
    Field("name"),
    set_field("subjects"),
    Field("description", absent=""),
    Field("retention", absent="limits"),
    Field("storage", absent="file"),
    Field("discard", absent="old"),
    flag_field("discard_new_per_subject"),
    Field("compression", absent="none"),
    Field("num_replicas", absent=1),
    object_field("placement", (Field("cluster", absent=""), set_field("tags"))),
    duration_field("max_age"),
    limit_field("max_bytes"),
    limit_field("max_msgs"),
    limit_field("max_msgs_per_subject"),
    limit_field("max_msg_size"),
    limit_field("max_consumers"),
    duration_field("duplicate_window"),
    object_field("consumer_limits", (duration_field("inactive_threshold"), Field("max_ack_pending", absent=0))),
    Field("first_seq", absent=0),
    flag_field("no_ack"),
    flag_field("sealed"),
    flag_field("deny_delete"),
    flag_field("deny_purge"),
    flag_field("allow_rollup_hdrs"),
    flag_field("allow_direct"),
    flag_field("mirror_direct"),
    flag_field("allow_msg_ttl"),
    duration_field("subject_delete_marker_ttl"),
    flag_field("allow_msg_counter"),
    flag_field("allow_msg_schedules"),
    flag_field("allow_atomic"),
    flag_field("allow_batched"),
    Field("persist_mode", absent="default"),
    object_field("subject_transform", _TRANSFORM, required=("dest",)),
    object_field(
        "republish",
        (Field("src", absent=">"), Field("dest", absent=""), flag_field("headers_only")),
        required=("dest",),
    ),
    object_field("mirror", _ORIGIN, required=("name",)),
    objects_field("sources", _ORIGIN, required=("name",)),
    metadata_field(),
)

_TRANSFORM_ARGUMENTS = {"src": {"type": "str"}, "dest": {"type": "str"}}
_ORIGIN_ARGUMENTS = {
    "name": {"type": "str"},
    "opt_start_seq": {"type": "int"},
    "opt_start_time": {"type": "str"},
    "filter_subject": {"type": "str"},
    "subject_transforms": {"type": "list", "elements": "dict", "options": _TRANSFORM_ARGUMENTS},
    "external": {"type": "dict", "options": {"api": {"type": "str"}, "deliver": {"type": "str"}}},
    "consumer": {"type": "dict", "options": {"name": {"type": "str"}, "deliver_subject": {"type": "str"}}},
}

STREAM_ARGUMENTS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "purge": {"type": "bool", "default": False},
    "subjects": {"type": "list", "elements": "str"},
    "description": {"type": "str"},
    "retention": {"type": "str", "choices": ["limits", "interest", "workqueue"]},
    "storage": {"type": "str", "choices": ["file", "memory"]},
    "discard": {"type": "str", "choices": ["old", "new"]},
    "discard_new_per_subject": {"type": "bool"},
    "compression": {"type": "str", "choices": ["none", "s2"]},
    "num_replicas": {"type": "int"},
    "placement": {
        "type": "dict",
        "options": {"cluster": {"type": "str"}, "tags": {"type": "list", "elements": "str"}},
    },
    "max_age": {"type": "str"},
    "max_bytes": {"type": "int"},
    "max_msgs": {"type": "int"},
    "max_msgs_per_subject": {"type": "int"},
    "max_msg_size": {"type": "int"},
    "max_consumers": {"type": "int"},
    "duplicate_window": {"type": "str"},
    "consumer_limits": {
        "type": "dict",
        "options": {"inactive_threshold": {"type": "str"}, "max_ack_pending": {"type": "int"}},
    },
    "first_seq": {"type": "int"},
    "no_ack": {"type": "bool"},
    "sealed": {"type": "bool"},
    "deny_delete": {"type": "bool"},
    "deny_purge": {"type": "bool"},
    "allow_rollup_hdrs": {"type": "bool"},
    "allow_direct": {"type": "bool"},
    "mirror_direct": {"type": "bool"},
    "allow_msg_ttl": {"type": "bool"},
    "subject_delete_marker_ttl": {"type": "str"},
    "allow_msg_counter": {"type": "bool"},
    "allow_msg_schedules": {"type": "bool"},
    "allow_atomic": {"type": "bool"},
    "allow_batched": {"type": "bool"},
    "persist_mode": {"type": "str", "choices": ["default", "async"]},
    "subject_transform": {"type": "dict", "options": _TRANSFORM_ARGUMENTS},
    "republish": {
        "type": "dict",
        "options": {"src": {"type": "str"}, "dest": {"type": "str"}, "headers_only": {"type": "bool"}},
    },
    "mirror": {"type": "dict", "options": _ORIGIN_ARGUMENTS},
    "sources": {"type": "list", "elements": "dict", "options": _ORIGIN_ARGUMENTS},
    "metadata": {"type": "dict"},
}

# What nats-server 2.15 does not change on an existing stream (server/stream.go, configUpdateCheckLocked);
# first_seq it takes without an error and without an effect.
_FIXED = ("storage", "first_seq", "allow_msg_counter", "persist_mode")
_ONLY_ON = ("sealed", "deny_delete", "deny_purge", "allow_msg_ttl", "allow_msg_schedules")


def refuse_stream_update(name: str, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Raise NatsError for what the server does not change on an existing stream."""
    options = list(_FIXED)
    options += [option for option in _ONLY_ON if before[option] and not after[option]]
    # Between limits and interest the server changes in place; to and from workqueue it does not.
    if "workqueue" in (before["retention"], after["retention"]):
        options.append("retention")
    # Without its mirror a stream becomes one of its own; anything else would need another past.
    if after["mirror"]:
        options.append("mirror")
    for option in options:
        refuse_change(
            f"stream {name}",
            option,
            before,
            after,
            "keep the current value, or move the messages away and recreate the stream (state: absent, then present)",
        )


def derived(after: dict[str, Any]) -> dict[str, Any]:
    """What the server sets by itself beside `after` (server/stream.go, checkStreamCfgLocked)."""
    result: dict[str, Any] = {}
    if after.get("duplicate_window") == "0s" and not (after.get("mirror") or after.get("sources")):
        default, age = parse_duration("2m"), parse_duration(after.get("max_age", 0))
        result.update(duplicate_window=format_duration(min(default, age) if age else default))
    if after.get("allow_msg_schedules") or parse_duration(after.get("subject_delete_marker_ttl", 0)):
        result.update(allow_rollup_hdrs=True, deny_purge=False)
    if parse_duration(after.get("subject_delete_marker_ttl", 0)):
        result.update(allow_msg_ttl=True)
    if after.get("sealed"):
        result.update(max_age="0s", discard="new", deny_delete=True, deny_purge=True, allow_rollup_hdrs=False)
    return result


def ensure_stream(session: JetStream, module: AnsibleModule) -> dict[str, Any]:
    """Create, update or delete the stream that the task names; returns the module's result."""
    name = module.params["name"]
    wanted = wanted_fields(STREAM_FIELDS, module.params)
    info = session.find(f"STREAM.INFO.{name}", STREAM_NOT_FOUND)
    before = read_fields(STREAM_FIELDS, info["config"]) if info else {}
    if module.params["state"] == "absent":
        return _absent(session, module, info, before)
    after = dict(before, **wanted)
    also = derived(after)
    refuse_conflict(f"stream {name}", wanted, also, session.version)
    if info and before != after:
        after.update(also)
        refuse_stream_update(name, before, after)
    if before != after and not module.check_mode:
        config = write_fields(STREAM_FIELDS, info["config"] if info else {}, wanted)
        verb = "UPDATE" if info else "CREATE"
        try:
            reply = session.request(f"STREAM.{verb}.{name}", config)
        except ApiError as error:
            raise NatsError(f"the server refused to {verb.lower()} stream {name}: {error}") from error
        kept = read_fields(STREAM_FIELDS, reply["config"])
        refuse_conflict(f"stream {name}", wanted, kept, session.version)
        after = kept if info else after
    return outcome(module, "stream", f"stream {name}", before, after)


def _absent(
    session: JetStream, module: AnsibleModule, info: dict[str, Any] | None, before: dict[str, Any]
) -> dict[str, Any]:
    name = module.params["name"]
    messages = info["state"]["messages"] if info else 0
    if messages and not module.params["purge"]:
        raise NatsError(
            f"stream {name} holds {messages} messages and would lose them: "
            "let its consumers finish, or set purge: true to delete them with the stream"
        )
    if info and not module.check_mode:
        session.request(f"STREAM.DELETE.{name}")
    return outcome(module, "stream", f"stream {name}", before, {})
