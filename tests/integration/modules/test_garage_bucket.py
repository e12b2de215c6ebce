# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""garage_bucket against a real server, read back over plain HTTP and with obstore."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.request import Request, urlopen

import pytest
from garage_server import Node
from module_runner import Runner


@pytest.fixture
def bucket(runner: Runner, garage: Node) -> Runner:
    return replace(
        runner, module="garage_bucket", defaults={"admin_url": garage.admin_url, "admin_token": garage.token}
    )


@pytest.fixture(scope="module")
def keys(garage: Node) -> Iterator[dict[str, tuple[str, str]]]:
    """Id and secret of two keys by name."""
    made = {name: garage.call("CreateKey", {"name": name}) for name in ("writer", "reader")}
    yield {name: (one["accessKeyId"], one["secretAccessKey"]) for name, one in made.items()}
    for one in made.values():
        garage.call("DeleteKey", {}, id=one["accessKeyId"])


def settings(garage: Node, name: str) -> Any:
    """What a bucket has, without counters. Garage lists keys in no order."""
    info = garage.bucket(name)
    counters = ("objects", "bytes", "unfinished")
    return info and {
        field: sorted(value, key=str) if field in ("keys", "globalAliases") else value
        for field, value in info.items()
        if not field.startswith(counters)
    }


def permissions(garage: Node, name: str) -> dict[str, str]:
    return {
        one["name"]: " ".join(permission for permission, held in one["permissions"].items() if held)
        for one in garage.bucket(name)["keys"]
        if any(one["permissions"].values())
    }


RAW: dict[str, Any] = {
    "name": "raw-documents",
    "aliases": ["raw-alias"],
    "max_size": "1GiB",
    "max_objects": 1000,
    "website": False,
    "lifecycle": [{"expiration_days": 90, "abort_upload_days": 1}, {"prefix": "tmp/", "expiration_days": 1}],
    "cors": [
        {"allowed_origins": ["https://app.example.org"], "allowed_methods": ["PUT", "GET"], "max_age_seconds": 60}
    ],
    "keys": [{"key": "writer", "read": True, "write": True}],
}


def test_bucket_cycle(bucket: Runner, garage: Node, keys: dict[str, tuple[str, str]]) -> None:
    def snapshot() -> Any:
        return settings(garage, "raw-documents")

    assert bucket.check(RAW, snapshot)["changed"] is True
    created = bucket.cycle(RAW, snapshot)
    assert created["diff"]["before"] == {} and created["bucket"]["max_size"] == 2**30
    found = snapshot()
    assert sorted(found["globalAliases"]) == ["raw-alias", "raw-documents"]
    assert (found["quotas"], found["websiteAccess"]) == ({"maxSize": 2**30, "maxObjects": 1000}, False)
    assert [(one.get("Filter"), one["Expiration"]["Days"]) for one in found["lifecycleRules"]] == [
        (None, 90),
        ({"Prefix": "tmp/"}, 1),
    ]
    assert permissions(garage, "raw-documents") == {"writer": "read write"}
    # A browser's question is answered as the rule says.
    preflight = {"Origin": "https://app.example.org", "Access-Control-Request-Method": "PUT"}
    with urlopen(
        Request(f"{garage.s3_url}/raw-documents/x", headers=preflight, method="OPTIONS"), timeout=20
    ) as answer:
        assert answer.headers["Access-Control-Allow-Methods"] == "GET, PUT"

    # Other orders and spellings are no change; neither is leaving options out.
    same = {**RAW, "max_size": "1073741824", "lifecycle": RAW["lifecycle"][::-1], "keys": [{"key": keys["writer"][0]}]}
    same["keys"][0].update(read=True, write=True)
    bucket.cycle(same, snapshot, changes=False)
    bucket.cycle({"name": "raw-alias"}, snapshot, changes=False)

    changed = bucket.cycle(
        {
            "name": "raw-documents",
            "aliases": ["other-alias"],
            "max_size": "-1",
            "lifecycle": [{"expiration_days": 30}],
            "cors": [],
            "keys": [{"key": "writer", "read": True}, {"key": "reader", "read": True, "owner": True}],
        },
        snapshot,
    )
    assert changed["diff"]["before"]["max_size"] == 2**30 and changed["diff"]["after"]["max_size"] == -1
    found = snapshot()
    assert sorted(found["globalAliases"]) == ["other-alias", "raw-documents"]
    assert found["quotas"] == {"maxSize": None, "maxObjects": 1000}
    assert found["lifecycleRules"] == [{"Status": "Enabled", "Expiration": {"Days": 30}}] and "corsRules" not in found
    assert permissions(garage, "raw-documents") == {"writer": "read", "reader": "read owner"}

    only = {"name": "raw-documents", "keys": [{"key": "reader", "read": True}], "purge_keys": True}
    bucket.cycle(only, snapshot)
    assert permissions(garage, "raw-documents") == {"reader": "read"}
    bucket.cycle({"name": "raw-documents", "state": "absent"}, snapshot)
    assert snapshot() is None and garage.bucket("other-alias") is None


