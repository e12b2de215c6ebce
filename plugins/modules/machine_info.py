#!/usr/bin/python
# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: machine_info
short_description: Find out all that the hardware audit asks of a machine
description:
  - Processor, graphics processors, what a path is stored on, and the operating system, in one call, because the start
    of a module takes longer than what it reads.
  - Nothing is written on the target. The only programs that run are those of M(homelab.ai.gpu_detect), and C(uname) or
    C(lsb_release) where Ansible asks them for the name of the distribution.
version_added: 0.1.0
author:
  - homelab.ai contributors (@homelab-ai)
extends_documentation_fragment:
  - homelab.ai._attributes.reads
options:
  path:
    description:
      - Path whose storage is described. Where it does not exist yet, or the user of the task may not look into it, the
        nearest directory above it counts.
    type: path
    default: /var/lib
seealso:
  - module: homelab.ai.cpu_flags
  - module: homelab.ai.gpu_detect
  - module: homelab.ai.storage_benchmark
"""

EXAMPLES = r"""
- name: Find out what the machine is
  homelab.ai.machine_info:
    path: /var/lib/homelab
  register: machine

- name: Warn about a slow card
  ansible.builtin.debug:
    msg: The databases would be on a memory card
  when: machine.storage.device.class in ['sd', 'emmc']
"""

RETURN = r"""
cpu_capabilities:
  description: What M(homelab.ai.cpu_flags) returns.
  returned: success
  type: dict
  sample: {"has_avx2": true, "has_neon": false, "flags": [], "cpu": {}, "reasons": []}
gpu_info:
  description: What M(homelab.ai.gpu_detect) returns.
  returned: success
  type: dict
  sample: {"has_gpu": false, "gpu": {"present": false, "devices": []}, "reasons": ["no NVIDIA, AMD or Intel graphics"]}
storage:
  description: What the path is stored on.
  returned: success
  type: dict
  contains:
    path:
      description: The directory that was looked at, without symbolic links.
      type: str
      sample: /var/lib
    filesystem:
      description: Its file system, with C(type), C(mount) and C(size_bytes), which is the total and not what is free.
      type: dict
      sample: {type: ext4, mount: /, size_bytes: 270553939968}
    device:
      description:
        - What is below. C(class) is V(nvme), V(ssd), V(hdd), V(emmc), V(sd), V(virtual) or V(unknown), and that of the
          slowest device of a volume that has several. C(reason) says why the class is not known.
      type: dict
      sample:
        class: nvme
        size_bytes: 512110190592
        parts: [{name: nvme0n1, class: nvme, transport: nvme, model: Samsung SSD 980, size_bytes: 512110190592}]
system:
  description: The operating system.
  returned: success
  type: dict
  contains:
    os_family:
      description: As Ansible's fact of this name.
      type: str
      sample: Debian
    distribution:
      description: As Ansible's fact of this name.
      type: str
      sample: Debian
    distribution_version:
      description: As Ansible's fact of this name.
      type: str
      sample: '12.11'
    is_root:
      description: Whether the module ran as root.
      type: bool
    is_home_assistant_app:
      description: Whether it ran in an app container of Home Assistant OS, whose files go with the app's next update.
      type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.ai.plugins.module_utils._machine import read_machine


def main() -> None:
    module = AnsibleModule(argument_spec={"path": {"type": "path", "default": "/var/lib"}}, supports_check_mode=True)
    path = module.params["path"]
    try:
        facts, warnings = read_machine(module, path)
    except OSError as error:
        module.fail_json(msg=f"cannot find out what {path} is on: {error}. This module needs Linux with /proc")
    for text in warnings:
        module.warn(text)
    module.exit_json(changed=False, **facts)


if __name__ == "__main__":
    main()
