# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.ai.plugins.plugin_utils._report import fleet
from ansible_collections.homelab.ai.plugins.plugin_utils._report_page import page

DOCUMENTATION = r"""
name: fleet_report
short_description: The fleet as data or as one HTML page
version_added: 0.1.0
author:
  - homelab.ai contributors
description:
  - Puts together what the audit found on each machine, the sizes that were computed for it, and the links between them.
  - The page needs no other file and no network, and has the same content as the data.
positional: form
options:
  _input:
    description: The machines.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the machine.
        type: str
        required: true
      facts:
        description: C(hardware_audit_facts) of the role P(homelab.ai.hardware_audit#role).
        type: dict
      tuning:
        description: The result of P(homelab.ai.tuning_profile#filter).
        type: dict
      problem:
        description: Why facts or sizes are missing.
        type: str
      network:
        description: Content of C(network_profile.json).
        type: dict
      vm_of:
        description: Name of the machine that this is a virtual machine on.
        type: str
  form:
    description: V(data) for a dictionary, V(html) for a page.
    type: str
    choices: [data, html]
    default: data
"""

EXAMPLES = r"""
- name: Write the page
  ansible.builtin.copy:
    content: "{{ machines | homelab.ai.fleet_report('html') }}"
    dest: fleet.html
    mode: "0644"
"""

RETURN = r"""
_value:
  description:
    - A page as text, or a dictionary with C(machines), in the order of their names.
    - Each has its C(name), C(zone), C(warnings), C(links) and C(shares), and C(facts), C(tuning), C(problem) and
      C(vm_of) as far as they were given.
    - C(shares) is where memory (MiB), cores, disk and hard disk (GiB) go.
  type: raw
"""


def fleet_report(machines: Iterable[Mapping[str, Any]], form: str = "data") -> Any:
    """A dictionary, or an HTML document as text. Raises AnsibleFilterError for input of another shape."""
    if form not in ("data", "html"):
        raise AnsibleFilterError(f"homelab.ai.fleet_report: form is {form!r} and must be data or html")
    listed = list(machines)
    for machine in listed:
        if not isinstance(machine, Mapping) or not machine.get("name"):
            raise AnsibleFilterError("homelab.ai.fleet_report: each machine must be a dictionary with a name")
    report = fleet(listed)
    return report if form == "data" else page(report)


class FilterModule:
    """Filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"fleet_report": fleet_report}
