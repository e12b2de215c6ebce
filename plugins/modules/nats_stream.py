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
  - Options have the names that the server gives them, as C(nats stream info --json) shows them.
  - Where the server cannot change a setting in place the module fails and says how to go on. It never deletes a stream
    to recreate it, and never purges one.
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
  discard_new_per_subject:
    description:
      - Whether O(discard=new) also holds for O(max_msgs_per_subject).
    type: bool
  compression:
    description:
      - Compression of stored messages.
    type: str
    choices: [none, s2]
  num_replicas:
    description:
      - Number of servers that hold a copy.
    type: int
  placement:
    description:
      - Which servers may hold the stream. An empty one is any.
    type: dict
    suboptions:
      cluster:
        description:
          - Name of the cluster.
        type: str
      tags:
        description:
          - Tags that a server must have. Their order means nothing.
        type: list
        elements: str
  max_age:
    description:
      - Age at which messages are deleted, as seconds or with units such as V(90s), V(1h30m) or V(7d). V(0) is no limit.
    type: str
  max_bytes:
    description:
      - Size limit of the stream in bytes. V(-1) is no limit.
    type: int
  max_msgs:
    description:
      - Limit of the number of messages. V(-1) is no limit.
    type: int
  max_msgs_per_subject:
    description:
      - Limit of the number of messages with the same subject. V(-1) is no limit.
    type: int
  max_msg_size:
    description:
      - Size limit of one message in bytes. V(-1) is no limit.
    type: int
  max_consumers:
    description:
      - Limit of the number of consumers. V(-1) is no limit.
    type: int
  duplicate_window:
    description:
      - How long the server remembers C(Nats-Msg-Id) headers, written like O(max_age). Cannot exceed O(max_age).
    type: str
  consumer_limits:
    description:
      - What consumers get that do not say otherwise, and may not exceed. An empty one is no limit.
    type: dict
    suboptions:
      inactive_threshold:
        description:
          - Time without a client after which the server deletes a consumer, written like O(max_age).
        type: str
      max_ack_pending:
        description:
          - Number of messages of one consumer that may wait for their acknowledgement.
        type: int
  first_seq:
    description:
      - Sequence number of the first message. Cannot be changed on an existing stream.
    type: int
  no_ack:
    description:
      - Whether publishers get no acknowledgement.
    type: bool
  sealed:
    description:
      - Whether the stream is closed for good, so that nothing gets in or out. Only an existing stream can be sealed.
      - Sets O(max_age=0), O(discard=new), O(deny_delete=true), O(deny_purge=true) and O(allow_rollup_hdrs=false).
      - Cannot be undone.
    type: bool
  deny_delete:
    description:
      - Whether single messages cannot be deleted by request. Cannot be undone.
    type: bool
  deny_purge:
    description:
      - Whether the stream cannot be purged by request. Cannot be undone.
    type: bool
  allow_rollup_hdrs:
    description:
      - Whether a message with the header C(Nats-Rollup) replaces those before it.
    type: bool
  allow_direct:
    description:
      - Whether every server with a copy answers requests for single messages.
    type: bool
  mirror_direct:
    description:
      - Whether a mirror answers such requests too. The server takes it from the mirrored stream where it sees that.
    type: bool
  allow_msg_ttl:
    description:
      - Whether messages may have an age limit of their own, in the header C(Nats-TTL). Cannot be undone.
    type: bool
  subject_delete_marker_ttl:
    description:
      - How long a marker stays where the last message of a subject has reached O(max_age), written like O(max_age).
      - Sets O(allow_msg_ttl=true), O(allow_rollup_hdrs=true) and O(deny_purge=false).
    type: str
  allow_msg_counter:
    description:
      - Whether the messages are counters. Cannot be changed on an existing stream.
    type: bool
  allow_msg_schedules:
    description:
      - Whether messages may be published for later. Sets O(allow_rollup_hdrs=true) and O(deny_purge=false). Cannot be
        undone.
    type: bool
  allow_atomic:
    description:
      - Whether batches may be published as a whole or not at all.
    type: bool
  allow_batched:
    description:
      - Whether fast batches may be published.
    type: bool
  persist_mode:
    description:
      - Whether a message is acknowledged when it is written, V(default), or before, V(async). Cannot be changed on an
        existing stream.
    type: str
    choices: [default, async]
  subject_transform:
    description:
      - What the subjects of stored messages become. An empty one is none.
    type: dict
    suboptions:
      src:
        description:
          - Subject of the messages that are changed; everything if not set.
        type: str
      dest:
        description:
          - What the subject becomes. NATS writes parts of the old one like Ansible its variables, so that they need
            C(raw) as in the example.
        type: str
  republish:
    description:
      - Where stored messages are published again. An empty one is nowhere.
    type: dict
    suboptions:
      src:
        description:
          - Subject of the messages that are published again; everything if not set.
        type: str
      dest:
        description:
          - Subject under which they are.
        type: str
      headers_only:
        description:
          - Whether they come without their bodies.
        type: bool
  mirror:
    description:
      - Stream of which this one is a copy, without O(subjects) of its own.
      - Cannot be changed on an existing stream, but an empty one turns a mirror into a stream of its own, which needs
        O(subjects).
    type: dict
    suboptions:
      name:
        description:
          - Name of the stream.
        type: str
      opt_start_seq:
        description:
          - Sequence number of the first message that is copied.
        type: int
      opt_start_time:
        description:
          - Time from which messages are copied, such as V(2026-01-31T08:00:00Z).
        type: str
      filter_subject:
        description:
          - Subject of the messages that are copied; everything if not set.
        type: str
      subject_transforms:
        description:
          - Subjects that are copied and what they become, instead of O(mirror.filter_subject).
        type: list
        elements: dict
        suboptions:
          src:
            description:
              - Subject of the messages that are copied.
            type: str
          dest:
            description:
              - What the subject becomes, written like O(subject_transform.dest).
            type: str
      external:
        description:
          - Where the stream is, when it is in another account or domain.
        type: dict
        suboptions:
          api:
            description:
              - Subject prefix of the other JetStream API, such as V($JS.hub.API).
            type: str
          deliver:
            description:
              - Subject prefix under which messages are delivered.
            type: str
      consumer:
        description:
          - Durable push consumer of the other stream to copy through, which somebody else has made.
        type: dict
        suboptions:
          name:
            description:
              - Name of the consumer.
            type: str
          deliver_subject:
            description:
              - Its deliver subject.
            type: str
  sources:
    description:
      - Streams whose messages this one stores too. Their order means nothing.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - Name of the stream.
        type: str
      opt_start_seq:
        description:
          - Sequence number of the first message that is copied.
        type: int
      opt_start_time:
        description:
          - Time from which messages are copied, such as V(2026-01-31T08:00:00Z).
        type: str
      filter_subject:
        description:
          - Subject of the messages that are copied; everything if not set.
        type: str
      subject_transforms:
        description:
          - Subjects that are copied and what they become, instead of O(sources[].filter_subject).
        type: list
        elements: dict
        suboptions:
          src:
            description:
              - Subject of the messages that are copied.
            type: str
          dest:
            description:
              - What the subject becomes, written like O(subject_transform.dest).
            type: str
      external:
        description:
          - Where the stream is, when it is in another account or domain.
        type: dict
        suboptions:
          api:
            description:
              - Subject prefix of the other JetStream API, such as V($JS.hub.API).
            type: str
          deliver:
            description:
              - Subject prefix under which messages are delivered.
            type: str
      consumer:
        description:
          - Durable push consumer of the other stream to copy through, which somebody else has made.
        type: dict
        suboptions:
          name:
            description:
              - Name of the consumer.
            type: str
          deliver_subject:
            description:
              - Its deliver subject.
            type: str
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

