#!/usr/bin/python
# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nats_consumer
short_description: Manage durable consumers of a JetStream stream
description:
  - Creates, updates in place and deletes durable consumers.
  - Options that are not set are left as they are; a new consumer gets the server's default for them.
  - Options have the names that the server gives them, as C(nats consumer info --json) shows them.
  - Where the server cannot change a setting in place the module fails and says how to go on.
  - The module never deletes a consumer to recreate it, because its position in the stream would be lost.
version_added: 0.1.0
author:
  - homelab.ai contributors (@homelab-ai)
extends_documentation_fragment:
  - homelab.ai._attributes
  - homelab.ai._attributes.actiongroup_nats
  - homelab.ai._nats
options:
  stream:
    description:
      - Name of the stream. It must exist, except in check mode.
    type: str
    required: true
  name:
    description:
      - Name of the durable consumer.
    type: str
    required: true
  state:
    description:
      - Whether the consumer exists.
      - V(absent) forgets what the consumer has still to deliver. In a stream with interest retention those messages go
        with it, unless another consumer wants them.
    type: str
    choices: [present, absent]
    default: present
  filter_subjects:
    description:
      - Subjects that are delivered. Their order means nothing. An empty list is everything in the stream.
    type: list
    elements: str
  description:
    description:
      - Text shown to operators.
    type: str
  deliver_policy:
    description:
      - Where a new consumer begins. Cannot be changed on an existing consumer.
      - V(by_start_sequence) needs O(opt_start_seq), V(by_start_time) needs O(opt_start_time).
    type: str
    choices: [all, last, last_per_subject, new, by_start_sequence, by_start_time]
  opt_start_seq:
    description:
      - Sequence number of the first message. Cannot be changed on an existing consumer.
    type: int
  opt_start_time:
    description:
      - Time from which messages are delivered, such as V(2026-01-31T08:00:00Z). Cannot be changed on an existing
        consumer.
    type: str
  ack_policy:
    description:
      - What must be acknowledged; V(explicit) for a new consumer if not set. Cannot be changed on an existing consumer.
    type: str
    choices: [explicit, all, none]
  ack_wait:
    description:
      - Time after which a message without an answer is delivered again, as seconds or with units such as V(1h30m).
    type: str
  max_deliver:
    description:
      - Number of deliveries of one message. V(-1) is no limit; beyond it a message stays, invisible.
    type: int
  backoff:
    description:
      - When a message without an answer is delivered again, written like O(ack_wait). The last one repeats.
      - The first one becomes O(ack_wait), so that a task has only one of the two. An empty list is none.
    type: list
    elements: str
  max_ack_pending:
    description:
      - Number of messages that may wait for their acknowledgement at once. V(-1) is no limit.
    type: int
  max_waiting:
    description:
      - Number of requests for messages that may wait. Cannot be changed on an existing consumer.
    type: int
  max_batch:
    description:
      - Number of messages that one request may ask for. V(0) is no limit.
    type: int
  max_expires:
    description:
      - Time that a request may wait, written like O(ack_wait). V(0) is no limit.
    type: str
  max_bytes:
    description:
      - Number of bytes that one request may ask for. V(0) is no limit.
    type: int
  replay_policy:
    description:
      - Whether messages come as fast as they can, or in the rhythm in which they were published.
      - Cannot be changed on an existing consumer.
    type: str
    choices: [instant, original]
  headers_only:
    description:
      - Whether messages come without their bodies.
    type: bool
  sample_freq:
    description:
      - Share of the acknowledgements that are reported as an event, such as V(50%). An empty one is none.
    type: str
  inactive_threshold:
    description:
      - Time without a client after which the server deletes the consumer, written like O(ack_wait). V(0) is never.
    type: str
  num_replicas:
    description:
      - Number of servers that hold the consumer's position. V(0) is as many as hold the stream.
    type: int
  mem_storage:
    description:
      - Whether the position is kept in memory only. Cannot be changed on an existing consumer.
    type: bool
  pause_until:
    description:
      - Time until which nothing is delivered, such as V(2026-01-31T08:00:00Z). An empty one resumes.
    type: str
  priority_groups:
    description:
      - Groups of clients that O(priority_policy) distinguishes.
    type: list
    elements: str
  priority_policy:
    description:
      - Which client of a group gets a message.
    type: str
    choices:
      none: Any.
      overflow: Any, and those of other places only when much is pending.
      pinned_client: One, until it goes.
      prioritized: The one whose request has the highest priority.
  priority_timeout:
    description:
      - Time without a request after which another client is pinned, written like O(ack_wait).
    type: str
  deliver_subject:
    description:
      - Subject to which a push consumer sends by itself; clients fetch from a consumer without it.
      - A pull consumer cannot become a push consumer, nor the other way round.
    type: str
  deliver_group:
    description:
      - Queue group that shares the messages of a push consumer.
    type: str
  idle_heartbeat:
    description:
      - Time without messages after which a push consumer sends a sign of life, written like O(ack_wait). Cannot be
        changed on an existing consumer.
    type: str
  flow_control:
    description:
      - Whether a push consumer waits for slow clients. Needs O(idle_heartbeat). Cannot be changed on an existing
        consumer.
    type: bool
  rate_limit_bps:
    description:
      - Bits per second that a push consumer sends. V(0) is no limit.
    type: int
  metadata:
    description:
      - Keys and values that replace the consumer's own. Keys that begin with C(_nats.) belong to the server and stay.
    type: dict
seealso:
  - module: homelab.ai.nats_stream
"""

EXAMPLES = r"""
- name: Deliver new documents to the extract service
  homelab.ai.nats_consumer:
    servers: [nats://127.0.0.1:24222]
    user: admin
    password_file: /etc/homelab/secrets/nats-admin
    stream: INGEST
    name: extract
    filter_subjects: [doc.ingest.requested]
    ack_wait: 60s
    max_ack_pending: 4

- name: Give a job to the first free worker again when it fails, at most five times
  homelab.ai.nats_consumer:
    stream: INGEST
    name: convert
    backoff: [1s, 30s, 5m]
    max_deliver: 5
    priority_groups: [converters]
    priority_policy: prioritized

- name: Stop a consumer until the night
  homelab.ai.nats_consumer:
    stream: INGEST
    name: convert
    pause_until: 2099-01-31T22:00:00+01:00

- name: Remove a consumer and its position
  homelab.ai.nats_consumer:
    stream: INGEST
    name: convert
    state: absent
"""

RETURN = r"""
consumer:
  description: The consumer's settings by option name; empty without consumer. On creation only those that were set.
  returned: success
  type: dict
  sample: {"filter_subjects": ["doc.ingest.requested"], "ack_policy": "explicit", "ack_wait": "1m"}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.ai.plugins.module_utils._nats import (
    NATS_ARGUMENTS,
    NATS_CONSTRAINTS,
    run_nats_module,
)
from ansible_collections.homelab.ai.plugins.module_utils._nats_consumer import CONSUMER_ARGUMENTS, ensure_consumer


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(NATS_ARGUMENTS, **CONSUMER_ARGUMENTS),
        **NATS_CONSTRAINTS,
        supports_check_mode=True,
    )
    run_nats_module(module, ensure_consumer)


if __name__ == "__main__":
    main()
