# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""All that the audit asks of a machine, in one call: a module that starts costs more time than what it reads."""

from __future__ import annotations

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.facts.system.distribution import Distribution
from ansible_collections.homelab.ai.plugins.module_utils._block_device import storage_of
from ansible_collections.homelab.ai.plugins.module_utils._cpu import read_cpu
from ansible_collections.homelab.ai.plugins.module_utils._gpu import read_gpu
from ansible_collections.homelab.ai.plugins.module_utils._hostfs import Host

# What the supervisor of Home Assistant OS gives each of its app containers.
_APP_TOKENS = ("SUPERVISOR_TOKEN", "HASSIO_TOKEN")
_APP_OPTIONS = "/data/options.json"


def is_home_assistant_app(host: Host) -> bool:
    """Whether the process is in an app container of Home Assistant OS, whose files go with its next update."""
    return any(name in os.environ for name in _APP_TOKENS) or host.exists(_APP_OPTIONS)


def read_system(module: AnsibleModule, host: Host) -> dict[str, Any]:
    """The operating system by Ansible's names, and what its user may do here."""
    distribution = Distribution(module=module).get_distribution_facts()
    return {
        "os_family": distribution["os_family"],
        "distribution": distribution["distribution"],
        "distribution_version": distribution["distribution_version"],
        "is_root": os.geteuid() == 0,
        "is_home_assistant_app": is_home_assistant_app(host),
    }


def read_machine(module: AnsibleModule, path: str) -> tuple[dict[str, Any], list[str]]:
    """Everything that the module machine_info returns, and its warnings. Raises OSError where there is no /proc."""
    host = Host()
    cpu, cpu_notes = read_cpu(host)
    gpu, gpu_notes = read_gpu(host)
    facts = {
        "cpu_capabilities": dict(cpu, reasons=cpu_notes.reasons),
        "gpu_info": dict(gpu, reasons=gpu_notes.reasons),
        "storage": storage_of(path),
        "system": read_system(module, host),
    }
    return facts, [*cpu_notes.warnings, *gpu_notes.warnings]
