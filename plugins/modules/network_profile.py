#!/usr/bin/python
# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: network_profile
short_description: Measure latency, loss, bandwidth and the tailnet's path to other hosts
description:
  - Measures the link from this host to each named peer. What cannot be measured is reported with its reason, and does
    not stop the rest.
  - Latency, jitter and loss come from C(ping). Where ICMP is not permitted, on this host or on the way, they come from
    the time that a TCP connection takes, to the first of the peer's addresses that answers.
  - Bandwidth comes from C(iperf3) when O(peers[].iperf3_port) is set. The server is not started by this module; the
    examples show how to run one for a single test.
  - Whether the tailnet's path is direct or relayed comes from C(tailscale), where it is installed and logged in.
version_added: 0.1.0
author:
  - homelab.ai contributors (@homelab-ai)
extends_documentation_fragment:
  - homelab.ai._attributes
attributes:
  check_mode:
    details:
      - Runs nothing and sends nothing. RV(plan) says what would be done, and RV(network_profile) is not returned.
  diff_mode:
    support: none
    details:
      - There is nothing that changes.
  idempotent:
    details:
      - The figures differ a little from run to run.
options:
  peers:
    description:
      - Hosts to measure the links to, one after the other.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Name of the peer in the result.
        type: str
        required: true
      address:
        description:
          - Host name or IP address, such as the peer's address in the tailnet. One that is neither costs the link to
            this peer alone, which is listed as not reachable with the reason.
          - So does loopback, or a name that this host takes for loopback, unless O(peers[].same_host) is set.
        type: str
        required: true
      same_host:
        description:
          - Whether the peer is this host by another name. Only then a loopback address leads to the peer.
        type: bool
        default: false
      tcp_port:
        description:
          - Port to connect to where ICMP is not permitted. A refused connection is an answer too.
        type: int
        default: 22
      iperf3_port:
        description:
          - Port of an iperf3 server on the peer. Without it bandwidth is not measured.
          - A server that does not listen yet is waited for, up to 5 seconds.
        type: int
  count:
    description:
      - Number of probes for latency and loss, from V(1) to V(100), five in a second.
    type: int
    default: 20
  duration:
    description:
      - Seconds that the bandwidth test sends for, from V(1) to V(60).
    type: int
    default: 5
seealso:
  - module: homelab.ai.storage_benchmark
"""

EXAMPLES = r"""
- name: Measure the latency to the other zones
  homelab.ai.network_profile:
    peers:
      - name: desktop
        address: 100.64.0.11
      - name: jetson
        address: 100.64.0.12

# The server takes one test and ends. When no client comes, timeout ends it, so nothing stays behind.
- name: Start an iperf3 server for one test, on one address
  ansible.builtin.command: timeout 60 iperf3 -s -1 -B 100.64.0.11 -p 5201
  async: 60
  poll: 0
  changed_when: false
  delegate_to: desktop

- name: Measure the link to it
  homelab.ai.network_profile:
    peers:
      - name: desktop
        address: 100.64.0.11
        iperf3_port: 5201
"""

RETURN = r"""
plan:
  description: What is done, or would be in check mode, in order.
  returned: success
  type: list
  elements: str
  sample: ["desktop: 20 probes of 100.64.0.11 by ping"]
network_profile:
  description: The content of C(network_profile.json).
  returned: success, but not in check mode
  type: dict
  contains:
    schema:
      description: Version of this shape.
      type: int
    peers:
      description: The peers in the order of O(peers).
      type: list
      elements: dict
      contains:
        name:
          description: Name of the peer.
          type: str
        address:
          description: Its address, as it was given.
          type: str
        reachable:
          description: Whether it has answered at all.
          type: bool
        latency:
          description:
            - C(method) is V(icmp), V(tcp) or V(none). C(reason) says why it is not V(icmp), or why nothing came back.
            - C(sent), C(received) and C(loss_percent) are always there.
            - C(min_ms), C(mean_ms), C(max_ms) and C(jitter_ms) are there when an answer came. Jitter is the mean
              difference between successive round trips.
          type: dict
        bandwidth:
          description:
            - C(measured), and either C(mbit_s) (what the peer received, in 10^6 bit/s), C(retransmits) and C(duration),
              or C(reason).
          type: dict
        tailnet:
          description:
            - C(path) is V(direct), V(relayed) (by a DERP server), V(peer_relay), V(unknown) or V(none) (no path of a
              tailnet). C(via) is the peer's address and port, or the relay; C(reason) says why there is none.
          type: dict
    warnings:
      description: What a reader of the figures must know.
      type: list
      elements: str
  sample:
    schema: 1
    peers:
      - name: desktop
        address: 100.64.0.11
        reachable: true
        latency:
          method: icmp
          sent: 20
          received: 20
          loss_percent: 0.0
          min_ms: 0.291
          mean_ms: 0.347
          max_ms: 0.512
          jitter_ms: 0.061
        bandwidth: {measured: true, mbit_s: 941.2, retransmits: 0, duration: 5}
        tailnet: {path: direct, via: "192.168.1.11:41641"}
    warnings: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.ai.plugins.module_utils._network import NetworkError, profile


def main() -> None:
    peer = {
        "name": {"type": "str", "required": True},
        "address": {"type": "str", "required": True},
        "same_host": {"type": "bool", "default": False},
        "tcp_port": {"type": "int", "default": 22},
        "iperf3_port": {"type": "int"},
    }
    module = AnsibleModule(
        argument_spec={
            "peers": {"type": "list", "elements": "dict", "required": True, "options": peer},
            "count": {"type": "int", "default": 20},
            "duration": {"type": "int", "default": 5},
        },
        supports_check_mode=True,
    )
    try:
        result = profile(module)
    except NetworkError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
