# SPDX-License-Identifier: GPL-3.0-or-later
"""homelab_tuning: the schema holds what roles read, no more and no less, and what the filter computes obeys it."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no types

from tests.unit.roles import source

SCHEMA = json.loads((source.ROOT / "plugins" / "plugin_utils" / "data" / "homelab_tuning.schema.json").read_text())
COMPUTED = source.TUNING
VALIDATOR = Draft202012Validator(SCHEMA)


def faults(tuning: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(tuning)]


def changed(*path: str, to: Any) -> Any:
    """What is computed, with one value put in another's place."""
    tuning = copy.deepcopy(COMPUTED)
    place = tuning
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = to
    return tuning


def paths_read() -> set[tuple[str, ...]]:
    """Every path below homelab_tuning that a task, a template or a variable of a role names."""
    found: set[tuple[str, ...]] = set()
    for role in source.ROLES:
        texts = [path.read_text(encoding="utf-8") for path in source.templates(role)]
        for path in source.task_files(role):
            texts += source.expressions(source.load(path))
        texts += source.expressions(source.role_vars(role))
        for text in texts:
            found |= source.attribute_paths(text, "homelab_tuning")
    return found


def settings_read() -> set[tuple[str, str]]:
    return {(path[1], path[3]) for path in paths_read() if path[0] == "components" and path[2] == "settings"}


def settings_specified() -> set[tuple[str, str]]:
    return {
        (component, setting)
        for component, spec in SCHEMA["properties"]["components"]["properties"].items()
        for setting in spec["properties"]["settings"]["properties"]
    }


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_what_is_computed_obeys_the_schema() -> None:
    assert faults(COMPUTED) == []


def test_roles_name_settings_in_full() -> None:
    """A path that ends early would hide its keys from the comparison below."""
    for path in paths_read():
        if path[0] == "components":
            assert path[2:] in {("storage_gib",), ("replicas",)} or (len(path) == 4 and path[2] == "settings"), path


def test_every_setting_that_is_read_is_specified_and_every_specified_one_is_read() -> None:
    assert settings_read() == settings_specified()


def test_the_streams_are_those_that_the_role_creates() -> None:
    created = {stream["name"] for stream in source.role_vars("nats")["__nats_streams"]}
    assert created == set(SCHEMA["properties"]["streams"]["properties"]) == set(COMPUTED["streams"])


def test_the_streams_fit_the_file_store() -> None:
    store = COMPUTED["components"]["nats"]["settings"]["max_file_store_mib"]
    assert sum(COMPUTED["streams"].values()) <= store * 1024 * 1024


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("components", "embed", "settings", "bacth"), 8, "bacth"),
        (("components", "embed", "settings", "batch"), "8", "batch"),
        (("components", "embed", "settings", "batch"), 0, "batch"),
        (("components", "embed", "settings"), {"batch": 8}, "spans"),
        (("components", "embed", "setings"), {}, "setings"),
        (("components", "embbed"), {"settings": {"batch": 8}}, "batch"),
        (("components", "embedder", "settings", "quantisation"), "q4", "quantisation"),
        (("streams", "EXTRA"), 1 << 20, "EXTRA"),
        (("schema",), 2, "schema"),
    ],
)
def test_a_wrong_instance_is_refused_by_name(path: tuple[str, ...], value: Any, named: str) -> None:
    found = faults(changed(*path, to=value))
    assert found and any(named in fault for fault in found)


def test_resources_beside_the_settings_are_allowed() -> None:
    sized = {"request": {"memory_mib": 512, "cpu_m": 100}, "limit": {"memory_mib": 1024, "cpu_m": 1000}}
    component = COMPUTED["components"]["embed"] | sized | {"replicas": {"min": 1, "max": 2}, "storage_gib": 1.5}
    assert faults(changed("components", "embed", to=component)) == []
    assert faults(changed("components", "garage", to=sized)) == []
