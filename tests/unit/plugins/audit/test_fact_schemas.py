# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules find on every recorded machine follows the schemas that ship with the collection."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ansible_collections.homelab.ai.plugins.module_utils._cpu import read_cpu
from ansible_collections.homelab.ai.plugins.module_utils._gpu import read_gpu
from recorded_machines import NAMES, build

DATA = Path(__file__).resolve().parents[4] / "plugins" / "plugin_utils" / "data"
HEAD: dict[str, Any] = {"schema": 1, "version": "0.1.0", "reasons": []}


def validator(name: str) -> Any:
    schema = json.loads((DATA / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("name", NAMES)
def test_recorded_machines_follow_the_schemas(name: str, tmp_path: Path) -> None:
    host = build(name, tmp_path)
    for schema, found in (("cpu_capabilities", read_cpu(host)[0]), ("gpu_info", read_gpu(host)[0])):
        validator(schema).validate({**HEAD, **found})
        for key in found:
            if key in validator(schema).schema["required"]:
                less = {other: value for other, value in found.items() if other != key}
                assert not validator(schema).is_valid({**HEAD, **less}), f"{schema} does without {key}"
        assert not validator(schema).is_valid({**HEAD, **found, "taken_at": "now"})


def test_free_space_and_times_are_no_facts() -> None:
    properties = validator("homelab_fact").schema["properties"]
    assert set(properties["storage"]["properties"]) == {"path", "class", "filesystem", "total_gib"}
    assert not [name for name in properties if "free" in name or "time" in name or "date" in name]
