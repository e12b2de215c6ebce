#!/usr/bin/python
# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: secret_file
short_description: Generate secrets once and keep them in files
description:
  - Writes a random secret into each file of O(names) that does not exist yet and returns all of them. The content of an
    existing one is never changed; its owner, group and mode are.
  - Writes what is known already, such as an address with a password in it, as O(contents) say. A file that holds
    something else is replaced.
  - The result holds the secrets in clear, because the caller needs them for its templates. The module therefore refuses
    to run unless the task sets C(no_log=true).
version_added: 0.1.0
author:
  - homelab.ai contributors (@homelab-ai)
extends_documentation_fragment:
  - ansible.builtin.files
  - homelab.ai._attributes
attributes:
  check_mode:
    details:
      - For a secret that does not exist yet the fixed text V(NOT-YET-GENERATED) is returned, so that templates can be
        rendered.
  diff_mode:
    details:
      - The diff names files and never contents. Ansible hides it, as it hides the whole result, because of C(no_log).
options:
  path:
    description:
      - Directory of the files. It must exist and must not be a symbolic link.
    type: path
    required: true
  names:
    description:
      - Names of the files, one generated secret each.
    type: list
    elements: str
    default: []
  contents:
    description:
      - Content of each file by its path below O(path), whose directories must exist.
    type: dict
    default: {}
  length:
    description:
      - Number of random bytes in a new secret. It is written as twice as many hexadecimal digits, without a line end.
    type: int
    default: 32
  mode:
    description:
      - Mode of the files, as for M(ansible.builtin.file).
    type: raw
    default: "0600"
"""

EXAMPLES = r"""
- name: Generate the passwords of the services
  homelab.ai.secret_file:
    path: /etc/homelab/secrets
    names: [nats-admin, nats-extract]
    owner: homelab
  no_log: true
  register: nats_passwords

- name: Write the address and the password that a service logs in with
  homelab.ai.secret_file:
    path: /etc/homelab/secrets
    contents:
      nats-url-extract: nats://extract:{{ nats_passwords.secrets['nats-extract'] }}@127.0.0.1:4222
    owner: homelab
  no_log: true

- name: Render the users
  ansible.builtin.template:
    src: users.conf.j2  # uses nats_passwords.secrets['nats-admin']
    dest: /etc/homelab/nats/users.conf
    mode: "0600"
  diff: false
"""

RETURN = r"""
secrets:
  description:
    - The secrets of O(names). The key is not called C(values), because C(result.values) is a method in templates.
  returned: success
  type: dict
  sample: {"nats-admin": "hidden by no_log"}
created:
  description: Names of the secrets that were generated, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [nats-admin]
written:
  description: Paths of O(contents) that were written or got another owner, group or mode, or would in check mode.
  returned: success
  type: list
  elements: str
  sample: [extract/NATS_URL]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.ai.plugins.module_utils._files import UnusableFileError
from ansible_collections.homelab.ai.plugins.module_utils._secret_file import SecretFileError, apply


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "names": {"type": "list", "elements": "str", "default": []},
            "contents": {"type": "dict", "default": {}, "no_log": True},
            "length": {"type": "int", "default": 32},
            "mode": {"type": "raw", "default": "0600"},
        },
        add_file_common_args=True,
        supports_check_mode=True,
    )
    if not module.no_log:
        module.fail_json(msg="secret_file returns secrets in clear: set no_log: true on this task")
    try:
        result = apply(module)
    except (SecretFileError, UnusableFileError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
