# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts the LiteLLM proxy with its secrets read from files: they reach neither argv nor a configuration file."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--secret", action="append", default=[], metavar="NAME=FILE", help="environment from a file")
    options = parser.parse_args()
    for secret in options.secret:
        name, _unused, file = secret.partition("=")
        os.environ[name] = Path(file).read_text(encoding="utf-8").strip()
    # The proxy refuses a master key without this beginning; nobody uses it.
    os.environ["LITELLM_MASTER_KEY"] = "sk-" + os.environ["LITELLM_MASTER_KEY"]
    os.environ.update(LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_MODE="PRODUCTION", LITELLM_TELEMETRY="False")
    # custom_auth is imported by its name from beside the configuration.
    os.chdir(options.config.parent)
    sys.path.insert(0, str(options.config.parent))
    from litellm import run_server

    address = ["--host", options.host, "--port", str(options.port)]
    run_server(["--config", str(options.config), *address, "--telemetry", "False", "--num_workers", "1"])


if __name__ == "__main__":
    main()