- name: Hand each job to one worker, and refuse more than a thousand that wait
  homelab.ai.nats_stream:
    servers: [tls://nats.example.org:4222]
    creds_file: /etc/nats/admin.creds
    tls_ca: /etc/nats/ca.pem
    name: JOBS
    subjects: [job.>]
    retention: workqueue
    discard: new
    max_msgs: 1000

- name: Keep the last value of each sensor, and let it be read without a consumer
  homelab.ai.nats_stream:
    name: SENSORS
    subjects: [sensor.>]
    max_msgs_per_subject: 1
    allow_direct: true
    compression: s2
    consumer_limits:
      inactive_threshold: 1d
      max_ack_pending: 1000
    metadata:
      owner: homelab

- name: Gather what two streams hold, under subjects of its own
  homelab.ai.nats_stream:
    name: ARCHIVE
    sources:
      - name: SENSORS
        filter_subject: sensor.kitchen
      - name: JOBS
        opt_start_time: 2026-01-31T08:00:00Z
        subject_transforms:
          - src: job.*
            dest: archive.job.{% raw %}{{wildcard(1)}}{% endraw %}

- name: Close the archive for good
  homelab.ai.nats_stream:
    name: ARCHIVE
    sources: []
    sealed: true

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
    NATS_CONSTRAINTS,
    run_nats_module,
)
from ansible_collections.homelab.ai.plugins.module_utils._nats_stream import STREAM_ARGUMENTS, ensure_stream


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(NATS_ARGUMENTS, **STREAM_ARGUMENTS),
        **NATS_CONSTRAINTS,
        supports_check_mode=True,
    )
    run_nats_module(module, ensure_stream)


if __name__ == "__main__":
    main()
