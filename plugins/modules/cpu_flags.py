#!/usr/bin/python
# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cpu_flags
short_description: Find out what the processor of a machine is and what it can do
description:
  - Reads model, topology, instruction sets, caches and NUMA nodes from C(/proc) and C(/sys), and what control groups
    let a process really use, which in a container is less than the machine has.
  - Nothing is run and nothing is written on the target.
  - What cannot be found out is left at the careful value (no capability, no value) and RV(reasons) says why.
version_added: 0.1.0
author:
  - homelab.ai contributors (@homelab-ai)
extends_documentation_fragment:
  - homelab.ai._attributes.reads
options: {}
seealso:
  - module: homelab.ai.gpu_detect
"""

EXAMPLES = r"""
- name: Find out what the processor can do
  homelab.ai.cpu_flags:
  register: machine

- name: Refuse machines on which the extractor would crawl
  ansible.builtin.assert:
    that: machine['has_avx2'] or machine['has_neon']
    fail_msg: "{{ machine['cpu']['model'] }} has neither AVX2 nor NEON"
"""

RETURN = r"""
flags:
  description:
    - Instruction sets by the kernel's names, in its order. Only those that every processor of the machine has.
  returned: success
  type: list
  elements: str
  sample: [fpu, sse4_2, avx, f16c, fma, avx2]
has_avx:
  description: Whether there is AVX.
  returned: success
  type: bool
has_avx2:
  description: Whether there is AVX2.
  returned: success
  type: bool
has_avx512:
  description: Whether there is the foundation of AVX-512.
  returned: success
  type: bool
has_neon:
  description: Whether there is NEON, which 64-bit Arm calls Advanced SIMD.
  returned: success
  type: bool
cpu:
  description: Everything that was found out about the processor.
  returned: success
  type: dict
  contains:
    model:
      description: Model. On Arm the kinds of cores, joined by C(+) where they differ.
      type: str
    vendor:
      description: Vendor as the processor names it.
      type: str
    architecture:
      description: Architecture of the running kernel.
      type: str
    sockets:
      description: Number of sockets.
      type: int
    cores:
      description: Number of cores that are online.
      type: int
    threads:
      description: Number of hardware threads that are online.
      type: int
    flags:
      description: As at top level.
      type: list
      elements: str
    has_avx:
      description: As at top level.
      type: bool
    has_avx2:
      description: As at top level.
      type: bool
    has_avx512:
      description: As at top level.
      type: bool
    has_neon:
      description: As at top level.
      type: bool
    has_avx_vnni:
      description: Whether there is VNNI in its AVX form.
      type: bool
    has_avx512_vnni:
      description: Whether there is VNNI in its AVX-512 form.
      type: bool
    has_fma:
      description: Whether there is the fused multiply-add of x86.
      type: bool
    has_f16c:
      description: Whether there is conversion from and to half precision.
      type: bool
    has_amx:
      description: Whether there are AMX tiles.
      type: bool
    has_dotprod:
      description: Whether there is the dot product of Arm.
      type: bool
    has_fp16:
      description: Whether there is half precision arithmetic of Arm.
      type: bool
    has_i8mm:
      description: Whether there is the 8-bit matrix product of Arm.
      type: bool
    has_sve:
      description: Whether there is SVE.
      type: bool
    has_sve2:
      description: Whether there is SVE2.
      type: bool
    has_sme:
      description: Whether there is SME.
      type: bool
    caches:
      description: Each kind of cache, with the size of one and how many there are.
      type: list
      elements: dict
      sample: [{"level": 3, "type": "unified", "size_kib": 32768, "instances": 1}]
    numa_nodes:
      description: NUMA nodes with their processors.
      type: list
      elements: dict
      sample: [{"node": 0, "cpus": "0-7"}]
    hypervisor:
      description: Name of the hypervisor, V(unknown) when it has none, null on bare metal.
      type: str
    container:
      description: Kind of the container that the module ran in, null outside of one.
      type: str
    memory:
      description: Memory that the kernel manages in C(total_mib), and the size that it was sold as in C(nominal_mib).
      type: dict
      sample: {"total_mib": 31846, "nominal_mib": 32768}
    limits:
      description: What control groups and CPU affinity allow, null where they limit nothing, and what says so.
      type: dict
      sample: {"cpus": 1.5, "memory_mib": 2048, "source": "cgroup v2 cpu.max, cgroup v2 memory.max"}
    effective:
      description: What a process can use, the smaller of what is there and what is allowed.
      type: dict
      sample: {"cpus": 1.5, "memory_mib": 2048}
    ggml_variant:
      description:
        - The CPU backend that llama.cpp loads when it was built with C(GGML_CPU_ALL_VARIANTS), null where it has none
          for the architecture.
      type: str
      sample: haswell
reasons:
  description: Why values are missing or doubtful.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.ai.plugins.module_utils._cpu import read_cpu
from ansible_collections.homelab.ai.plugins.module_utils._hostfs import Host


def main() -> None:
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    facts, notes = read_cpu(Host())
    for text in notes.warnings:
        module.warn(text)
    module.exit_json(changed=False, reasons=notes.reasons, **facts)


if __name__ == "__main__":
    main()
