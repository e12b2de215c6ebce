# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that the role wrote: all of them, each as its schema says. tests/host runs too, see molecule.yml."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

SCHEMAS = Path(__file__).resolve().parents[4] / "plugins" / "plugin_utils" / "data"
WRITTEN = {
    "homelab.fact": "homelab_fact",
    "cpu_capabilities.json": "cpu_capabilities",
    "gpu_info.json": "gpu_info",
}


def test_each_file_is_as_its_schema_says(host: Any) -> None:
    assert set(host.file("/etc/ansible/facts.d").listdir()) == set(WRITTEN)
    for name, schema in WRITTEN.items():
        content = json.loads(host.file(f"/etc/ansible/facts.d/{name}").content_string)
        rules = json.loads((SCHEMAS / f"{schema}.schema.json").read_text())
        jsonschema.Draft202012Validator(rules).validate(content)
