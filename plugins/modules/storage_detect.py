#!/usr/bin/python
# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: storage_detect
short_description: Tell what a path is stored on
description:
  - Finds the file system of a path and the devices below it, from C(/proc) and sysfs. Nothing is measured or written.
version_added: 0.1.0
author:
  - homelab.ai contributors (@homelab-ai)
extends_documentation_fragment:
  - homelab.ai._attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - There is nothing that changes.
  platform:
    platforms: linux
options:
  path:
    description:
      - Path to look at. Where it does not exist yet, the nearest directory above it counts.
    type: path
    required: true
seealso:
  - module: homelab.ai.storage_benchmark
"""

EXAMPLES = r"""
- name: See what the databases will be stored on
  homelab.ai.storage_detect:
    path: /var/lib/homelab
  register: storage

- name: Warn about a slow card
  ansible.builtin.debug:
    msg: The databases would be on a memory card
  when: storage.device.class in ['sd', 'emmc']
"""

RETURN = r"""
path:
  description: The directory that was looked at, without symbolic links.
  returned: success
  type: str
  sample: /var/lib
filesystem:
  description: Its file system, with C(type), C(mount) and C(size_bytes), which is the total and not what is free.
  returned: success
  type: dict
  sample: {type: ext4, mount: /, size_bytes: 270553939968}
device:
  description:
    - What is below. C(class) is V(nvme), V(ssd), V(hdd), V(emmc), V(sd), V(virtual) or V(unknown), and that of the
      slowest device of a volume that has several. C(reason) says why the class is not known.
  returned: success
  type: dict
  sample:
    class: nvme
    size_bytes: 512110190592
    parts: [{name: nvme0n1, class: nvme, transport: nvme, model: Samsung SSD 980, size_bytes: 512110190592}]
"""

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.ai.plugins.module_utils._block_device import describe_path, parse_mountinfo


def main() -> None:
    module = AnsibleModule(argument_spec={"path": {"type": "path", "required": True}}, supports_check_mode=True)
    directory = Path(os.path.realpath(module.params["path"]))
    while not directory.is_dir():
        directory = directory.parent
    path = str(directory)
    try:
        text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
        space = os.statvfs(path)
    except OSError as error:
        module.fail_json(msg=f"cannot find out what {path} is on: {error}. This module needs Linux with /proc")
    described = describe_path(path, parse_mountinfo(text))
    filesystem = dict(described["filesystem"], size_bytes=space.f_blocks * space.f_frsize)
    module.exit_json(changed=False, path=path, filesystem=filesystem, device=described["device"])


if __name__ == "__main__":
    main()
