# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Buckets: how one is brought to its options."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.ai.plugins.module_utils._garage import (
    NO_SUCH_BUCKET,
    Admin,
    ApiError,
    parse_size,
)
from ansible_collections.homelab.ai.plugins.module_utils._garage_http import GarageError
from ansible_collections.homelab.ai.plugins.module_utils._garage_key import find_key_ids, refuse_shared_name
from ansible_collections.homelab.ai.plugins.module_utils._garage_rules import (
    KINDS,
    RULES_ARGUMENTS,
    Kind,
    read_rules,
    wanted_rules,
    write_rules,
)
from ansible_collections.homelab.ai.plugins.module_utils._garage_s3 import S3, S3_ARGUMENTS, S3DeniedError
from ansible_collections.homelab.ai.plugins.module_utils._outcome import outcome

State = dict[str, Any]

UNLIMITED = -1
PERMISSIONS = ("read", "write", "owner")
RULES_IN_ADMIN_API = (2, 3)  # older servers ignore the fields without a word

BUCKET_ARGUMENTS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "aliases": {"type": "list", "elements": "str"},
    "max_size": {"type": "str"},
    "max_objects": {"type": "int"},
    "website": {"type": "bool"},
    "website_index": {"type": "str", "default": "index.html"},
    **RULES_ARGUMENTS,
    "keys": {
        "type": "list",
        "elements": "dict",
        "no_log": False,
        "options": {
            "key": {"type": "str", "required": True, "no_log": False},
            **{permission: {"type": "bool", "default": False} for permission in PERMISSIONS},
        },
    },
    "purge_keys": {"type": "bool", "default": False, "no_log": False},
    "force": {"type": "bool", "default": False},
    **S3_ARGUMENTS,
}


def read_bucket(info: dict[str, Any]) -> State:
    """What the admin API tells of a bucket, by option name. Rules are in it from Garage 2.3 on."""
    quotas = info["quotas"]
    state: State = {
        "aliases": sorted(info["globalAliases"]),
        "max_size": UNLIMITED if quotas["maxSize"] is None else quotas["maxSize"],
        "max_objects": UNLIMITED if quotas["maxObjects"] is None else quotas["maxObjects"],
        "website": info["websiteAccess"],
        "permissions": _sorted_keys(
            [
                {"access_key_id": one["accessKeyId"], "name": one["name"], **one["permissions"]}
                for one in info["keys"]
                if any(one["permissions"].values())
            ]
        ),
    }
    for kind in KINDS:
        state[kind.option] = read_rules(kind, info.get(kind.admin_field) or [])
    return state


def new_bucket(name: str) -> State:
    empty = {"id": "", "globalAliases": [name], "websiteAccess": False, "keys": []}
    return read_bucket(dict(empty, quotas={"maxSize": None, "maxObjects": None}))


def _sorted_keys(keys: list[State]) -> list[State]:
    return sorted(keys, key=lambda one: (one["name"], one["access_key_id"]))


def wanted_bucket(params: dict[str, Any]) -> State:
    """What the task asks for, without keys, by option name; options that are not set are left out."""
    wanted: State = {}
    if params["aliases"] is not None:
        wanted["aliases"] = sorted({params["name"], *params["aliases"]})
    if params["max_size"] is not None:
        try:
            unlimited = params["max_size"].strip() == str(UNLIMITED)
            wanted["max_size"] = UNLIMITED if unlimited else parse_size(params["max_size"])
        except ValueError as error:
            raise GarageError(f"max_size: {error}, or -1 for no limit") from error
    if params["max_objects"] is not None:
        if params["max_objects"] < UNLIMITED:
            raise GarageError(f"max_objects is {params['max_objects']} and must be at least 0, or -1 for no limit")
        wanted["max_objects"] = params["max_objects"]
    if params["website"] is not None:
        wanted["website"] = params["website"]
    for kind in KINDS:
        if params[kind.option] is not None:
            wanted[kind.option] = wanted_rules(kind, params[kind.option])
    return wanted


