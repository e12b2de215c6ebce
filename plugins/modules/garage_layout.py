#!/usr/bin/python
# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: garage_layout
short_description: Manage the layout of a Garage cluster
description:
  - Gives nodes their roles (zone, capacity and tags, or gateway) through Garage's admin API.
  - Changes are staged, computed by Garage as a preview, and applied as the next version of the layout. Garage refuses
    the version when someone else has applied one in the meantime.
  - Applying moves data between nodes.
version_added: 0.1.0
author:
  - homelab.ai contributors (@homelab-ai)
extends_documentation_fragment:
  - homelab.ai._attributes
  - homelab.ai._garage.actiongroup
  - homelab.ai._garage
attributes:
  check_mode:
    details:
      - Nothing is staged, so that Garage cannot be asked whether it can compute a layout from the roles.
  diff_mode:
    details:
      - Shows what is staged before and after, too.
options:
  roles:
    description:
      - Roles of nodes. Nodes that are not listed keep theirs, unless O(purge=true).
    type: list
    elements: dict
    required: true
    suboptions:
      node:
        description:
          - Id of the node, the beginning of it (at least 4 digits), or its host name when no other node has the same.
        type: str
        required: true
      zone:
        description:
          - Zone that the node is in. Garage spreads the copies of an object over zones.
        type: str
        required: true
      capacity:
        description:
          - Space for data, in bytes or with units such as V(500MB), V(140G) or V(100GiB). Required unless
            O(roles[].gateway=true).
        type: str
      gateway:
        description:
          - Whether the node only answers requests and stores no data.
        type: bool
        default: false
      tags:
        description:
          - Words shown to operators. Their order means nothing.
        type: list
        elements: str
        default: []
  purge:
    description:
      - Whether nodes that are not in O(roles) lose their role. Garage moves their data to the others first.
    type: bool
    default: false
  apply:
    description:
      - Whether to apply the changes. V(false) stages them only.
    type: bool
    default: true
  revert_staged:
    description:
      - Whether to drop changes that are staged already.
      - Without it the module fails when changes are staged that it would apply along with its own.
    type: bool
    default: false
seealso:
  - module: homelab.ai.garage_bucket
"""

EXAMPLES = r"""
- name: Give the only node its role
  homelab.ai.garage_layout:
    admin_token_file: /etc/homelab/secrets/garage-admin
    roles:
      - node: "{{ ansible_facts['hostname'] }}"
        zone: home
        capacity: 140G

- name: Stage a gateway for someone else to apply
  homelab.ai.garage_layout:
    admin_token_file: /etc/homelab/secrets/garage-admin
    roles:
      - node: 563e1ac825ee3323
        zone: home
        gateway: true
    apply: false
"""

RETURN = r"""
layout:
  description: The layout as it is after the run, or would be in check mode.
  returned: success
  type: dict
  contains:
    version:
      description: Its version.
      type: int
    roles:
      description: Zone, C(capacity) in bytes (null for a gateway) and tags by the id of the node.
      type: dict
    staged:
      description: What is staged for the next version, by the id of the node; C(removed) for a role that goes.
      type: dict
  sample:
    version: 1
    roles:
      563e1ac825ee3323aa441e72c26d1030d6d4414aeb3dd25287c531e7fc2bc95d: {zone: home, capacity: 140000000000, tags: []}
    staged: {}
message:
  description: Garage's own account of the layout that was applied, in lines; empty when none was.
  returned: success
  type: list
  elements: str
  sample: ["==== COMPUTATION OF A NEW PARTITION ASSIGNATION ===="]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.ai.plugins.module_utils._garage import (
    GARAGE_ARGUMENTS,
    GARAGE_MUTUALLY_EXCLUSIVE,
    GARAGE_REQUIRED_ONE_OF,
    run_garage_module,
)
from ansible_collections.homelab.ai.plugins.module_utils._garage_layout import LAYOUT_ARGUMENTS, ensure_layout


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(GARAGE_ARGUMENTS, **LAYOUT_ARGUMENTS),
        mutually_exclusive=GARAGE_MUTUALLY_EXCLUSIVE,
        required_one_of=GARAGE_REQUIRED_ONE_OF,
        supports_check_mode=True,
    )
    run_garage_module(module, ensure_layout)


if __name__ == "__main__":
    main()
