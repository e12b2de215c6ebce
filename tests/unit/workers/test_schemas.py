# SPDX-License-Identifier: GPL-3.0-or-later
"""The schemas in workers/schemas are what contracts.py says now."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema

from homelab_workers.schemas import schemas

FOLDER = Path(__file__).parents[3] / "workers" / "schemas"


def test_schemas_are_not_stale() -> None:
    stored = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert stored == schemas(), "run: python -m homelab_workers.schemas workers/schemas (in workers/)"


def test_a_schema_accepts_the_specifications_event_and_refuses_a_foreign_field_type() -> None:
    schema = json.loads((FOLDER / "doc.ingest.requested.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid({"source_uri": "s3://raw-documents/test.pdf"})
    assert not validator.is_valid({"source_uri": 7})
    assert not validator.is_valid({})
