#!/usr/bin/python
# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fact_files
short_description: Keep facts in JSON files
description:
  - Writes each of O(files) as JSON with sorted keys, so that a file changes only where its facts do. One that differs
    is replaced as a whole; others in the directory are left alone.
  - The directory is created where it is missing, with mode C(0755).
version_added: 0.1.0
author:
  - homelab.ai contributors (@homelab-ai)
extends_documentation_fragment:
  - ansible.builtin.files
  - homelab.ai._attributes
attributes:
  diff_mode:
    details:
      - The diff holds the text of each file that differs.
options:
  path:
    description:
      - Directory of the files.
    type: path
    default: /etc/ansible/facts.d
  files:
    description:
      - Content of each file by its name. Ansible loads those whose name ends in C(.fact) as C(ansible_local).
    type: dict
    required: true
  mode:
    description:
      - Mode of the files, as for M(ansible.builtin.file).
    type: raw
    default: "0644"
seealso:
  - module: homelab.ai.machine_info
"""

EXAMPLES = r"""
- name: Tell Ansible and people which rack the machine is in
  homelab.ai.fact_files:
    path: /etc/ansible/facts.d
    files:
      rack.fact: {row: 2, rack: 7}
"""

RETURN = r"""
written:
  description: Names of the files that were written or got another owner, group or mode, or would in check mode.
  returned: success
  type: list
  elements: str
  sample: [rack.fact]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.ai.plugins.module_utils._fact_files import FactFileError, apply
from ansible_collections.homelab.ai.plugins.module_utils._files import UnusableFileError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/etc/ansible/facts.d"},
            "files": {"type": "dict", "required": True},
            "mode": {"type": "raw", "default": "0644"},
        },
        add_file_common_args=True,
        supports_check_mode=True,
    )
    try:
        result = apply(module)
    except (FactFileError, UnusableFileError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
