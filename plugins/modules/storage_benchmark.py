#!/usr/bin/python
# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: storage_benchmark
short_description: Measure the storage below a path with fio
description:
  - Measures sequential and random reads and writes, past the page cache, and says what kind of device was measured.
  - The test file never has a name. However the module ends, also when it is killed, its space is given back.
  - The run takes at most six times O(runtime), unless a device is so slow that 64 MiB take longer to write.
  - Refuses to run when less than 15 % of the file system would stay free, on file systems in memory, and where direct
    I/O is not possible. ZFS before 2.3 ignores it without a word, and RV(storage_performance.warnings) says so.
version_added: 0.1.0
author:
  - homelab.ai contributors (@homelab-ai)
extends_documentation_fragment:
  - homelab.ai._attributes
attributes:
  check_mode:
    details:
      - Runs nothing and writes nothing. RV(plan) says what would be done, and RV(storage_performance) is not returned.
  diff_mode:
    support: none
    details:
      - There is nothing that changes.
  idempotent:
    details:
      - The figures differ a little from run to run.
  platform:
    platforms: linux
options:
  path:
    description:
      - Directory on the disk to be measured. The user of the task must be allowed to write there.
    type: path
    required: true
  size_mib:
    description:
      - Size of the test file in MiB, from V(64) to V(65536). A file that is larger than the device's own cache gives
        truer figures.
      - A slow device gets a smaller file, as much of it as can be written in twice O(runtime), but at least 64 MiB.
    type: int
    default: 1024
  runtime:
    description:
      - Seconds that each of the four tests takes, from V(1) to V(60).
    type: int
    default: 5
requirements:
  - fio 3 or later
seealso:
  - module: homelab.ai.network_profile
"""

EXAMPLES = r"""
- name: Measure the disk that will hold the databases
  homelab.ai.storage_benchmark:
    path: /var/lib
  become: true
  register: storage

- name: Say what kind of disk it is
  ansible.builtin.debug:
    msg: >-
      {{ storage.storage_performance.device.class }}:
      {{ storage.storage_performance.read_iops }} random reads a second
"""

RETURN = r"""
plan:
  description: What is done, or would be in check mode, in order.
  returned: success
  type: list
  elements: str
  sample: ["random_read: 4096 byte blocks for 5 s"]
storage_performance:
  description: The content of C(storage_performance.json). All sizes are totals, never what is free.
  returned: success, but not in check mode
  type: dict
  contains:
    schema:
      description: Version of this shape.
      type: int
    read_iops:
      description: Random reads of 4 KiB a second.
      type: int
    read_bw_mb:
      description: Sequential reads in MiB/s.
      type: float
    write_iops:
      description: Random writes of 4 KiB a second.
      type: int
    write_bw_mb:
      description: Sequential writes in MiB/s.
      type: float
    path:
      description: Directory that was measured, without symbolic links.
      type: str
    filesystem:
      description: Its file system, with C(type), C(mount) and C(size_bytes).
      type: dict
    device:
      description:
        - What is below, from sysfs. C(class) is V(nvme), V(ssd), V(hdd), V(emmc), V(sd), V(virtual) or V(unknown), and
          that of the slowest device of a volume that has several.
        - C(parts) are the devices, and C(reason) says why the class is not known.
      type: dict
    tests:
      description: Figures of each test, with latencies in microseconds.
      type: dict
    fio:
      description: Version and I/O engine of fio, seconds of each test, and bytes of the test file.
      type: dict
    warnings:
      description: What a reader of the figures must know.
      type: list
      elements: str
  sample:
    schema: 1
    read_iops: 74750
    read_bw_mb: 1453.4
    write_iops: 95193
    write_bw_mb: 1718.2
    path: /var/lib
    filesystem: {type: ext4, mount: /, size_bytes: 270553939968}
    device:
      class: virtual
      size_bytes: 274877906944
      parts: [{name: vda, class: virtual, transport: virtio, model: "", size_bytes: 274877906944}]
    tests:
      random_read:
        {iops: 74750, bw_mb: 292.0, latency_mean_us: 423.2, latency_p99_us: 585.7, block_bytes: 4096, queue_depth: 32}
    fio: {version: fio-3.33, engine: libaio, runtime: 5, file_bytes: 1073741824}
    warnings: ["the device is virtual: the cache of the host below may have answered"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.ai.plugins.module_utils._storage import StorageError, benchmark


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "size_mib": {"type": "int", "default": 1024},
            "runtime": {"type": "int", "default": 5},
        },
        supports_check_mode=True,
    )
    try:
        result = benchmark(module)
    except StorageError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
