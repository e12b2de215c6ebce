# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's launcher with a log level at which llama.cpp says what it allocates. Same arguments."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import xllamacpp

LAUNCHER = Path(__file__).resolve().parents[3] / "roles" / "local_stack" / "files" / "llama_server.py"
LEVEL = 4
quiet = xllamacpp.CommonParams


def loud() -> Any:
    params = quiet()
    params.verbosity = LEVEL
    return params


xllamacpp.CommonParams = loud
runpy.run_path(str(LAUNCHER), run_name="__main__")
