# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""The cluster layout: which role each node should have, and how changes are staged and applied."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Optional

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.ai.plugins.module_utils._garage import Admin, ApiError, parse_size
from ansible_collections.homelab.ai.plugins.module_utils._garage_http import GarageError
from ansible_collections.homelab.ai.plugins.module_utils._outcome import outcome

# Zone, capacity in bytes (None for a gateway) and tags; None stands for no role.
Role = Optional[dict[str, Any]]
Roles = dict[str, Role]

MIN_CAPACITY = 1024  # Garage's own limit

LAYOUT_ARGUMENTS: dict[str, Any] = {
    "roles": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "node": {"type": "str", "required": True},
            "zone": {"type": "str", "required": True},
            "capacity": {"type": "str"},
            "gateway": {"type": "bool", "default": False},
            "tags": {"type": "list", "elements": "str", "default": []},
        },
    },
    "purge": {"type": "bool", "default": False},
    "apply": {"type": "bool", "default": True},
    "revert_staged": {"type": "bool", "default": False},
}


class Layout(NamedTuple):
    """What the server says: the roles in force by node id, and what is staged for the next version."""

    version: int
    roles: Roles
    staged: Roles
    staged_parameters: bool

    def shown(self) -> dict[str, Any]:
        staged: dict[str, Any] = {node: "removed" if role is None else role for node, role in self.staged.items()}
        if self.staged_parameters:
            staged["parameters"] = "changed"
        return {"version": self.version, "roles": self.roles, "staged": staged}


def read_layout(wire: dict[str, Any]) -> Layout:
    return Layout(
        version=wire["version"],
        roles={one["id"]: _read_role(one) for one in wire["roles"]},
        staged={one["id"]: None if one.get("remove") else _read_role(one) for one in wire["stagedRoleChanges"]},
        staged_parameters=wire["stagedParameters"] is not None,
    )


def _read_role(wire: dict[str, Any]) -> dict[str, Any]:
    return {"zone": wire["zone"], "capacity": wire["capacity"], "tags": sorted(wire["tags"])}


def write_roles(roles: Roles) -> list[dict[str, Any]]:
    return [{"id": node, "remove": True} if role is None else {"id": node, **role} for node, role in roles.items()]


def find_node(nodes: list[dict[str, Any]], name: str) -> str:
    """Id of the node with this id, beginning of an id, or host name. Raises GarageError."""
    found = [one["id"] for one in nodes if one.get("hostname") == name]
    if not found and re.fullmatch(r"[0-9a-f]{4,64}", name):
        found = [one["id"] for one in nodes if one["id"].startswith(name)]
    if len(found) == 1:
        return str(found[0])
    if found:
        raise GarageError(
            f"{len(found)} nodes match {name!r}: {', '.join(sorted(found))}. Name the one that is meant by its id"
        )
    known = ", ".join(f"{one['id'][:16]} ({one.get('hostname') or 'not connected'})" for one in nodes)
    raise GarageError(
        f"no node of the cluster has the id or host name {name!r}: connect it first ('garage node connect'), or name "
        f"one of {known}"
    )


def wanted_roles(nodes: list[dict[str, Any]], entries: list[dict[str, Any]]) -> Roles:
    """The task's roles by node id. Raises GarageError."""
    result: Roles = {}
    for entry in entries:
        name = entry["node"]
        node = find_node(nodes, name)
        if node in result:
            raise GarageError(f"roles names node {node} more than once: give each node one role")
        if (entry["capacity"] is None) != entry["gateway"]:
            raise GarageError(f"the role of node {name} needs either capacity or gateway: true")
        capacity = None
        if entry["capacity"] is not None:
            try:
                capacity = parse_size(entry["capacity"])
            except ValueError as error:
                raise GarageError(f"capacity of node {name}: {error}") from error
            if capacity < MIN_CAPACITY:
                raise GarageError(f"capacity of node {name} is {capacity} bytes and must be at least {MIN_CAPACITY}")
        result[node] = {"zone": entry["zone"], "capacity": capacity, "tags": sorted(set(entry["tags"]))}
    return result


class Plan(NamedTuple):
    """The task's roles with those that it purges, what of them to stage, and the layout afterwards."""

    own: Roles
    stage: Roles
    apply: bool
    after: Layout


def plan_layout(layout: Layout, wanted: Roles, purge: bool, apply: bool) -> Plan:
    """How to come from `layout` to the `wanted` roles. Raises GarageError."""
    upcoming = {**layout.roles, **layout.staged}
    own = {**dict.fromkeys(upcoming), **wanted} if purge else wanted
    stage = {node: role for node, role in own.items() if upcoming.get(node) != role}
    staged = {node: role for node, role in {**upcoming, **stage}.items() if layout.roles.get(node) != role}
    if not apply or all(layout.roles.get(node) == role for node, role in own.items()):
        return Plan(own, stage, False, layout._replace(staged=staged))
    refuse_foreign(layout._replace(staged=staged), own)
    roles = {node: role for node, role in {**layout.roles, **staged}.items() if role is not None}
    return Plan(own, stage, True, Layout(layout.version + 1, roles, {}, False))


def refuse_foreign(layout: Layout, own: Roles) -> None:
    """Raise GarageError when changes are staged that applying would put in force along with our own."""
    foreign = [f"the role of node {node[:16]}" for node, role in layout.staged.items() if role != own.get(node, False)]
    if layout.staged_parameters:
        foreign.append("the zone redundancy")
    if foreign:
        raise GarageError(
            f"changes of {', '.join(sorted(foreign))} are staged that are not in roles, and applying would put them in "
            "force too: apply or revert them first ('garage layout show'), or set revert_staged: true to drop them"
        )


def ensure_layout(admin: Admin, module: AnsibleModule) -> dict[str, Any]:
    """Give the nodes the roles of the task; returns the module's result."""
    params = module.params
    wanted = wanted_roles(admin.get("GetClusterStatus")["nodes"], params["roles"])
    start = read_layout(admin.get("GetClusterLayout"))
    base = start._replace(staged={}, staged_parameters=False) if params["revert_staged"] else start
    plan = plan_layout(base, wanted, params["purge"], params["apply"])
    message: list[str] = []
    if not module.check_mode and plan.after != start:
        if base != start:
            admin.post("RevertClusterLayout")
        now = base
        if plan.stage:
            now = read_layout(admin.post("UpdateClusterLayout", {"roles": write_roles(plan.stage)}))
        if plan.apply:
            message = _apply(admin, base, now, plan)
    result = outcome(module, "layout", "cluster layout", start.shown(), plan.after.shown())
    return dict(result, message=message)


def _apply(admin: Admin, base: Layout, now: Layout, plan: Plan) -> list[str]:
    """Put what is staged `now` in force as the version after `base`; returns Garage's own account of it."""
    try:
        refuse_foreign(now, plan.own)  # someone may have staged since we looked
        preview = admin.post("PreviewClusterLayoutChanges")
        if "error" in preview:
            raise GarageError(
                f"Garage refuses these roles: {preview['error']} Nothing was applied, and staging is as it was before"
            )
    except GarageError:
        before = {node: {**base.roles, **base.staged}.get(node) for node in plan.stage}
        admin.post("UpdateClusterLayout", {"roles": write_roles(before)})
        raise
    try:
        applied = admin.post("ApplyClusterLayout", {"version": base.version + 1})
    except ApiError as error:
        # Not taken back: whoever applied in between may have put our changes in force with theirs.
        raise GarageError(
            f"Garage did not apply the layout as version {base.version + 1}: {error}. When someone else has applied "
            "one since this run began, run again"
        ) from error
    return list(applied["message"])
