# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.ai.plugins.plugin_utils import _plan

DOCUMENTATION = r"""
name: plan_lines
short_description: Sizes of a machine as a table for people
version_added: 0.1.0
author:
  - homelab.ai contributors
description:
  - Shows who gets how much memory, cores and disk, what holds each number, and what to change for more.
positional: name
options:
  _input:
    description: The result of P(homelab.ai.tuning_profile#filter).
    type: dict
    required: true
  name:
    description: Name of the machine.
    type: str
    required: true
seealso:
  - plugin: homelab.ai.tuning_profile
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show the plan of a mini PC
  ansible.builtin.debug:
    msg: "{{ {'memory_mib': 7800, 'cores': 4} | homelab.ai.tuning_profile | homelab.ai.plan_lines('mini') }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""


def plan_lines(tuning: Mapping[str, Any], name: str) -> list[str]:
    """Lines of one machine's plan. Raises AnsibleFilterError for what is no homelab_tuning."""
    needed = {"profile", "basis", "node", "components", "streams", "explain", "warnings"}
    if not isinstance(tuning, Mapping) or not needed <= tuning.keys():
        raise AnsibleFilterError(
            f"homelab.ai.plan_lines: {type(tuning).__name__} is no result of homelab.ai.tuning_profile"
        )
    return _plan.plan_lines(name, tuning)


class FilterModule:
    """Filter of this file."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"plan_lines": plan_lines}