def test_planted_drift_is_reported_and_repaired(bucket: Runner, garage: Node, keys: dict[str, tuple[str, str]]) -> None:
    def snapshot() -> Any:
        return settings(garage, "drifting")

    options = {**RAW, "name": "drifting", "aliases": [], "purge_keys": True}
    bucket(options)
    good = snapshot()
    identifier = good["id"]
    garage.call(
        "UpdateBucket",
        {
            "websiteAccess": {"enabled": True, "indexDocument": "index.html"},
            "quotas": {"maxSize": 5, "maxObjects": None},
            "lifecycleRules": [{"Status": "Disabled", "Expiration": {"Date": "2040-01-01"}}],
            "corsRules": [{"AllowedOrigin": ["*"], "AllowedMethod": ["GET"]}],
        },
        id=identifier,
    )
    garage.call("AddBucketAlias", {"bucketId": identifier, "globalAlias": "planted"})
    grant = {"bucketId": identifier, "accessKeyId": keys["reader"][0], "permissions": {"owner": True}}
    garage.call("AllowBucketKey", grant)

    drift = bucket.check(options, snapshot)["diff"]
    assert {name for name in drift["after"] if drift["before"][name] != drift["after"][name]} == {
        *("aliases", "max_size", "max_objects", "website", "lifecycle", "cors", "permissions")
    }
    other = {"Status": "Disabled", "Expiration": {"Date": "2040-01-01"}}
    assert drift["before"]["lifecycle"][0]["other"] == other
    bucket.cycle(options, snapshot)
    repaired = snapshot()
    for field in good:
        if field != "keys":
            assert repaired[field] == good[field], field
    assert permissions(garage, "drifting") == {"writer": "read write"}
    bucket({"name": "drifting", "state": "absent"})


