# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Imports what the services import, so that it is compiled once: the service user may not write to the runtime.

Compiling everything that is installed would take ten times as long.
"""

from __future__ import annotations

import importlib
import os
import sys

MODULES = (
    "homelab_workers.runtime.wiring",
    "homelab_workers.runtime.main",
    "homelab_workers.runtime.query",
    "homelab_workers.adapters.docling.child",
    "homelab_workers.adapters.docling.convert",
    "homelab_workers.cli",
    "litellm.proxy.proxy_server",
    "gguf",
    "supervisor.supervisord",
    "supervisor.supervisorctl",
)


def main() -> None:
    # Otherwise LiteLLM fetches a price list from the internet when it is imported.
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    # The role adds llama.cpp where a model runs: not every processor can load it.
    for name in (*MODULES, *sys.argv[1:]):
        importlib.import_module(name)


if __name__ == "__main__":
    main()
