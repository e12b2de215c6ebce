# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Streams: which options there are and how a stream is brought to them."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.ai.plugins.module_utils._nats import (
    ApiError,
    Field,
    JetStream,
    NatsError,
    duration_field,
    limit_field,
    metadata_field,
    outcome,
    read_fields,
    refuse_change,
    set_field,
    wanted_fields,
    write_fields,
)

STREAM_NOT_FOUND = 10059

STREAM_FIELDS = (
    Field("name"),
    set_field("subjects"),
    Field("description", absent=""),
    Field("retention", absent="limits"),
    Field("storage", absent="file"),
    Field("discard", absent="old"),
    Field("compression", absent="none"),
    Field("num_replicas", absent=1),
    duration_field("max_age"),
    duration_field("duplicate_window"),
    limit_field("max_bytes"),
    limit_field("max_msgs"),
    limit_field("max_msg_size"),
    metadata_field(),
)

STREAM_ARGUMENTS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "subjects": {"type": "list", "elements": "str"},
    "description": {"type": "str"},
    "retention": {"type": "str", "choices": ["limits", "interest", "workqueue"]},
    "storage": {"type": "str", "choices": ["file", "memory"]},
    "discard": {"type": "str", "choices": ["old", "new"]},
    "compression": {"type": "str", "choices": ["none", "s2"]},
    "num_replicas": {"type": "int"},
    "max_age": {"type": "str"},
    "duplicate_window": {"type": "str"},
    "max_bytes": {"type": "int"},
    "max_msgs": {"type": "int"},
    "max_msg_size": {"type": "int"},
    "metadata": {"type": "dict"},
    "purge": {"type": "bool", "default": False},
}


def refuse_stream_update(name: str, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Raise NatsError for what nats-server 2.15 does not change on an existing stream."""
    fix = "keep the current value, or move the messages away and recreate the stream (state: absent, then present)"
    refuse_change(f"stream {name}", "storage", before, after, fix)
    # Between limits and interest the server changes in place; to and from workqueue it does not.
    if "workqueue" in (before["retention"], after["retention"]):
        refuse_change(f"stream {name}", "retention", before, after, fix)


def ensure_stream(session: JetStream, module: AnsibleModule) -> dict[str, Any]:
    """Create, update or delete the stream that the task names; returns the module's result."""
    name = module.params["name"]
    wanted = wanted_fields(STREAM_FIELDS, module.params)
    if wanted.get("duplicate_window") == "0s":
        raise NatsError("duplicate_window: 0 would be the server's default of 2m: give at least 100ms")
    info = session.find(f"STREAM.INFO.{name}", STREAM_NOT_FOUND)
    before = read_fields(STREAM_FIELDS, info["config"]) if info else {}
    if module.params["state"] == "absent":
        return _absent(session, module, info, before)
    after = dict(before, **wanted)
    if info and before != after:
        refuse_stream_update(name, before, after)
    if before != after and not module.check_mode:
        config = write_fields(STREAM_FIELDS, info["config"] if info else {}, wanted)
        verb = "UPDATE" if info else "CREATE"
        try:
            reply = session.request(f"STREAM.{verb}.{name}", config)
        except ApiError as error:
            raise NatsError(f"the server refused to {verb.lower()} stream {name}: {error}") from error
        if info:
            after = read_fields(STREAM_FIELDS, reply["config"])
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
