# SPDX-License-Identifier: GPL-3.0-or-later
"""The server of the bandwidth test outlasts the longest test, and what is measured before it."""

from __future__ import annotations

import yaml
from ansible_collections.homelab.ai.plugins.module_utils._network import INTERVAL, MAX_DURATION, PATIENCE
from jinja2 import Environment

from tests.unit.roles import source

MODULE = source.ROOT / "plugins" / "modules" / "network_profile.py"
GRACE = 10  # seconds: ping's own limit beyond its probes


def test_the_server_outlasts_the_longest_test() -> None:
    options = yaml.safe_load(MODULE.read_text().split('DOCUMENTATION = r"""', 1)[1].split('"""', 1)[0])["options"]
    ping = options["count"]["default"] * (INTERVAL + PATIENCE) + GRACE
    limit = Environment(autoescape=True).from_string(
        source.role_vars("hardware_audit")["__hardware_audit_server_seconds"]
    )
    assert int(limit.render(hardware_audit_benchmark_seconds=MAX_DURATION)) >= MAX_DURATION + ping
    (server,) = (
        task
        for task in source.tasks(source.load(source.ROOT / "roles" / "hardware_audit" / "tasks" / "link.yml"))
        if "async" in task
    )
    assert server["ansible.builtin.command"]["argv"][1] == "{{ __hardware_audit_server_seconds }}"
    assert server["async"] == "{{ __hardware_audit_server_seconds | int }}"


def test_the_server_that_is_stopped_is_the_one_that_was_started() -> None:
    tasks = list(source.tasks(source.load(source.ROOT / "roles" / "hardware_audit" / "tasks" / "link.yml")))
    commands = [task["ansible.builtin.command"]["argv"] for task in tasks if "ansible.builtin.command" in task]
    (started,) = (argv for argv in commands if argv[0] == "timeout")
    (stopped,) = (argv for argv in commands if argv[0] == "pkill")
    assert stopped == ["pkill", "-x", "-f", " ".join(started)]