def wanted_keys(before: list[State], entries: list[State], purge: bool) -> list[State]:
    """The bucket's keys when `entries` (with id and name) are laid over those that it has."""
    listed = {(one["access_key_id"], one["name"]): one for one in entries}
    if len(listed) < len(entries):
        raise GarageError("keys names one key more than once: put its permissions into one entry")
    kept = [] if purge else [one for one in before if (one["access_key_id"], one["name"]) not in listed]
    return _sorted_keys(kept + [one for one in entries if any(one[permission] for permission in PERMISSIONS)])


def permission_changes(before: list[State], after: list[State]) -> list[tuple[str, str, dict[str, bool]]]:
    """`(endpoint, key id, permissions)` that lead from `before` to `after`: what is given, then what is taken."""
    none = dict.fromkeys(PERMISSIONS, False)
    old = {one["access_key_id"]: one for one in before}
    new = {one["access_key_id"]: one for one in after}
    changes = []
    for endpoint, have, want in (("AllowBucketKey", old, new), ("DenyBucketKey", new, old)):
        for identifier, permissions in want.items():
            held = have.get(identifier, none)
            difference = {name: True for name in PERMISSIONS if permissions[name] and not held[name]}
            if difference:
                changes.append((endpoint, identifier, difference))
    return changes


def ensure_bucket(admin: Admin, module: AnsibleModule) -> dict[str, Any]:
    """Create, update or delete the bucket that the task names; returns the module's result."""
    params = module.params
    name = params["name"]
    wanted = wanted_bucket(params)
    info = admin.find("GetBucketInfo", NO_SUCH_BUCKET, globalAlias=name)
    if params["state"] == "absent":
        return _absent(admin, module, info)
    entries = _find_keys(admin, params["keys"] or [], module.check_mode)
    _refuse_foreign_aliases(admin, info, wanted.get("aliases", []))
    change = _Change(admin, module)
    change.refuse_old_server()
    before = change.read(info, entries) if info else {}
    after = dict(before or new_bucket(name), **wanted)
    if params["keys"] is not None:
        after["permissions"] = wanted_keys(after["permissions"], entries, params["purge_keys"])
    if before != after and not module.check_mode:
        change.apply(info, before, after)
    return outcome(module, "bucket", f"bucket {name}", before, after)


class _Change:
    """One bucket on its way to the wanted state."""

    def __init__(self, admin: Admin, module: AnsibleModule) -> None:
        self._admin = admin
        self._params = module.params
        self._name: str = module.params["name"]
        self._kinds = [kind for kind in KINDS if module.params[kind.option] is not None]
        self._s3 = S3(admin.http, module.params, self._name) if module.params["s3_url"] else None

    def read(self, info: dict[str, Any], entries: list[State]) -> State:
        state = read_bucket(info)
        if self._s3 is None:
            return state
        for kind in self._kinds:
            try:
                state[kind.option] = read_rules(kind, self._s3.read_rules(kind))
            except S3DeniedError:
                # Only this run makes the key an owner: what the admin API tells has to do.
                key = self._params["s3_access_key_id"]
                if not any(one["owner"] and one["access_key_id"] == key for one in entries):
                    raise
        return state

    def refuse_old_server(self) -> None:
        """Raise GarageError when the admin API would ignore the rules. Before Garage 2.3 it does so without a word."""
        if not self._kinds or self._s3:
            return
        version = self._admin.version()
        if version and version < RULES_IN_ADMIN_API:
            raise GarageError(
                f"the cluster runs Garage {'.'.join(map(str, version))}, whose admin API has no "
                f"{self._kinds[0].option} rules: upgrade all nodes to 2.3, or set s3_url, s3_access_key_id and "
                "s3_secret_access_key of a key that owns the bucket"
            )

    def apply(self, info: dict[str, Any] | None, before: State, after: State) -> None:
        if info is None:
            info = self._admin.post("CreateBucket", {"globalAlias": self._name})
            before = new_bucket(self._name)
        bucket = info["id"]
        for alias in [one for one in after["aliases"] if one not in before["aliases"]]:
            self._admin.post("AddBucketAlias", {"bucketId": bucket, "globalAlias": alias})
        for alias in [one for one in before["aliases"] if one not in after["aliases"]]:
            self._admin.post("RemoveBucketAlias", {"bucketId": bucket, "globalAlias": alias})
        body = self._settings(before, after)
        if body:
            self._admin.post("UpdateBucket", body, id=bucket)
        changes = permission_changes(before["permissions"], after["permissions"])
        # Between what is given and what is taken, so that an owner who comes and one who goes can both set the rules.
        self._permissions(bucket, [one for one in changes if one[0] == "AllowBucketKey"])
        if self._s3 is not None:
            for kind in self._changed_rules(before, after):
                self._s3.write_rules(kind, write_rules(kind, after[kind.option]))
        self._permissions(bucket, [one for one in changes if one[0] == "DenyBucketKey"])

    def _settings(self, before: State, after: State) -> dict[str, Any]:
        body: dict[str, Any] = {}
        if any(before[name] != after[name] for name in ("max_size", "max_objects")):
            limits = {"maxSize": after["max_size"], "maxObjects": after["max_objects"]}
            body["quotas"] = {name: None if value == UNLIMITED else value for name, value in limits.items()}
        if before["website"] != after["website"]:
            index = {"indexDocument": self._params["website_index"]} if after["website"] else {}
            body["websiteAccess"] = dict(index, enabled=after["website"])
        if self._s3 is None:
            for kind in self._changed_rules(before, after):
                body[kind.admin_field] = write_rules(kind, after[kind.option])
        return body

    def _changed_rules(self, before: State, after: State) -> list[Kind]:
        return [kind for kind in self._kinds if before[kind.option] != after[kind.option]]

    def _permissions(self, bucket: str, changes: list[tuple[str, str, dict[str, bool]]]) -> None:
        for endpoint, identifier, permissions in changes:
            body = {"bucketId": bucket, "accessKeyId": identifier, "permissions": permissions}
            self._admin.post(endpoint, body)


