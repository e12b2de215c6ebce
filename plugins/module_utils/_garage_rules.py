# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Lifecycle and CORS rules of a bucket: as options, as the admin API's JSON and as S3's XML.

Garage's JSON has the names of S3's XML, so that one mapping serves both.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any, NamedTuple

from ansible_collections.homelab.ai.plugins.module_utils._garage_http import GarageError

Rule = dict[str, Any]

S3_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
CORS_METHODS = ["GET", "HEAD", "PUT", "POST", "DELETE"]

_NUMBERS = {"Days", "DaysAfterInitiation", "MaxAgeSeconds", "ObjectSizeGreaterThan", "ObjectSizeLessThan"}
_LISTS = {"AllowedOrigin", "AllowedMethod", "AllowedHeader", "ExposeHeader"}
_CORS_LISTS = {
    "allowed_origins": "AllowedOrigin",
    "allowed_methods": "AllowedMethod",
    "allowed_headers": "AllowedHeader",
    "expose_headers": "ExposeHeader",
}


class Kind(NamedTuple):
    """One of the two sets of rules. `option` is also S3's name for it in the query."""

    option: str
    admin_field: str
    root: str
    rule: str


LIFECYCLE = Kind("lifecycle", "lifecycleRules", "LifecycleConfiguration", "Rule")
CORS = Kind("cors", "corsRules", "CORSConfiguration", "CORSRule")
KINDS = (LIFECYCLE, CORS)

RULES_ARGUMENTS: dict[str, Any] = {
    "lifecycle": {
        "type": "list",
        "elements": "dict",
        "options": {
            "prefix": {"type": "str", "default": ""},
            "expiration_days": {"type": "int"},
            "abort_upload_days": {"type": "int"},
        },
    },
    "cors": {
        "type": "list",
        "elements": "dict",
        "options": {
            "allowed_origins": {"type": "list", "elements": "str", "required": True},
            "allowed_methods": {"type": "list", "elements": "str", "choices": CORS_METHODS, "required": True},
            "allowed_headers": {"type": "list", "elements": "str", "default": []},
            "expose_headers": {"type": "list", "elements": "str", "default": []},
            "max_age_seconds": {"type": "int"},
        },
    },
}


def wanted_rules(kind: Kind, rules: list[Rule]) -> list[Rule]:
    """The task's rules in the form that is compared. Raises GarageError for what Garage would accept silently."""
    result = []
    for number, rule in enumerate(rules):
        where = f"{kind.option}[{number}]"
        if kind is LIFECYCLE:
            days = [rule["expiration_days"], rule["abort_upload_days"]]
            if days == [None, None]:
                raise GarageError(f"{where} does nothing: set expiration_days, abort_upload_days or both")
            for value in days:
                if value is not None and value < 1:
                    raise GarageError(f"{where} has {value} days and must have at least 1")
        elif not rule["allowed_origins"] or not rule["allowed_methods"]:
            raise GarageError(f"{where} allows nothing: give at least one of allowed_origins and of allowed_methods")
        elif rule["max_age_seconds"] is not None and rule["max_age_seconds"] < 0:
            raise GarageError(f"{where} has max_age_seconds {rule['max_age_seconds']} and must have at least 0")
        result.append({name: sorted(value) if isinstance(value, list) else value for name, value in rule.items()})
    return _ordered(kind, result)


def read_rules(kind: Kind, wire: list[Rule]) -> list[Rule]:
    """The server's rules in the form that is compared."""
    read = _read_lifecycle if kind is LIFECYCLE else _read_cors
    return _ordered(kind, [read(rule) for rule in wire])


def write_rules(kind: Kind, rules: list[Rule]) -> list[Rule]:
    """`wanted_rules` as the server writes them."""
    return [_write_lifecycle(rule) if kind is LIFECYCLE else _write_cors(rule) for rule in rules]


def _ordered(kind: Kind, rules: list[Rule]) -> list[Rule]:
    # The first CORS rule that matches answers, so their order matters; that of lifecycle rules does not.
    return sorted(rules, key=str) if kind is LIFECYCLE else rules


def _read_lifecycle(rule: Rule) -> Rule:
    rest = {name: value for name, value in rule.items() if name != "ID"}  # a label without effect
    result: Rule = {"prefix": "", "expiration_days": None, "abort_upload_days": None}
    conditions = rest.get("Filter") or {}
    if set(conditions) <= {"Prefix"}:
        result["prefix"] = conditions.get("Prefix", "")
        rest.pop("Filter", None)
    if set(rest.get("Expiration", {})) == {"Days"}:
        result["expiration_days"] = rest.pop("Expiration")["Days"]
    if "AbortIncompleteMultipartUpload" in rest:
        result["abort_upload_days"] = rest.pop("AbortIncompleteMultipartUpload")["DaysAfterInitiation"]
    if rest.get("Status") == "Enabled":
        del rest["Status"]
    # What our options cannot say keeps the rule different from each that they can.
    return dict(result, other=rest) if rest else result


def _write_lifecycle(rule: Rule) -> Rule:
    result: Rule = {"Status": "Enabled"}
    if rule["prefix"]:
        result["Filter"] = {"Prefix": rule["prefix"]}
    if rule["expiration_days"] is not None:
        result["Expiration"] = {"Days": rule["expiration_days"]}
    if rule["abort_upload_days"] is not None:
        result["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": rule["abort_upload_days"]}
    return result


def _read_cors(rule: Rule) -> Rule:
    result: Rule = {option: sorted(rule.get(name, [])) for option, name in _CORS_LISTS.items()}
    result["max_age_seconds"] = rule.get("MaxAgeSeconds")
    return result


def _write_cors(rule: Rule) -> Rule:
    result: Rule = {name: rule[option] for option, name in _CORS_LISTS.items()}
    if rule["max_age_seconds"] is not None:
        result["MaxAgeSeconds"] = rule["max_age_seconds"]
    return result


def to_xml(kind: Kind, wire: list[Rule]) -> bytes:
    """The document of S3's PutBucketLifecycleConfiguration or PutBucketCors."""
    root = ET.Element(kind.root, xmlns=S3_NAMESPACE)
    for rule in wire:
        _append(root, kind.rule, rule)
    return b'<?xml version="1.0" encoding="UTF-8"?>' + ET.tostring(root, encoding="unicode").encode()


def _append(parent: ET.Element, name: str, value: Any) -> None:
    for one in value if isinstance(value, list) else [value]:
        element = ET.SubElement(parent, name)
        if isinstance(one, dict):
            for child, content in one.items():
                _append(element, child, content)
        else:
            element.text = str(one)


def from_xml(kind: Kind, document: bytes) -> list[Rule]:
    """The rules in such a document. Raises GarageError."""
    try:
        root = ET.fromstring(document)
        return [_content(element) for element in root if _name(element) == kind.rule]
    except (ET.ParseError, ValueError) as error:
        raise GarageError(f"the S3 API answered {kind.option} with a document that cannot be read: {error}") from error


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _content(element: ET.Element) -> Any:
    if not len(element):
        return int(element.text or "") if _name(element) in _NUMBERS else element.text or ""
    result: Rule = {}
    for child in element:
        if _name(child) in _LISTS:
            result.setdefault(_name(child), []).append(_content(child))
        else:
            result[_name(child)] = _content(child)
    return result
