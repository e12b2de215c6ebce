# SPDX-License-Identifier: GPL-3.0-or-later
"""A role's options are the ones that it reads, with one default each, whoever calls it."""

from __future__ import annotations

import ast
import re

import pytest

from tests.unit.roles import source

# docs/contracts.md, "Names": the inventory's own variables, which options default from.
INVENTORY = {"homelab_port_base", "homelab_data_dir", "homelab_tuning", "homelab_kube_context", "homelab_zone"}
# Ansible's: facts, magic variables, functions of its templates.
ANSIBLE = {
    "ansible_check_mode",
    "ansible_connection",
    "ansible_facts",
    "ansible_managed",
    "ansible_failed_result",
    "ansible_failed_task",
    "ansible_play_hosts",
    "ansible_play_hosts_all",
    "ansible_playbook_python",
    "ansible_run_tags",
    "dict",
    "groups",
    "hostvars",
    "inventory_dir",
    "inventory_hostname",
    "lookup",
    "omit",
    "playbook_dir",
    "role_path",
}


def without_inventory(default: object) -> object:
    """The default where the inventory does not set its own variable: documentation shows that one."""
    found = re.fullmatch(r"\{\{ homelab_\w+ \| default\((.*)\) \}\}", default) if isinstance(default, str) else None
    return ast.literal_eval(found[1]) if found else default


@pytest.mark.parametrize("role", source.ROLES)
def test_defaults_are_those_of_the_specification(role: str) -> None:
    defaults = source.defaults(role)
    specified: dict[str, object] = {}
    for name, options in source.entry_points(role).items():
        for option, spec in options.items():
            if "default" in spec:
                assert spec["default"] == specified.setdefault(option, spec["default"]), f"{name}: {option}"
    assert {name: without_inventory(value) for name, value in defaults.items()} == specified


@pytest.mark.parametrize("role", source.ROLES)
def test_required_options_have_no_default(role: str) -> None:
    required = {
        option for spec in source.entry_points(role).values() for option, entry in spec.items() if entry.get("required")
    }
    assert not required & source.defaults(role).keys()


@pytest.mark.parametrize(("role", "entry_point"), source.ENTRY_POINTS)
def test_every_option_is_typed_described_and_either_required_or_defaulted(role: str, entry_point: str) -> None:
    for option, spec in source.entry_points(role)[entry_point].items():
        assert spec.get("type"), option
        assert spec.get("description"), option
        if option not in INVENTORY:
            assert ("default" in spec) != spec.get("required", False), option


@pytest.mark.parametrize(("role", "entry_point"), source.ENTRY_POINTS)
def test_what_an_entry_point_reads_is_what_it_specifies(role: str, entry_point: str) -> None:
    public = {name for name in source.read_by(role, entry_point) if not name.startswith(f"__{role}_")}
    specified = source.entry_points(role)[entry_point].keys()
    # What only a default reads is read where the default is used.
    given = set().union(*map(source.outbound, source.ROLES))
    assert public - ANSIBLE - (INVENTORY - set(specified)) - given == set(specified)


def read_by_callers(role: str) -> set[str]:
    """Private variables that only the values given to an included role read."""
    return {
        name
        for path in source.task_files(role)
        for task in source.tasks(source.load(path))
        for name in source.names_in(task.get("vars", {}))
    }


@pytest.mark.parametrize("role", source.ROLES)
def test_private_names_carry_the_prefix_and_are_defined(role: str) -> None:
    prefix = f"__{role}_"
    given = source.given_names(role) - {"ansible_python_interpreter", "ansible_connection", "ansible_become"}
    assert {name for name in given if not name.startswith(prefix)} == source.outbound(role)
    read = {
        name
        for _unused, entry_point in (pair for pair in source.ENTRY_POINTS if pair[0] == role)
        for name in source.read_by(role, entry_point)
        if name.startswith("__")
    }
    # Variables of an included role's call are read there, not here.
    assert read - given == set()
    assert source.role_vars(role).keys() - read <= read_by_callers(role), "given a value, and never read"


@pytest.mark.parametrize("role", source.ROLES)
def test_defaults_read_only_the_inventory(role: str) -> None:
    assert source.names_in(source.defaults(role)) <= INVENTORY | {"lookup"}


def included_roles() -> list[tuple[str, str, set[str]]]:
    """Role, entry point and given variables of each include_role in the collection."""
    found = []
    for role in source.ROLES:
        for path in source.task_files(role):
            for task in source.tasks(source.load(path)):
                if (options := task.get("ansible.builtin.include_role")) is not None:
                    name = options["name"].removeprefix("homelab.ai.")
                    found.append((name, options.get("tasks_from", "main"), set(task.get("vars", {}))))
    return found


def test_an_included_role_gets_its_required_options_and_no_unknown_ones() -> None:
    calls = included_roles()
    assert calls
    for role, entry_point, given in calls:
        options = source.entry_points(role)[entry_point]
        required = {name for name, spec in options.items() if spec.get("required")} - INVENTORY
        assert required <= given, f"{role}/{entry_point}"
        assert given - {"ansible_python_interpreter"} <= options.keys(), f"{role}/{entry_point}"