def _find_keys(admin: Admin, entries: list[State], check_mode: bool) -> list[State]:
    """The task's entries with id and name of each key. In check mode a key may be one that a task before announced."""
    keys = (admin.get("ListKeys") or []) if entries else []
    names = {one["id"]: one["name"] for one in keys}
    result = []
    for entry in entries:
        ids = find_key_ids(keys, entry["key"])
        refuse_shared_name(entry["key"], ids, "Name the one that is meant by its id in keys")
        if not ids and not check_mode:
            raise GarageError(
                f"there is no key with the id or name {entry['key']!r}: create it first, with homelab.ai.garage_key"
            )
        identifier = ids[0] if ids else entry["key"]
        permissions = {permission: entry[permission] for permission in PERMISSIONS}
        result.append({"access_key_id": identifier, "name": names.get(identifier, entry["key"]), **permissions})
    return result


def _refuse_foreign_aliases(admin: Admin, info: dict[str, Any] | None, aliases: list[str]) -> None:
    own = info["globalAliases"] if info else []
    for alias in aliases:
        if alias in own:
            continue
        other = admin.find("GetBucketInfo", NO_SUCH_BUCKET, globalAlias=alias)
        if other:
            raise GarageError(
                f"alias {alias} belongs to another bucket ({', '.join(sorted(other['globalAliases']))}): "
                "remove it there first, or choose another alias"
            )


def _absent(admin: Admin, module: AnsibleModule, info: dict[str, Any] | None) -> dict[str, Any]:
    what = f"bucket {module.params['name']}"
    if info is None:
        return outcome(module, "bucket", what, {}, {})
    can_empty = module.params["force"] and module.params["s3_url"]
    not_empty = GarageError(
        f"{what} is not empty ({info['objects']} objects are counted) and would lose its content: set force: true to "
        "delete its objects with it, through the S3 API (s3_url, s3_access_key_id and s3_secret_access_key of a key "
        "that may read and write it)"
    )
    if info["objects"] and not can_empty:
        raise not_empty
    # The server has the last word: the count runs behind.
    if not module.check_mode and not _delete(admin, info):
        if not can_empty:
            raise not_empty
        S3(admin.http, module.params, module.params["name"]).delete_objects()
        if not _delete(admin, info):
            raise GarageError(f"{what} has no objects and yet is not empty: delete its K2V items first")
    return outcome(module, "bucket", what, read_bucket(info), {})


def _delete(admin: Admin, info: dict[str, Any]) -> bool:
    """Whether the bucket is gone; False when it is not empty."""
    try:
        admin.post("DeleteBucket", id=info["id"])
    except ApiError as error:
        if error.code != "BucketNotEmpty":
            raise
        return False
    return True
