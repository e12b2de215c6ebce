# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.ai.plugins.module_utils._garage import parse_size
from ansible_collections.homelab.ai.plugins.module_utils._garage_bucket import permission_changes, wanted_keys
from ansible_collections.homelab.ai.plugins.module_utils._garage_http import GarageError, check_url
from ansible_collections.homelab.ai.plugins.module_utils._garage_key import NEVER, normal_time, write_key
from ansible_collections.homelab.ai.plugins.module_utils._garage_layout import plan_layout, read_layout, write_roles
from ansible_collections.homelab.ai.plugins.module_utils._garage_rules import (
    CORS,
    LIFECYCLE,
    from_xml,
    read_rules,
    to_xml,
    wanted_rules,
    write_rules,
)
from ansible_collections.homelab.ai.plugins.module_utils._garage_s3 import signed_headers

CASES = yaml.safe_load(Path(__file__).with_suffix(".yml").read_text())
KINDS = {"lifecycle": LIFECYCLE, "cors": CORS}


@pytest.mark.parametrize(("text", "size"), CASES["sizes"])
def test_size(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", CASES["not_sizes"])
def test_not_a_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize(("text", "shown"), CASES["times"])
def test_time(text: str, shown: str) -> None:
    assert normal_time(text) == shown
    assert normal_time(shown) == shown


@pytest.mark.parametrize("text", CASES["not_times"])
def test_not_a_time(text: str) -> None:
    with pytest.raises(ValueError, match="2030-12-31T00:00:00Z"):
        normal_time(text)


@pytest.mark.parametrize("url", CASES["not_urls"])
def test_not_an_address(url: str) -> None:
    with pytest.raises(GarageError, match="admin_url"):
        check_url("admin_url", url)


def test_address_without_its_slash() -> None:
    assert check_url("admin_url", "https://garage.example.org/admin/") == "https://garage.example.org/admin"


@pytest.mark.parametrize("case", CASES["rules"])
def test_rules(case: dict[str, Any]) -> None:
    kind = KINDS[case["kind"]]
    assert read_rules(kind, case["server"]) == case["read"]
    # S3's document says the same as the admin API's JSON.
    assert from_xml(kind, to_xml(kind, case["server"])) == case["server"]


@pytest.mark.parametrize("case", CASES["wanted_rules"])
def test_what_is_written_reads_back_as_what_was_wanted(case: dict[str, Any]) -> None:
    kind = KINDS[case["kind"]]
    wanted = wanted_rules(kind, case["task"])
    assert write_rules(kind, wanted) == case["server"]
    assert read_rules(kind, from_xml(kind, to_xml(kind, case["server"]))) == wanted


def test_a_document_that_is_not_one() -> None:
    with pytest.raises(GarageError, match="cannot be read"):
        from_xml(LIFECYCLE, b"<html>")
    with pytest.raises(GarageError, match="cannot be read"):
        from_xml(LIFECYCLE, b"<L><Rule><Expiration><Days>x</Days></Expiration></Rule></L>")


def test_signature() -> None:
    """GET Bucket Lifecycle of AWS's documentation, "Authenticating Requests: Using the Authorization Header"."""
    headers = signed_headers(
        ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        "us-east-1",
        "GET",
        "http://examplebucket.s3.amazonaws.com/?lifecycle=",
        b"",
        datetime(2013, 5, 24, tzinfo=UTC),
    )
    assert headers["Authorization"].endswith(
        "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
    )


def entry(key: str, *held: str) -> dict[str, Any]:
    permissions = {name: name in held for name in ("read", "write", "owner")}
    return {"access_key_id": f"GK{key}", "name": key, **permissions}


def test_keys_that_are_not_listed_stay_unless_purged() -> None:
    before = [entry("a", "read"), entry("b", "write")]
    listed = [entry("b", "read"), entry("c", "owner")]
    assert wanted_keys(before, listed, purge=False) == [entry("a", "read"), *listed]
    assert wanted_keys(before, listed, purge=True) == listed
    assert wanted_keys(before, [entry("a")], purge=False) == [entry("b", "write")]
    with pytest.raises(GarageError, match="more than once"):
        wanted_keys([], [entry("a", "read"), entry("a", "write")], purge=False)


def test_permissions_are_given_before_others_are_taken() -> None:
    before = [entry("a", "read", "owner"), entry("b", "write")]
    after = [entry("a", "read", "write"), entry("c", "read")]
    assert permission_changes(before, after) == [
        ("AllowBucketKey", "GKa", {"write": True}),
        ("AllowBucketKey", "GKc", {"read": True}),
        ("DenyBucketKey", "GKa", {"owner": True}),
        ("DenyBucketKey", "GKb", {"write": True}),
    ]
    assert permission_changes(before, before) == []


def test_a_key_is_updated_in_what_differs_only() -> None:
    before = {"name": "a", "allow_create_bucket": True, "expiration": "2030-01-01T00:00:00Z"}
    assert write_key(before, before) == {}
    assert write_key(before, {**before, "name": "b"}) == {"name": "b"}
    assert write_key(before, {**before, "allow_create_bucket": False}) == {"deny": {"createBucket": True}}
    assert write_key(before, {**before, "expiration": NEVER}) == {"neverExpires": True}


@pytest.mark.parametrize("case", CASES["layouts"])
def test_layout_plan(case: dict[str, Any]) -> None:
    layout = read_layout({"version": 4, "stagedParameters": None, **case["server"]})
    arguments = {"purge": False, "apply": True, **case["task"]}
    if "refused" in case:
        with pytest.raises(GarageError, match=case["refused"]):
            plan_layout(layout, **arguments)
        return
    plan = plan_layout(layout, **arguments)
    assert write_roles(plan.stage) == case["stage"]
    assert plan.apply is case["apply"]
    assert plan.after.shown() == {"version": 5 if case["apply"] else 4, **case["after"]}
