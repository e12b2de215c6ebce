# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Access keys: how one is found and brought to its options."""

from __future__ import annotations

import hmac
from datetime import datetime, timezone
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.ai.plugins.module_utils._garage import (
    NO_SUCH_KEY,
    Admin,
    ApiError,
)
from ansible_collections.homelab.ai.plugins.module_utils._garage_http import GarageError
from ansible_collections.homelab.ai.plugins.module_utils._outcome import outcome
from ansible_collections.homelab.ai.plugins.module_utils._secret_file import PLACEHOLDER

NEVER = "never"

KEY_ARGUMENTS: dict[str, Any] = {
    "name": {"type": "str"},
    "access_key_id": {"type": "str", "no_log": False},
    "secret_access_key": {"type": "str", "no_log": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "allow_create_bucket": {"type": "bool"},
    "expiration": {"type": "str"},
    "return_secret": {"type": "bool", "default": False, "no_log": False},
}
KEY_REQUIRED_ONE_OF = [("name", "access_key_id")]
KEY_REQUIRED_BY = {"secret_access_key": ("access_key_id",)}


def normal_time(text: str) -> str:
    """An RFC 3339 time in UTC and with the server's milliseconds, or `never`. Raises ValueError."""
    if text.lower() == NEVER:
        return NEVER
    try:
        moment = datetime.fromisoformat(text.strip().upper().replace("Z", "+00:00"))
    except ValueError as error:
        raise ValueError(f"{text!r} is not a time: write it like 2030-12-31T00:00:00Z, or never") from error
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone: write it like 2030-12-31T00:00:00Z")
    # Not fromisoformat's own text: Python 3.9 and the server differ in how they write fractions.
    moment = moment.astimezone(timezone.utc)
    fraction = f".{moment.microsecond // 1000:03}" if moment.microsecond >= 1000 else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def read_key(info: dict[str, Any]) -> dict[str, Any]:
    """What the server has, by option name."""
    expiration = info.get("expiration")
    return {
        "access_key_id": info["accessKeyId"],
        "name": info["name"],
        "allow_create_bucket": info["permissions"]["createBucket"],
        "expiration": normal_time(expiration) if expiration else NEVER,
    }


def wanted_key(params: dict[str, Any]) -> dict[str, Any]:
    """What the task asks for, by option name; options that are not set are left out. Raises GarageError."""
    names = ("access_key_id", "name", "allow_create_bucket", "expiration")
    wanted = {name: params[name] for name in names if params[name] is not None}
    if "expiration" in wanted:
        try:
            wanted["expiration"] = normal_time(wanted["expiration"])
        except ValueError as error:
            raise GarageError(f"expiration: {error}") from error
    return wanted


def write_key(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The body of an update from `before` to `after`."""
    body: dict[str, Any] = {}
    if after["name"] != before.get("name"):
        body["name"] = after["name"]
    if after["allow_create_bucket"] != before["allow_create_bucket"]:
        body["allow" if after["allow_create_bucket"] else "deny"] = {"createBucket": True}
    if after["expiration"] != before["expiration"]:
        body.update({"neverExpires": True} if after["expiration"] == NEVER else {"expiration": after["expiration"]})
    return body


def find_key_ids(keys: list[dict[str, Any]], key: str) -> list[str]:
    """Ids of the keys that `key` names: the one with this id, else all with this name (Garage lets keys share one)."""
    if any(one["id"] == key for one in keys):
        return [key]
    return sorted(one["id"] for one in keys if one["name"] == key)


def refuse_shared_name(name: str, ids: list[str], fix: str) -> None:
    """Raise GarageError when more than one key has the name."""
    if len(ids) > 1:
        raise GarageError(f"{len(ids)} keys are named {name!r}: {', '.join(ids)}. {fix}")


def _find(admin: Admin, params: dict[str, Any]) -> dict[str, Any] | None:
    """The server's record of the key. It holds the secret only when the task gives one to compare."""
    identifier = params["access_key_id"]
    if identifier is None:
        ids = [one["id"] for one in admin.get("ListKeys") or [] if one["name"] == params["name"]]
        refuse_shared_name(params["name"], sorted(ids), "Say which one by access_key_id")
        if not ids:
            return None
        identifier = ids[0]
    show = {"showSecretKey": "true"} if params["secret_access_key"] else {}
    found: dict[str, Any] | None = admin.find("GetKeyInfo", NO_SUCH_KEY, id=identifier, **show)
    return found


def ensure_key(admin: Admin, module: AnsibleModule) -> dict[str, Any]:
    """Create, import, update or delete the key that the task names; returns the module's result."""
    params = module.params
    wanted = wanted_key(params)
    info = _find(admin, params)
    what = f"key {params['name'] or params['access_key_id']}"
    before = read_key(info) if info else {}
    if params["state"] == "absent":
        if info and not module.check_mode:
            admin.post("DeleteKey", id=info["accessKeyId"])
        return outcome(module, "key", what, before, {})
    if info:
        _refuse_other_secret(info, params["secret_access_key"])
        after = dict(before, **wanted)
        if after != before and not module.check_mode:
            admin.post("UpdateKey", write_key(before, after), id=info["accessKeyId"])
        return outcome(module, "key", what, before, after)

    _refuse_incomplete(params)
    new = {"allow_create_bucket": False, "expiration": NEVER}
    after = dict(new, **wanted)
    result = outcome(module, "key", what, {}, after)
    identifier, secret = PLACEHOLDER, PLACEHOLDER
    if params["secret_access_key"]:
        identifier = params["access_key_id"]
        if not module.check_mode:
            _import(admin, params, write_key(dict(new, name=params["name"]), after))
    elif not module.check_mode:
        created = admin.post("CreateKey", write_key(new, after))
        identifier, secret = created["accessKeyId"], created["secretAccessKey"]
    # Outside of the diff, where the id of a key that the server names cannot be foretold.
    result["key"] = dict(after, access_key_id=identifier)
    if params["return_secret"] and not params["secret_access_key"]:
        result["secret_access_key"] = secret
    return result


def _refuse_other_secret(info: dict[str, Any], secret: str | None) -> None:
    # The secret is a credential: compared in constant time and kept out of the message.
    if secret is not None and not hmac.compare_digest(secret.encode(), info["secretAccessKey"].encode()):
        raise GarageError(
            f"key {info['accessKeyId']} exists with another secret than secret_access_key, and Garage cannot change "
            "it: give the secret that it has, or import the new one under another access_key_id and delete this key"
        )


def _refuse_incomplete(params: dict[str, Any]) -> None:
    if params["name"] is None:
        raise GarageError(f"key {params['access_key_id']} does not exist: set name to create it")
    if params["access_key_id"] is not None and params["secret_access_key"] is None:
        raise GarageError(
            f"key {params['access_key_id']} does not exist: set secret_access_key to import it, "
            "or leave access_key_id out to let Garage generate both"
        )


def _import(admin: Admin, params: dict[str, Any], rest: dict[str, Any]) -> None:
    identifier = params["access_key_id"]
    body = {"accessKeyId": identifier, "secretAccessKey": params["secret_access_key"], "name": params["name"]}
    try:
        admin.post("ImportKey", body)
    except ApiError as error:
        if error.code == "KeyAlreadyExists":
            raise GarageError(
                f"key {identifier} was deleted, and Garage never takes the id of a deleted key again: choose another "
                "access_key_id"
            ) from error
        raise GarageError(
            f"Garage does not take {identifier} and its secret: {error}. An id is GK and 24 hexadecimal digits, "
            "a secret 64 hexadecimal digits"
        ) from error
    if rest:
        admin.post("UpdateKey", rest, id=identifier)
