#!/usr/bin/python
# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nats_stream
short_description: Manage JetStream streams of a NATS server
description:
  - Creates, updates in place and deletes streams.
  - Options that are not set are left as they are; a new stream gets the server's default for them.
  - Where the server cannot change a setting in place the module fails and says how to go on. It never deletes a stream
    to recreate it.
version_added: 0.1.0
author:
  - homelab.ai contributors (@homelab-ai)
extends_documentation_fragment:
  - homelab.ai._attributes
  - homelab.ai._attributes.actiongroup_nats
  - homelab.ai._nats
options:
  name:
    description:
      - Name of the stream.
    type: str
    required: true
  state:
    description:
      - Whether the stream exists.
      - V(absent) fails when the stream holds messages, unless O(purge=true).
    type: str
    choices: [present, absent]
    default: present
  subjects:
    description:
      - Subjects that the stream stores. Their order means nothing.
    type: list
    elements: str
  description:
    description:
      - Text shown to operators.
    type: str
  retention:
    description:
      - When messages go.
      - Can change between V(limits) and V(interest) in place, but not to or from V(workqueue).
    type: str
    choices:
      limits: When a limit is reached.
      interest: When each consumer has acknowledged them. What no consumer wants is not kept.
      workqueue: When one consumer has acknowledged them.
  storage:
    description:
      - Where messages are kept. Cannot be changed on an existing stream.
    type: str
    choices: [file, memory]
  discard:
    description:
      - What happens when a limit is reached.
    type: str
    choices:
      old: The oldest messages are deleted.
      new: New messages are refused, so that the publisher sees it.
  compression:
    description:
      - Compression of stored messages.
    type: str
    choices: [none, s2]
  num_replicas:
    description:
      - Number of servers that hold a copy.
    type: int
  max_age:
    description:
      - Age at which messages are deleted, as seconds or with units such as V(90s), V(1h30m) or V(7d). V(0) is no limit.
    type: str
  duplicate_window:
    description:
      - How long the server remembers C(Nats-Msg-Id) headers, written like O(max_age). Cannot exceed O(max_age).
    type: str
  max_bytes:
    description:
      - Size limit of the stream in bytes. V(-1) is no limit.
    type: int
  max_msgs:
    description:
      - Limit of the number of messages. V(-1) is no limit.
    type: int
  max_msg_size:
    description:
      - Size limit of one message in bytes. V(-1) is no limit.
    type: int
  metadata:
    description:
      - Keys and values that replace the stream's own. Keys that begin with C(_nats.) belong to the server and stay.
    type: dict
  purge:
    description:
      - Whether O(state=absent) may delete a stream that holds messages.
    type: bool
    default: false
seealso:
  - module: homelab.ai.nats_consumer
"""

EXAMPLES = r"""
- name: Keep documents for a week, until each stage has seen them
  homelab.ai.nats_stream:
    servers: [nats://127.0.0.1:24222]
    user: admin
    password_file: /etc/homelab/secrets/nats-admin
    name: INGEST
    subjects: [doc.>]
    retention: interest
    discard: new
    storage: file
    max_age: 7d
    max_bytes: 10737418240

- name: Remove a stream and the messages in it
  homelab.ai.nats_stream:
    name: SCRATCH
    state: absent
    purge: true
"""

RETURN = r"""
stream:
  description: The stream's settings by option name; empty when it does not exist. On creation only those that were set.
  returned: success
  type: dict
  sample: {"subjects": ["doc.>"], "retention": "interest", "max_age": "7d"}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.ai.plugins.module_utils._nats import (
    NATS_ARGUMENTS,
    NATS_MUTUALLY_EXCLUSIVE,
    run_nats_module,
)
from ansible_collections.homelab.ai.plugins.module_utils._nats_stream import STREAM_ARGUMENTS, ensure_stream


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(NATS_ARGUMENTS, **STREAM_ARGUMENTS),
        mutually_exclusive=NATS_MUTUALLY_EXCLUSIVE,
        supports_check_mode=True,
    )
    run_nats_module(module, ensure_stream)


if __name__ == "__main__":
    main()
