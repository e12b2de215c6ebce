# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.ai.plugins.plugin_utils._llama_model import LlamaError
from ansible_collections.homelab.ai.plugins.plugin_utils._llama_plan import Wish, plan

DOCUMENTATION = r"""
name: llama_plan
short_description: Memory that llama.cpp needs to serve a model
version_added: 0.1.0
author:
  - homelab.ai contributors
description:
  - Says what the weights, the KV cache, the compute buffers and the process of C(llama-server) take, and what is left
    of a budget.
  - Reads the header of the GGUF file where the controller has it, else a table of known models.
  - A model that does not fit is an error that shows the arithmetic and names the largest quantisation that does.
  - For models with sliding windows or recurrent layers the KV cache is an upper bound; the state of recurrent layers
    is part of it. What a graphics driver keeps for itself is not counted.
positional: budget_mib, context, slots
options:
  _input:
    description: The model.
    type: dict
    required: true
    suboptions:
      path:
        description:
          - GGUF file on the controller. Goes before O(_input.name) where the file exists.
          - Of a model in several files this is the first, C(NAME-00001-of-00003.gguf); the others lie beside it.
        type: path
      name:
        description: Name of a model in the table of known models.
        type: str
      quantisation:
        description: Which of the known ones, for example V(Q4_K_M). By default the largest that fits.
        type: str
  budget_mib:
    description: Memory that the server may take, MiB, for example C(homelab_tuning.inference.budget_mib).
    type: int
    required: true
  context:
    description: Tokens of one slot's context. llama-server's C(--ctx-size) is this times O(slots).
    type: int
    default: 8192
  slots:
    description: Requests served at once.
    type: int
    default: 1
  batch:
    description: Tokens computed in one step.
    type: int
    default: 512
  kv_type:
    description: Type of the KV cache.
    type: str
    choices: [f32, f16, bf16, q8_0, q5_1, q5_0, q4_1, q4_0, iq4_nl]
    default: f16
  host_cache_mib:
    description: Cache of prompts in main memory, C(--cache-ram), MiB.
    type: int
    default: 256
"""

EXAMPLES = r"""
- name: The largest quantisation of a model for a Jetson AGX Orin with 32 GB, at 32,768 tokens
  ansible.builtin.debug:
    msg: "{{ {'name': 'GLM-4.7-Flash'} | homelab.ai.llama_plan(21487, context=16384, slots=2) }}"

- name: A file that is here
  ansible.builtin.debug:
    msg: "{{ {'path': '/srv/models/chat.gguf'} | homelab.ai.llama_plan(2048, context=4096) }}"
"""

RETURN = r"""
_value:
  description:
    - The plan, with C(model), C(source) (V(header) or V(table)), C(quantisation), C(context), C(slots),
      C(context_total), C(batch), C(kv_type), C(kv_bytes_per_token).
    - C(weights_mib), C(kv_mib), C(compute_mib), C(host_cache_mib) and C(process_mib) add up to C(total_mib).
    - C(left_mib) is what C(budget_mib) has beyond that.
  type: dict
"""


def llama_plan(
    model: dict[str, Any],
    budget_mib: int,
    context: int = 8192,
    slots: int = 1,
    batch: int = 512,
    kv_type: str = "f16",
    host_cache_mib: int = 256,
) -> dict[str, Any]:
    """The memory plan of a model; shapes and units are in DOCUMENTATION."""
    try:
        return plan(model, Wish(budget_mib, context, slots, batch, kv_type, host_cache_mib))
    except LlamaError as error:
        raise AnsibleFilterError(f"homelab.ai.llama_plan: {error}") from error


class FilterModule:
    """Filter of this file."""

    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        return {"llama_plan": llama_plan}
