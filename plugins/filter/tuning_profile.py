# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning import tune
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_data import TuningError
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_models import with_models

DOCUMENTATION = r"""
name: tuning_profile
short_description: Sizes of all components from the hardware of a machine
version_added: 0.1.0
author:
  - homelab.ai contributors
description:
  - Turns facts of a machine into the dictionary C(homelab_tuning), which every role of this collection reads.
    It gives requests, limits and replicas of each component, its settings, disk and stream sizes, and for every number
    the rule, its inputs and the fact or override that moves it.
  - A pure function, but for the headers of O(models). The same facts give the same result, and within one profile more
    memory never yields less.
  - What does not fit is an error that shows the arithmetic and what to switch off.
positional: preset, overrides, models
options:
  _input:
    description: Facts of the machine. Unknown keys are errors.
    type: dict
    required: true
    suboptions:
      memory_mib:
        description: Memory that the kernel reports, or the limit of the cgroup or virtual machine, MiB.
        type: int
        required: true
      nominal_mib:
        description:
          - Memory that the machine was sold with, MiB. Thresholds of profiles are on this number.
          - By default O(_input.memory_mib), rounded up to a usual size that is at most a tenth larger.
        type: int
      allocatable_mib:
        description:
          - Memory that a Kubernetes node gives out, MiB.
          - By default what the reservation for the host leaves.
        type: int
      cores:
        description: Logical processors that may be used.
        type: int
        required: true
      has_avx2:
        description: Whether the processor has AVX2.
        type: bool
        default: false
      has_neon:
        description: Whether the processor has NEON.
        type: bool
        default: false
      gpu:
        description: The graphics processors.
        type: dict
        suboptions:
          present:
            description: Whether there is one that computes models.
            type: bool
            default: false
          devices:
            description: One dictionary for each, with its memory as C(memory_mib).
            type: list
            elements: dict
          is_jetson:
            description: Whether this is an NVIDIA Jetson, whose memory is unified.
            type: bool
            default: false
          unified:
            description: Whether the processor and the graphics processor share O(_input.memory_mib).
            type: bool
            default: false
      storage:
        description: The disks.
        type: dict
        suboptions:
          total_gib:
            description: Size of the disk that holds the data, GiB. The total, never the free space.
            type: int
            default: 200
          class:
            description: What it is.
            type: str
            choices: [nvme, ssd, hdd, emmc, sd]
          hdd_gib:
            description: Size of a second disk for objects and backups, GiB.
            type: int
            default: 0
      environment:
        description: Where the components run, on the machine itself or in Kubernetes.
        type: str
        choices: [local, kubernetes]
        default: local
  preset:
    description:
      - Which components there are.
      - V(core) has the pipeline from a document to an answer and reads documents by their text layer.
      - V(full) adds extraction of entities, observability and the gateway, and reads documents with models
        of their layout.
    type: str
    choices: [core, full]
    default: core
  overrides:
    description:
      - What goes before the data of this collection. Unknown keys are errors that name the allowed ones.
      - Percentages of the profile, for example C(postgres_percent) (also C(postgres_ram_percent)),
        C(jetstream_percent), C(oxigraph_percent), C(litellm_percent), C(openobserve_percent), C(headroom_percent),
        C(garage_percent), C(ollama_vram_percent), and C(k3s_reserved_memory_percent), C(k3s_reserved_cpu_percent),
        C(hpa_threshold_percent), C(hpa_memory_threshold_percent).
      - C(profile) chooses a profile by name, C(profiles) adds or changes profiles, each C(like) another one.
      - C(without) is a list of components to switch off, C(extract_engine) is V(text) or V(layout).
      - C(floor_mib), C(ceiling_mib), C(cpu_floor_m), C(max_replicas), C(streams_gib) and C(storage_reserved_gib) hold
        numbers by name, C(settings) holds settings by component.
    type: dict
    default: {}
  models:
    description:
      - What the model servers serve, by component C(chat) and C(embedder), each as C(local_stack_chat) and
        C(local_stack_embed) of P(homelab.ai.local_stack#role).
      - A model with C(gguf) gets what P(homelab.ai.llama_plan#filter) says of that file, where the controller has it
        under the same path, and 15 % more. One with C(base_url) takes nothing on this machine.
      - What O(overrides) say of a component goes before.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Size the stack for a mini PC
  ansible.builtin.set_fact:
    homelab_tuning: >-
      {{ {'memory_mib': 7800, 'cores': 4, 'has_avx2': true, 'storage': {'total_gib': 238, 'class': 'nvme'}}
         | homelab.ai.tuning_profile('core', {'postgres_percent': 25}) }}
"""

RETURN = r"""
_value:
  description:
    - The dictionary, as V(plugins/plugin_utils/data/homelab_tuning.schema.json) describes it.
  type: dict
"""


def tuning_profile(
    facts: Mapping[str, Any],
    preset: str = "core",
    overrides: Mapping[str, Any] | None = None,
    models: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """homelab_tuning of a machine; shapes and units are in DOCUMENTATION."""
    try:
        said, warnings = with_models(facts, {} if overrides is None else overrides, {} if models is None else models)
        tuned = tune(facts, preset, said)
    except TuningError as error:
        raise AnsibleFilterError(f"homelab.ai.tuning_profile: {error}") from error
    return tuned | {"warnings": tuned["warnings"] + warnings}


class FilterModule:
    """Filter of this file."""

    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        return {"tuning_profile": tuning_profile}
