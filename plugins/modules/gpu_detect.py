#!/usr/bin/python
# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_detect
short_description: Find out which graphics processors a machine has for inference
description:
  - Asks C(nvidia-smi) about NVIDIA GPUs, the device tree about Jetson modules, and C(/sys) about AMD's and Intel's.
  - Nothing is written on the target. The only programs that run are C(nvidia-smi) and, on a Jetson module,
    C(nvpmodel), both to be asked and with a time limit.
  - A GPU that cannot be asked is not counted, and RV(reasons) says why, so that its work
    goes to the CPU.
version_added: 0.1.0
author:
  - homelab.ai contributors (@homelab-ai)
extends_documentation_fragment:
  - homelab.ai._attributes.reads
options: {}
seealso:
  - module: homelab.ai.cpu_flags
"""

EXAMPLES = r"""
- name: Find out what can carry a model
  homelab.ai.gpu_detect:
  register: graphics

- name: Say what was found
  ansible.builtin.debug:
    msg: "{{ graphics['gpu_name'] }} with {{ graphics['gpu_vram_mb'] }} MiB"
  when: graphics['has_gpu']
"""

RETURN = r"""
has_gpu:
  description:
    - Whether a GPU can carry a model, which takes a working driver and at least 2048 MiB of memory.
  returned: success
  type: bool
gpu_name:
  description: Name of the GPU with the most memory.
  returned: when RV(has_gpu)
  type: str
  sample: NVIDIA Orin
gpu_vram_mb:
  description:
    - Its memory in MiB, or that of its largest instance where Multi-Instance GPU is on.
    - Where GPU and CPU share the memory of the machine, the size that this was sold as; what can be used of it is
      RV(gpu.devices[].usable_mib).
  returned: when RV(has_gpu)
  type: int
  sample: 32768
gpu:
  description: Everything that was found out about graphics processors.
  returned: success
  type: dict
  contains:
    present:
      description: Whether there is any with a working driver, integrated graphics included.
      type: bool
    vendor:
      description: V(nvidia), V(amd) or V(intel), of the GPU with the most memory.
      type: str
    count:
      description: Number of RV(gpu.devices).
      type: int
    devices:
      description: NVIDIA's in the order of C(nvidia-smi), then the others in the order of the PCI bus.
      type: list
      elements: dict
      contains:
        index:
          description: Position in this list.
          type: int
        vendor:
          description: V(nvidia), V(amd) or V(intel).
          type: str
        name:
          description: Product name, or vendor and PCI numbers where the driver tells no name.
          type: str
        uuid:
          description: Identifier that stays with the GPU, null where it has none.
          type: str
        pci_address:
          description: Address on the PCI bus, null where it is not on one.
          type: str
        memory_mib:
          description: Memory of the GPU. All that the kernel manages where RV(gpu.devices[].unified).
          type: int
        usable_mib:
          description:
            - What one program can have of it for a model, null where it is too little for any.
            - With Multi-Instance GPU on, the memory of the largest instance.
          type: int
        unified:
          description: Whether the memory is that of the machine, which the CPU uses too.
          type: bool
        compute_capability:
          description: CUDA compute capability, null for others and where an old driver does not tell.
          type: str
          sample: '8.6'
        driver:
          description: Version of NVIDIA's driver, name of the kernel driver for others.
          type: str
        mig:
          description: Whether Multi-Instance GPU is on, and its instances. Null where the GPU has no such thing.
          type: dict
          sample: {"enabled": false, "devices": []}
    driver_version:
      description: Version of NVIDIA's driver.
      type: str
    cuda_version:
      description: Newest CUDA that NVIDIA's driver supports; on a Jetson module the CUDA toolkit that is installed.
      type: str
    is_jetson:
      description: Whether the machine is an NVIDIA Jetson module.
      type: bool
    jetson:
      description: The module, null on other machines.
      type: dict
      contains:
        model:
          description: Name by the device tree.
          type: str
        soc:
          description: Name of the chip, such as V(tegra234).
          type: str
        l4t:
          description: Release of Jetson Linux.
          type: str
          sample: 36.4.3
        sm:
          description: Architecture to build CUDA programs for, such as V(sm_87).
          type: str
        power_mode:
          description: Name of the power mode that is on.
          type: str
        power_modes:
          description: Modes that C(/etc/nvpmodel.conf) defines.
          type: list
          elements: dict
          sample: [{"id": 0, "name": "MAXN"}]
        unified_memory_mib:
          description: Memory that GPU and CPU share.
          type: int
reasons:
  description: Why GPUs or values are missing or doubtful.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.ai.plugins.module_utils._gpu import read_gpu
from ansible_collections.homelab.ai.plugins.module_utils._hostfs import Host


def main() -> None:
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    facts, notes = read_gpu(Host())
    for text in notes.warnings:
        module.warn(text)
    module.exit_json(changed=False, reasons=notes.reasons, **facts)


if __name__ == "__main__":
    main()
