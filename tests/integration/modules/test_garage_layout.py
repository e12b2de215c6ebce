# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""garage_layout against two real nodes, read back over plain HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from garage_proxy import proxy
from garage_server import Node, start_node
from module_runner import Runner

HOME: dict[str, Any] = {"zone": "home", "capacity": "1GB"}


def wait_for(condition: Callable[[], bool]) -> None:
    for _unused in range(300):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("nothing has changed in 30 s")


@pytest.fixture(scope="module")
def nodes(folder: Path, garage_program: Path) -> Iterator[tuple[Node, Node]]:
    """Two connected nodes without roles, on one host."""
    started: list[Node] = []
    try:
        for name in ("layout-a", "layout-b"):
            started.append(start_node(garage_program, folder / name))
        first, second = started
        (answer,) = first.call("ConnectClusterNodes", [f"{second.id}@127.0.0.1:{second.rpc_port}"])
        assert answer["success"], answer
        wait_for(lambda: all(len(node.call("GetClusterStatus")["nodes"]) == 2 for node in started))
        yield first, second
    finally:
        for node in started:
            node.stop()


@pytest.fixture
def layout(runner: Runner, nodes: tuple[Node, Node]) -> Runner:
    first = nodes[0]
    return replace(runner, module="garage_layout", defaults={"admin_url": first.admin_url, "admin_token": first.token})


def roles_of(node: Node) -> dict[str, tuple[str, int | None, list[str]]]:
    return {one["id"]: (one["zone"], one["capacity"], one["tags"]) for one in node.call("GetClusterLayout")["roles"]}


def test_layout_cycle(layout: Runner, nodes: tuple[Node, Node]) -> None:
    first, second = nodes
    a, b = first.id, second.id

    def snapshot() -> Any:
        return first.call("GetClusterLayout")

    # A cluster without roles can hold nothing; check mode knows that a task before may change this.
    bucket = replace(layout, module="garage_bucket")
    assert "homelab.ai.garage_layout" in bucket.failure(name="early-bucket")
    (early,) = bucket({"name": "early-bucket", "keys": [{"key": "x", "read": True}], "check": True}).tasks
    assert early["changed"] is True and not early.get("failed")

    options = {"roles": [{**HOME, "node": a, "tags": ["ssd", "amd64"]}]}
    announced = layout.check(options, snapshot)["diff"]
    assert announced["before"] == {"version": 0, "roles": {}, "staged": {}}
    assert announced["after"] == {
        "version": 1,
        "roles": {a: {"zone": "home", "capacity": 10**9, "tags": ["amd64", "ssd"]}},
        "staged": {},
    }
    created = layout.cycle(options, snapshot)
    assert "COMPUTATION OF A NEW PARTITION ASSIGNATION" in created["message"][0]
    assert roles_of(first) == {a: ("home", 10**9, ["amd64", "ssd"])}

    # Another order and spelling are no change.
    same = {"roles": [{"node": a[:12], "zone": "home", "capacity": "1000MB", "tags": ["amd64", "ssd"]}]}
    layout.cycle(same, snapshot, changes=False)

    gateway = {"node": b, "zone": "edge", "gateway": True}
    changed = layout.cycle({"roles": [{**HOME, "node": a, "capacity": "2GiB"}, gateway]}, snapshot)
    assert (changed["diff"]["before"]["version"], changed["diff"]["after"]["version"]) == (1, 2)
    assert roles_of(first) == {a: ("home", 2**31, []), b: ("edge", None, [])}

    # Planted drift: someone gives the gateway another zone.
    drifted = [{"id": b, "zone": "cellar", "capacity": None, "tags": []}]
    first.call("UpdateClusterLayout", {"roles": drifted})
    first.call("ApplyClusterLayout", {"version": 3})
    drift = layout.check({"roles": [gateway]}, snapshot)["diff"]
    assert drift["before"]["roles"][b]["zone"] == "cellar" and drift["after"]["roles"][b]["zone"] == "edge"
    layout.cycle({"roles": [gateway]}, snapshot)
    assert roles_of(first) == {a: ("home", 2**31, []), b: ("edge", None, [])}

    layout.cycle({"roles": [{**HOME, "node": a}], "purge": True}, snapshot)
    assert roles_of(first) == {a: ("home", 10**9, [])}


