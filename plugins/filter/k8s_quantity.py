# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.ai.plugins.plugin_utils._quantity import (
    BINARY,
    Number,
    QuantityError,
    canonical,
    is_binary,
    parse,
)

DOCUMENTATION = r"""
name: k8s_quantity
short_description: A Kubernetes quantity in its canonical form
version_added: 0.1.0
author:
  - homelab.ai contributors
description:
  - Writes a number of units, or another quantity, the way the API server stores it, so that a manifest equals the
    object that it made and a second run changes nothing.
  - The result has the largest unit that needs no fraction. Nothing is lost but what is finer than one nano, and that is
    rounded away from zero as the API server does.
  - A part of a byte gets a decimal unit, as the API server does too; V(1.1Ki) is V(1126400m). Round before, where you
    want whole bytes.
positional: unit
options:
  _input:
    description:
      - A number of O(unit), or a quantity as a string, for which O(unit) must be left out.
    type: raw
    required: true
  unit:
    description:
      - What a number counts. Required for a number, V("") means bytes, cores or things.
      - A binary unit makes a binary quantity.
    type: str
    choices: ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
notes:
  - The exponent form V(1e3) becomes the decimal form V(1k) of the same value.
seealso:
  - plugin: homelab.ai.parse_quantity
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Requests and limits of a container, here 1536Mi, 2Gi and 1500m
  ansible.builtin.debug:
    msg:
      requests:
        memory: "{{ 1536 | homelab.ai.k8s_quantity('Mi') }}"
      limits:
        memory: "{{ 2048 | homelab.ai.k8s_quantity('Mi') }}"
        cpu: "{{ 1500 | homelab.ai.k8s_quantity('m') }}"

- name: The form in which the API server would return it, 1Gi
  ansible.builtin.debug:
    msg: "{{ '1024Mi' | homelab.ai.k8s_quantity }}"
"""

RETURN = r"""
_value:
  description:
    - The quantity.
  type: str
"""


def k8s_quantity(value: str | Number, unit: str | None = None) -> str:
    """`value` of `unit`, or the quantity `value`, in canonical form."""
    try:
        if isinstance(value, str):
            if unit is not None:
                raise QuantityError(f"{value!r} has its unit in it, leave out unit={unit!r} or give a number")
            return canonical(parse(value), is_binary(value))
        if unit is None:
            raise QuantityError(f"{value!r} is a number: say what it counts, for example unit='Mi' or unit='m'")
        return canonical(parse(value, unit), unit in BINARY)
    except QuantityError as error:
        raise AnsibleFilterError(f"homelab.ai.k8s_quantity: {error}") from error


class FilterModule:
    """Filter of this file."""

    def filters(self) -> dict[str, Callable[..., str]]:
        return {"k8s_quantity": k8s_quantity}
