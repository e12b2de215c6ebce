# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The schemas are sound, the documented samples follow them, and broken documents do not."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

PLUGINS = Path(__file__).resolve().parents[4] / "plugins"


def validator(name: str) -> Any:
    schema = json.loads((PLUGINS / "plugin_utils" / "data" / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def sample(module: str, key: str) -> Any:
    text = (PLUGINS / "modules" / f"{module}.py").read_text()
    returned = text.split('RETURN = r"""', 1)[1].split('"""', 1)[0]
    return yaml.safe_load(returned)[key]["sample"]


def storage() -> dict[str, Any]:
    found: dict[str, Any] = sample("storage_benchmark", "storage_performance")
    # The documentation shows one test of the four.
    found["tests"] = {
        name: found["tests"]["random_read"]
        for name in validator("storage_performance").schema["properties"]["tests"]["required"]
    }
    return found


def network() -> dict[str, Any]:
    found: dict[str, Any] = sample("network_profile", "network_profile")
    return found


@pytest.mark.parametrize(("name", "document"), [("storage_performance", storage()), ("network_profile", network())])
def test_samples(name: str, document: dict[str, Any]) -> None:
    validator(name).validate(document)
    for key in validator(name).schema["required"]:
        with pytest.raises(jsonschema.ValidationError):
            validator(name).validate({other: value for other, value in document.items() if other != key})
    with pytest.raises(jsonschema.ValidationError):
        validator(name).validate({**document, "time": "now"})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("device", "class"), "floppy"),
        (("device", "class"), "unknown"),  # without a reason
        (("read_iops",), -1),
        (("filesystem", "size_bytes"), 0),
        (("tests", "random_read", "iops"), 1.5),
        (("schema",), 2),
    ],
)
def test_broken_storage(path: tuple[str, ...], value: Any) -> None:
    document = copy.deepcopy(storage())
    owner = document
    for key in path[:-1]:
        owner = owner[key]
    owner[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        validator("storage_performance").validate(document)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("latency", {"method": "icmp", "sent": 3, "received": 3, "loss_percent": 0}),  # reachable, but no figures
        ("latency", {"method": "tcp", "sent": 0, "received": 0, "loss_percent": 100}),
        ("bandwidth", {"measured": False}),
        ("bandwidth", {"measured": True}),
        ("tailnet", {"path": "direct"}),
        ("tailnet", {"path": "none"}),
        ("tailnet", {"path": "scenic", "reason": "x"}),
        ("reachable", False),
    ],
)
def test_broken_network(part: str, value: Any) -> None:
    document = copy.deepcopy(network())
    document["peers"][0][part] = value
    with pytest.raises(jsonschema.ValidationError):
        validator("network_profile").validate(document)
