# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.ai.plugins.plugin_utils._quantity import Number, QuantityError, factor, parse, plain

DOCUMENTATION = r"""
name: parse_quantity
short_description: The number that a Kubernetes quantity stands for
version_added: 0.1.0
author:
  - homelab.ai contributors
description:
  - Reads quantities such as V(512Mi), V(250m), V(1.5G) and V(1e3) exactly, by the grammar of the Kubernetes API.
  - What is finer than one nano is rounded away from zero, as the API server does.
positional: unit
options:
  _input:
    description:
      - A quantity. A number stands for itself.
    type: raw
    required: true
  unit:
    description:
      - Unit that the result counts, for example V(Mi) for memory or V(m) for thousandths of a core.
      - By default the result counts bytes, cores or things.
    type: str
    choices: ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
    default: ""
seealso:
  - plugin: homelab.ai.k8s_quantity
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Memory of a node in MiB, here 24105
  ansible.builtin.debug:
    msg: "{{ '24683520Ki' | homelab.ai.parse_quantity('Mi') }}"

- name: Half a core, 0.5
  ansible.builtin.debug:
    msg: "{{ '500m' | homelab.ai.parse_quantity }}"
"""

RETURN = r"""
_value:
  description:
    - An integer where the result is whole, else the nearest floating point number.
  type: raw
"""


def parse_quantity(value: str | Number, unit: str = "") -> Number:
    """`value` counted in `unit`."""
    try:
        return plain(parse(value) / factor(unit))
    except QuantityError as error:
        raise AnsibleFilterError(f"homelab.ai.parse_quantity: {error}") from error


class FilterModule:
    """Filter of this file."""

    def filters(self) -> dict[str, Callable[..., Number]]:
        return {"parse_quantity": parse_quantity}
