# SPDX-License-Identifier: Apache-2.0
"""`python -m homelab_workers.schemas FOLDER`: the JSON Schema of every event, one file each, from contracts.py."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from .contracts import EVENTS


def schemas() -> dict[str, str]:
    """File name (`<subject>.schema.json`) -> content."""
    return {
        f"{event.subject}.schema.json": json.dumps(event.model_json_schema(), indent=2, sort_keys=True) + "\n"
        for event in EVENTS
    }


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in schemas().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main()
