#!/usr/bin/python
# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nats_consumer
short_description: Manage durable pull consumers of a JetStream stream
description:
  - Creates, updates in place and deletes durable consumers.
  - Options without a default that are not set are left as they are; a new consumer gets the server's default for them.
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
    type: str
    choices: [all, last, last_per_subject, new]
    default: all
  ack_policy:
    description:
      - What must be acknowledged. Cannot be changed on an existing consumer.
    type: str
    choices: [explicit, all, none]
    default: explicit
  ack_wait:
    description:
      - Time after which a message without an answer is delivered again, as seconds or with units such as V(1h30m).
    type: str
    default: 60s
  max_deliver:
    description:
      - Number of deliveries of one message. V(-1) is no limit; beyond it a message stays, invisible.
    type: int
    default: -1
  max_ack_pending:
    description:
      - Number of messages that may wait for their acknowledgement at once. V(-1) is no limit.
    type: int
  inactive_threshold:
    description:
      - Time without a client after which the server deletes the consumer, written like O(ack_wait). V(0) is never.
    type: str
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
    max_ack_pending: 4
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
    NATS_MUTUALLY_EXCLUSIVE,
    run_nats_module,
)
from ansible_collections.homelab.ai.plugins.module_utils._nats_consumer import CONSUMER_ARGUMENTS, ensure_consumer


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(NATS_ARGUMENTS, **CONSUMER_ARGUMENTS),
        mutually_exclusive=NATS_MUTUALLY_EXCLUSIVE,
        supports_check_mode=True,
    )
    run_nats_module(module, ensure_consumer)


if __name__ == "__main__":
    main()