def test_rules_through_the_s3_api(bucket: Runner, garage: Node, keys: dict[str, tuple[str, str]]) -> None:
    def snapshot() -> Any:
        return settings(garage, "by-s3")

    identifier, secret = keys["writer"]
    s3 = {"s3_url": garage.s3_url, "s3_access_key_id": identifier, "s3_secret_access_key": secret}
    options = {**RAW, **s3, "name": "by-s3", "aliases": []}
    grant = {"keys": [{"key": "writer", "owner": True}]}
    # The same task makes the bucket, the owner and, as the owner, the rules.
    bucket.cycle({**options, **grant}, snapshot)
    found = snapshot()
    assert [(one.get("Filter"), one["Expiration"]["Days"]) for one in found["lifecycleRules"]] == [
        (None, 90),
        ({"Prefix": "tmp/"}, 1),
    ]
    assert found["corsRules"] == [
        {
            "AllowedOrigin": ["https://app.example.org"],
            "AllowedMethod": ["GET", "PUT"],
            "AllowedHeader": [],
            "ExposeHeader": [],
            "MaxAgeSeconds": 60,
        }
    ]
    drifted = {"lifecycleRules": [{"ID": "x", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": 7}}]}
    garage.call("UpdateBucket", {**drifted, "corsRules": []}, id=found["id"])
    drift = bucket.check({**options, **grant}, snapshot)["diff"]
    assert drift["before"]["lifecycle"] == [{"prefix": "", "expiration_days": 7, "abort_upload_days": None}]
    assert drift["before"]["cors"] == []
    bucket.cycle({**options, **grant}, snapshot)
    assert snapshot() == found
    bucket.cycle({**options, **grant, "lifecycle": [], "cors": []}, snapshot)
    assert "lifecycleRules" not in snapshot() and "corsRules" not in snapshot()

    # The owner's right comes with the run that uses it, and its loss only after.
    deny = {"bucketId": found["id"], "accessKeyId": identifier, "permissions": {"owner": True}}
    garage.call("DenyBucketKey", deny)
    bucket.cycle({**options, **grant}, snapshot)
    assert snapshot()["lifecycleRules"] == found["lifecycleRules"]
    bucket.cycle({**options, "keys": [{"key": "writer", "read": True}], "lifecycle": None, "cors": None}, snapshot)
    assert permissions(garage, "by-s3") == {"writer": "read"}

    name_only = {**s3, "name": "by-s3", "lifecycle": RAW["lifecycle"]}
    not_owner, secret_wrong, region = bucket.failures(
        name_only,
        {**name_only, "s3_secret_access_key": "0" * 64},
        {**name_only, "s3_region": "elsewhere"},
    )
    assert f"refused key {identifier}" in not_owner and "permission owner on bucket by-s3" in not_owner
    assert "Check s3_secret_access_key" in secret_wrong and "0" * 64 not in secret_wrong
    assert "s3_region is 'elsewhere'" in region and "[s3_api]" in region
    bucket({"name": "by-s3", "state": "absent"})


def test_a_bucket_with_objects_goes_only_by_force(
    bucket: Runner, garage: Node, keys: dict[str, tuple[str, str]]
) -> None:
    def snapshot() -> Any:
        return settings(garage, "full-bucket")

    bucket({"name": "full-bucket", "keys": [{"key": "writer", "read": True, "write": True}]})
    store = garage.objects("full-bucket", keys["writer"])
    names = ["plain", "a/b c+d", "ünï/%41&=?", "tilde~!*'()"]
    for name in names:
        store.put(name, b"content")
    identifier, secret = keys["writer"]
    reader = {"s3_url": garage.s3_url, "s3_access_key_id": keys["reader"][0], "s3_secret_access_key": keys["reader"][1]}
    writer = {"s3_url": garage.s3_url, "s3_access_key_id": identifier, "s3_secret_access_key": secret}
    absent = {"name": "full-bucket", "state": "absent"}
    plain, no_key, no_right = bucket.failures(absent, {**absent, "force": True}, {**absent, "force": True, **reader})
    assert "is not empty" in plain and "force: true" in plain
    assert "s3_url" in no_key
    assert "permission read and write on bucket full-bucket" in no_right
    assert len(list(store.list().collect())) == len(names)

    bucket.cycle({**absent, "force": True, **writer}, snapshot)
    assert snapshot() is None


def test_each_refusal_says_what_to_do(bucket: Runner, garage: Node, keys: dict[str, tuple[str, str]]) -> None:
    bucket({"name": "taken", "aliases": ["taken-alias"]})
    cases: dict[str, tuple[dict[str, Any], str]] = {
        "alias": ({"aliases": ["taken-alias"]}, "alias taken-alias belongs to another bucket (taken, taken-alias)"),
        "days": ({"lifecycle": [{"expiration_days": 0}]}, "lifecycle[0] has 0 days and must have at least 1"),
        "idle": ({"lifecycle": [{"prefix": "x"}]}, "lifecycle[0] does nothing"),
        "origin": ({"cors": [{"allowed_origins": [], "allowed_methods": ["GET"]}]}, "cors[0] allows nothing"),
        "size": ({"max_size": "big"}, "max_size: 'big' is not a size"),
        "objects": ({"max_objects": -2}, "max_objects is -2"),
        "twice": ({"keys": [{"key": "writer"}, {"key": keys["writer"][0]}]}, "names one key more than once"),
    }
    for check in (True, False):
        messages = bucket.failures(*({"name": "refused", "check": check, **case} for case, _unused in cases.values()))
        for (name, (_unused, expected)), message in zip(cases.items(), messages, strict=True):
            assert expected in message, name
    bad_name, no_key = bucket.failures({"name": "No"}, {"name": "refused", "keys": [{"key": "nobody"}]})
    assert "Invalid bucket name" in bad_name
    assert "no key with the id or name 'nobody'" in no_key and "homelab.ai.garage_key" in no_key
    assert garage.bucket("refused") is None
    # In check mode the key may be one that a task before has announced.
    (announced,) = bucket({"name": "refused", "keys": [{"key": "nobody", "read": True}], "check": True}).tasks
    assert announced["changed"] is True and announced["bucket"]["permissions"][0]["name"] == "nobody"
    bucket({"name": "taken", "state": "absent"})
