#!/usr/bin/python
# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: garage_key
short_description: Manage access keys of a Garage object store
description:
  - Creates, imports, renames, updates and deletes access keys through Garage's admin API.
  - Options that are not set are left as they are.
  - What a key may do with a bucket is the matter of M(homelab.ai.garage_bucket).
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
      - For what a real run would let Garage generate the fixed text V(NOT-YET-GENERATED) is returned.
  diff_mode:
    details:
      - The diff never holds a secret, and no id that Garage generates.
options:
  name:
    description:
      - Name of the key. Garage lets several keys share a name; the module fails then unless O(access_key_id) says
        which.
      - Together with O(access_key_id) of an existing key it renames that key.
    type: str
  access_key_id:
    description:
      - Id of the key, V(GK) and 24 hexadecimal digits.
    type: str
  secret_access_key:
    description:
      - Secret, 64 hexadecimal digits, to import the key with when it does not exist.
      - When the key exists with another secret the module fails, because Garage cannot change it.
    type: str
  state:
    description:
      - Whether the key exists. Garage never takes the id of a deleted key again.
    type: str
    choices: [present, absent]
    default: present
  allow_create_bucket:
    description:
      - Whether the key may create buckets through the S3 API.
    type: bool
  expiration:
    description:
      - Time from which on the key is refused, such as V(2030-12-31T00:00:00Z), or V(never).
    type: str
  return_secret:
    description:
      - Whether to return the secret of a key that this run creates. It is never returned again.
      - The module refuses V(true) unless the task sets C(no_log=true).
    type: bool
    default: false
notes:
  - A play that is to be repeatable on an empty cluster does better to generate the id and the secret itself, for
    example with M(homelab.ai.secret_file), and to import them.
seealso:
  - module: homelab.ai.garage_bucket
"""

EXAMPLES = r"""
- name: Import the key of a service
  homelab.ai.garage_key:
    admin_token_file: /etc/homelab/secrets/garage-admin
    name: extract
    access_key_id: GK3515373e4c851ebaad366558
    secret_access_key: "{{ garage_secrets.secrets['garage-extract'] }}"
    expiration: never

- name: Create a key and keep what Garage generates
  homelab.ai.garage_key:
    admin_token_file: /etc/homelab/secrets/garage-admin
    name: backup
    return_secret: true
  no_log: true
  register: backup_key

- name: Rename a key
  homelab.ai.garage_key:
    admin_token_file: /etc/homelab/secrets/garage-admin
    access_key_id: GK3515373e4c851ebaad366558
    name: extract-old

- name: Delete a key
  homelab.ai.garage_key:
    admin_token_file: /etc/homelab/secrets/garage-admin
    access_key_id: GK3515373e4c851ebaad366558
    state: absent
"""

RETURN = r"""
key:
  description: The key by option name, without its secret; empty when it does not exist.
  returned: success
  type: dict
  contains:
    access_key_id:
      description: Id of the key.
      type: str
    name:
      description: Name of the key.
      type: str
    allow_create_bucket:
      description: Whether the key may create buckets.
      type: bool
    expiration:
      description: Time from which on the key is refused, or V(never).
      type: str
  sample:
    access_key_id: GK3515373e4c851ebaad366558
    name: extract
    allow_create_bucket: false
    expiration: never
secret_access_key:
  description: The secret that Garage has generated.
  returned: on creation without O(secret_access_key), when O(return_secret=true)
  type: str
  sample: hidden by no_log
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.ai.plugins.module_utils._garage import (
    GARAGE_ARGUMENTS,
    GARAGE_MUTUALLY_EXCLUSIVE,
    GARAGE_REQUIRED_ONE_OF,
    run_garage_module,
)
from ansible_collections.homelab.ai.plugins.module_utils._garage_key import (
    KEY_ARGUMENTS,
    KEY_REQUIRED_BY,
    KEY_REQUIRED_ONE_OF,
    ensure_key,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(GARAGE_ARGUMENTS, **KEY_ARGUMENTS),
        mutually_exclusive=GARAGE_MUTUALLY_EXCLUSIVE,
        required_one_of=GARAGE_REQUIRED_ONE_OF + KEY_REQUIRED_ONE_OF,
        required_by=KEY_REQUIRED_BY,
        supports_check_mode=True,
    )
    if module.params["return_secret"] and not module.no_log:
        module.fail_json(msg="return_secret returns the secret in clear: set no_log: true on this task")
    run_garage_module(module, ensure_key)


if __name__ == "__main__":
    main()