def test_staged_changes_are_shown_and_not_swept_along(layout: Runner, nodes: tuple[Node, Node]) -> None:
    first, second = nodes
    a, b = first.id, second.id

    def snapshot() -> Any:
        return first.call("GetClusterLayout")

    layout({"roles": [{**HOME, "node": a}], "purge": True, "revert_staged": True})
    version = snapshot()["version"]
    gateway = {"node": b, "zone": "edge", "gateway": True}
    staged = layout.cycle({"roles": [gateway], "apply": False}, snapshot)
    assert staged["diff"]["after"]["staged"] == {b: {"zone": "edge", "capacity": None, "tags": []}}
    assert snapshot()["version"] == version and list(roles_of(first)) == [a]

    before = snapshot()
    bigger = {"roles": [{**HOME, "node": a, "capacity": "3GB"}]}
    for message in layout.failures({**bigger, "check": True}, bigger):
        assert f"the role of node {b[:16]}" in message and "revert_staged: true" in message
    assert snapshot() == before
    # Its own staged change is applied, though nothing is left to stage.
    applied = layout.cycle({"roles": [gateway]}, snapshot)
    assert applied["diff"]["before"]["staged"] != {} and applied["diff"]["after"]["staged"] == {}
    assert roles_of(first)[b] == ("edge", None, [])

    first.call(
        "UpdateClusterLayout", {"roles": [{"id": b, "remove": True}], "parameters": {"zoneRedundancy": {"atLeast": 1}}}
    )
    assert "zone redundancy" in layout.failure(**bigger)
    shown = layout.check({**bigger, "revert_staged": True}, snapshot)["diff"]["before"]["staged"]
    assert shown == {b: "removed", "parameters": "changed"}
    layout.cycle({**bigger, "revert_staged": True}, snapshot)
    assert roles_of(first) == {a: ("home", 3 * 10**9, []), b: ("edge", None, [])}


def test_refused_layouts_leave_staging_as_it_was(layout: Runner, nodes: tuple[Node, Node]) -> None:
    first = nodes[0]
    layout({"roles": [{**HOME, "node": first.id}], "purge": True, "revert_staged": True})
    before = first.call("GetClusterLayout")
    none_left = {"node": first.id, "zone": "home", "gateway": True}
    assert "smaller than the replication factor" in layout.failure(roles=[none_left])
    assert first.call("GetClusterLayout") == before
    host = first.call("GetClusterStatus")["nodes"][0]["hostname"]
    cases: list[tuple[dict[str, Any], str]] = [
        ({**HOME, "node": host}, f"2 nodes match {host!r}"),
        (
            {**HOME, "node": "nowhere"},
            "id or host name 'nowhere': connect it first ('garage node connect'), or name one",
        ),
        ({"node": first.id, "zone": "home"}, "needs either capacity or gateway: true"),
        ({**HOME, "node": first.id, "gateway": True}, "needs either capacity or gateway: true"),
        ({**HOME, "node": first.id, "capacity": "much"}, "'much' is not a size"),
        ({**HOME, "node": first.id, "capacity": "1000"}, "must be at least 1024"),
    ]
    messages = layout.failures(*({"roles": [role], "check": True} for role, _unused in cases))
    for (_unused, expected), message in zip(cases, messages, strict=True):
        assert expected in message
    twice = {"roles": [{**HOME, "node": first.id}, {**HOME, "node": first.id[:20]}]}
    assert "more than once" in layout.failure(**twice)
    assert first.call("GetClusterLayout") == before


def test_a_layout_that_changed_meanwhile_is_not_applied(layout: Runner, nodes: tuple[Node, Node]) -> None:
    first, second = nodes
    layout({"roles": [{**HOME, "node": first.id}], "purge": True, "revert_staged": True})
    version = first.call("GetClusterLayout")["version"]

    def apply_first(_method: str, path: str) -> None:
        if path == "/v2/ApplyClusterLayout":
            first.call("ApplyClusterLayout", {"version": version + 1})

    def stage_first(_method: str, path: str) -> None:
        if path == "/v2/UpdateClusterLayout" and not first.call("GetClusterLayout")["stagedRoleChanges"]:
            role = {"id": second.id, "zone": "theirs", "capacity": None, "tags": []}
            first.call("UpdateClusterLayout", {"roles": [role]})

    with proxy(first.admin_url, apply_first) as url:
        message = layout.failure(admin_url=url, roles=[{**HOME, "node": first.id, "capacity": "5GB"}])
    assert f"as version {version + 1}" in message and "Invalid new layout version" in message and "run again" in message

    with proxy(first.admin_url, stage_first) as url:
        message = layout.failure(admin_url=url, roles=[{**HOME, "node": first.id, "capacity": "6GB"}])
    assert f"the role of node {second.id[:16]}" in message
    found = first.call("GetClusterLayout")
    assert found["version"] == version + 1 and [one["id"] for one in found["stagedRoleChanges"]] == [second.id]
