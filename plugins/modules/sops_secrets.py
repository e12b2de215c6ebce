#!/usr/bin/python
# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sops_secrets
short_description: Generate secrets once and keep them in a file that sops encrypts
description:
  - Keeps random secrets as the dictionary C(homelab_secrets) in a YAML file that C(sops) encrypts for age recipients.
    A name that is not in the file yet gets a new secret; what exists is changed only by O(rotate).
  - Other variables, comments and secrets in the file stay. So does everything in C(.sops.yaml). If none of its creation
    rules covers the file, one is appended. If the module's own rule lacks a recipient, it gets it. Another's rule that
    covers the file is used as it is.
  - When the recipients of the rule and of the file differ, the file is encrypted for those of the rule.
  - Plaintext exists in memory and in pipes only. What is written has been decrypted again before.
version_added: 0.1.0
author:
  - homelab.ai contributors (@homelab-ai)
requirements:
  - sops 3.11 or newer
  - age-keygen (Debian package age)
  - PyYAML
extends_documentation_fragment:
  - homelab.ai._attributes
attributes:
  check_mode:
    details:
      - Everything is tried on copies, so that a missing key or a rule that does not fit fails here too.
  diff_mode:
    details:
      - Shows names, public keys and the text of C(.sops.yaml), never a secret.
  idempotent:
    support: partial
    details:
      - With O(rotate), each run makes new secrets.
options:
  path:
    description:
      - The file. Its name must end with C(.sops.yaml) or C(.sops.yml). It gets the mode V(0600).
      - Below C(group_vars/all) of an inventory, the vars plugin P(community.sops.sops#vars) makes it a variable.
    type: path
    required: true
  root:
    description:
      - Directory that gets a C(.sops.yaml) if there is none beside O(path) or above it. It must be above O(path).
      - The environment variable E(SOPS_CONFIG) goes before, as for sops itself.
    type: path
    required: true
  names:
    description:
      - Names of the secrets.
    type: list
    elements: str
    required: true
  rotate:
    description:
      - Those of O(names) that get a new secret though they have one. Each run with it makes another.
    type: list
    elements: str
    default: []
  length:
    description:
      - Number of random bytes in a new secret. It is kept as twice as many hexadecimal digits.
    type: int
    default: 32
  age_recipients:
    description:
      - Public keys that the file must be encrypted for. One of them must be that of a key at hand.
      - If empty and no creation rule covers the file with a key at hand, it is the public keys of the keys at hand.
    type: list
    elements: str
    default: []
  age_key_file:
    description:
      - File with the private age key. If not set, sops looks for keys itself, in E(SOPS_AGE_KEY_FILE), E(SOPS_AGE_KEY),
        E(SOPS_AGE_KEY_CMD) and C(sops/age/keys.txt) in the user's configuration directory.
    type: path
  return_values:
    description:
      - Return the secrets. The module then refuses to run unless the task sets C(no_log=true).
    type: bool
    default: false
seealso:
  - module: homelab.ai.secret_file
  - plugin: community.sops.sops
    plugin_type: vars
"""

EXAMPLES = r"""
- name: Generate what is missing
  homelab.ai.sops_secrets:
    path: "{{ inventory_dir }}/group_vars/all/homelab_secrets.sops.yaml"
    root: "{{ inventory_dir }}"
    names: [nats-admin, nats-extract]
  delegate_to: localhost
  run_once: true

- name: Replace one secret and use it in the same play
  homelab.ai.sops_secrets:
    path: "{{ inventory_dir }}/group_vars/all/homelab_secrets.sops.yaml"
    root: "{{ inventory_dir }}"
    names: [nats-admin, nats-extract]
    rotate: [nats-extract]
    return_values: true
  delegate_to: localhost
  run_once: true
  no_log: true
  register: platform  # platform.secrets['nats-extract']
"""

RETURN = r"""
path:
  description: The file.
  returned: success
  type: str
  sample: /home/me/inventory/group_vars/all/homelab_secrets.sops.yaml
config:
  description: The C(.sops.yaml) whose rules apply to it.
  returned: success
  type: str
  sample: /home/me/inventory/.sops.yaml
config_changed:
  description: Whether a rule or a recipient was added there, or would be in check mode.
  returned: success
  type: bool
  sample: false
created:
  description: Names of the secrets that were generated, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [nats-admin]
rotated:
  description: Names of the secrets that were replaced, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [nats-extract]
recipients:
  description: The age recipients of the file.
  returned: success
  type: list
  elements: str
  sample: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]
secrets:
  description:
    - The secrets of O(names) by name. For one that does not exist yet, check mode returns the fixed text
      V(NOT-YET-GENERATED).
  returned: when O(return_values=true)
  type: dict
  sample: {"nats-admin": "hidden by no_log"}
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.homelab.ai.plugins.module_utils._secret_file import SecretFileError
from ansible_collections.homelab.ai.plugins.module_utils._sops import SopsError
from ansible_collections.homelab.ai.plugins.module_utils._sops_config import YAML_ERROR
from ansible_collections.homelab.ai.plugins.module_utils._sops_secrets import ensure_secrets


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "root": {"type": "path", "required": True},
            "names": {"type": "list", "elements": "str", "required": True},
            "rotate": {"type": "list", "elements": "str", "default": []},
            "length": {"type": "int", "default": 32},
            "age_recipients": {"type": "list", "elements": "str", "default": []},
            "age_key_file": {"type": "path", "no_log": False},
            "return_values": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    if YAML_ERROR is not None:
        module.fail_json(msg=missing_required_lib("PyYAML"), exception=YAML_ERROR)
    if module.params["return_values"] and not module.no_log:
        module.fail_json(msg="return_values returns secrets in clear: set no_log: true on this task")
    try:
        result = ensure_secrets(module)
    except (SopsError, SecretFileError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
