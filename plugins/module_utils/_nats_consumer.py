# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Durable pull consumers: which options there are and how one is brought to them."""

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
from ansible_collections.homelab.ai.plugins.module_utils._nats_stream import STREAM_NOT_FOUND

CONSUMER_NOT_FOUND = 10014

CONSUMER_FIELDS = (
    Field("name"),
    set_field("filter_subjects"),
    Field("description", absent=""),
    Field("deliver_policy", absent="all"),
    Field("ack_policy", absent="none"),
    duration_field("ack_wait"),
    limit_field("max_deliver"),
    limit_field("max_ack_pending"),
    duration_field("inactive_threshold"),
    metadata_field(),
)

CONSUMER_ARGUMENTS: dict[str, Any] = {
    "stream": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "filter_subjects": {"type": "list", "elements": "str"},
    "description": {"type": "str"},
    "deliver_policy": {"type": "str", "choices": ["all", "last", "last_per_subject", "new"], "default": "all"},
    "ack_policy": {"type": "str", "choices": ["explicit", "all", "none"], "default": "explicit"},
    "ack_wait": {"type": "str", "default": "60s"},
    "max_deliver": {"type": "int", "default": -1},
    "max_ack_pending": {"type": "int"},
    "inactive_threshold": {"type": "str"},
    "metadata": {"type": "dict"},
}


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
    present = module.params["state"] == "present"
    wanted = wanted_fields(CONSUMER_FIELDS, module.params)
    try:
        info = session.find(f"CONSUMER.INFO.{stream}.{name}", CONSUMER_NOT_FOUND)
    except ApiError as error:
        if error.code != STREAM_NOT_FOUND:
            raise
        # On a fresh host in check mode the stream was only announced by the task before.
        if present and not module.check_mode:
            raise NatsError(f"{what}: the stream does not exist. Create it with homelab.ai.nats_stream") from error
        info = None
    config = one_filter_list(info["config"]) if info else {}
    before = read_fields(CONSUMER_FIELDS, config) if info else {}
    after = dict(before, **wanted) if present else {}
    if info and present:
        fix = (
            "keep the current value, or give the consumer another name and delete this one when it has nothing pending"
        )
        refuse_change(what, "deliver_policy", before, after, fix)
        refuse_change(what, "ack_policy", before, after, fix)
    if before != after and not module.check_mode:
        try:
            if present:
                body = write_fields(CONSUMER_FIELDS, config or {"durable_name": name}, wanted)
                request = {"stream_name": stream, "config": body, "action": "update" if info else "create"}
                reply = session.request(f"CONSUMER.CREATE.{stream}.{name}", request)
                after = read_fields(CONSUMER_FIELDS, one_filter_list(reply["config"])) if info else after
            else:
                session.request(f"CONSUMER.DELETE.{stream}.{name}")
        except ApiError as error:
            raise NatsError(f"the server refused the change of {what}: {error}") from error
    return outcome(module, "consumer", what, before, after)
