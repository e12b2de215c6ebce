# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""garage_key against a real server, read back over plain HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from garage_server import Node
from module_runner import Runner

ID = "GK0123456789abcdef01234567"
SECRET = "5ec2e7" * 10 + "abcd"


@pytest.fixture
def key(runner: Runner, garage: Node) -> Runner:
    return replace(runner, module="garage_key", defaults={"admin_url": garage.admin_url, "admin_token": garage.token})


def keys_named(garage: Node, name: str) -> list[Any]:
    ids = [one["id"] for one in garage.call("ListKeys") if one["name"] == name]
    return [garage.call("GetKeyInfo", id=identifier, showSecretKey="true") for identifier in ids]


def test_key_cycle(key: Runner, garage: Node) -> None:
    def snapshot() -> Any:
        return keys_named(garage, "cycle"), keys_named(garage, "renamed")

    options = {"name": "cycle", "allow_create_bucket": True, "expiration": "2031-01-01T01:00:00+01:00"}
    assert key.check(options, snapshot)["key"]["access_key_id"] == "NOT-YET-GENERATED"
    created = key.cycle(options, snapshot)
    (found,) = keys_named(garage, "cycle")
    assert created["key"]["access_key_id"] == found["accessKeyId"]
    assert "secret_access_key" not in created and found["secretAccessKey"] not in str(created)
    assert (found["permissions"], found["expiration"]) == ({"createBucket": True}, "2031-01-01T00:00:00Z")

    # Another spelling is no change; neither is leaving options out.
    key.cycle({**options, "expiration": "2031-01-01T00:00:00.000Z"}, snapshot, changes=False)
    key.cycle({"name": "cycle"}, snapshot, changes=False)

    changed = key.cycle({"name": "cycle", "expiration": "never"}, snapshot)
    assert changed["diff"]["before"]["expiration"] == "2031-01-01T00:00:00Z"
    assert changed["diff"]["after"]["expiration"] == "never"
    (found,) = keys_named(garage, "cycle")
    assert (found["permissions"], found["expiration"]) == ({"createBucket": True}, None)

    # Planted drift: reported in check mode, repaired by the next run.
    garage.call(
        "UpdateKey", {"deny": {"createBucket": True}, "expiration": "2030-05-05T00:00:00Z"}, id=found["accessKeyId"]
    )
    options["expiration"] = "never"
    drift = key.check(options, snapshot)["diff"]
    assert drift["before"]["allow_create_bucket"] is False and drift["after"]["allow_create_bucket"] is True
    key.cycle(options, snapshot)
    assert keys_named(garage, "cycle") == [found]

    key.cycle({"access_key_id": found["accessKeyId"], "name": "renamed"}, snapshot)
    assert keys_named(garage, "cycle") == [] and len(keys_named(garage, "renamed")) == 1
    key.cycle({"name": "renamed", "state": "absent"}, snapshot)
    assert snapshot() == ([], [])


def test_import_of_a_known_key(key: Runner, garage: Node) -> None:
    def snapshot() -> Any:
        return keys_named(garage, "known")

    options = {"name": "known", "access_key_id": ID, "secret_access_key": SECRET, "allow_create_bucket": True}
    created = key.cycle(options, snapshot)
    (found,) = snapshot()
    assert (found["accessKeyId"], found["secretAccessKey"]) == (ID, SECRET)
    assert found["permissions"] == {"createBucket": True}
    assert created["diff"]["after"]["access_key_id"] == ID and SECRET not in str(created)

    (other,) = key.failures({**options, "secret_access_key": "0" * 64})
    assert f"{ID} exists with another secret" in other and "0" * 64 not in other and SECRET not in other
    key.cycle({"access_key_id": ID, "state": "absent"}, snapshot)
    deleted, nothing, no_name, short = key.failures(
        options,
        {"name": "known", "access_key_id": ID},
        {"access_key_id": ID},
        {"name": "known", "access_key_id": "GK0", "secret_access_key": "0"},
    )
    assert ID in deleted and "choose another access_key_id" in deleted
    assert "set secret_access_key to import it" in nothing
    assert "set name to create it" in no_name
    assert "GK and 24 hexadecimal digits" in short
    assert snapshot() == []


def test_a_shared_name_needs_the_id(key: Runner, garage: Node) -> None:
    ids = sorted(garage.call("CreateKey", {"name": "twin"})["accessKeyId"] for _unused in range(2))
    message = key.failure(name="twin", state="absent")
    assert f"2 keys are named 'twin': {', '.join(ids)}" in message and "access_key_id" in message
    key.cycle({"access_key_id": ids[0], "state": "absent"}, lambda: keys_named(garage, "twin"))
    assert [one["accessKeyId"] for one in keys_named(garage, "twin")] == [ids[1]]


def test_expiration_must_be_a_time(key: Runner) -> None:
    word, naive = key.failures({"name": "x", "expiration": "soon"}, {"name": "x", "expiration": "2030-01-01T00:00:00"})
    assert "expiration: 'soon' is not a time" in word and "2030-12-31T00:00:00Z" in word
    assert "has no time zone" in naive


def test_the_secret_is_returned_once_and_only_under_no_log(key: Runner, garage: Node) -> None:
    assert "set no_log: true" in key.failure(name="once", return_secret=True)
    assert keys_named(garage, "once") == []

    quiet = replace(key, no_log=True)
    options = {"name": "once", "return_secret": True}
    play = quiet({**options, "check": True}, options, options, verbosity="-vvv")
    dry, real, again = play.tasks
    (found,) = keys_named(garage, "once")
    assert dry["secret_access_key"] == "NOT-YET-GENERATED"
    assert real["secret_access_key"] == found["secretAccessKey"]
    assert again["changed"] is False and "secret_access_key" not in again
    assert found["secretAccessKey"] not in play.output
    garage.call("DeleteKey", {}, id=found["accessKeyId"])


def test_secrets_stay_out_of_the_output(key: Runner, garage: Node, tmp_path: Any) -> None:
    file = tmp_path / "token"
    file.write_text(f"{garage.token}\n")
    from_file = replace(key, defaults={**key.defaults, "admin_token": None, "admin_token_file": str(file)})
    identifier = ID[:-1] + "f"
    play = key({"name": "quiet", "access_key_id": identifier, "secret_access_key": SECRET}, verbosity="-vvv")
    second = from_file({"access_key_id": identifier, "state": "absent"}, verbosity="-vvv")
    assert [task["changed"] for task in play.tasks + second.tasks] == [True, True], second.tasks
    for output in (play.output, second.output):
        assert garage.token not in output and SECRET not in output
