# SPDX-License-Identifier: GPL-3.0-or-later
"""Users can run the tests of their machines with pytest-testinfra alone."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.run.stage import ROOT


def test_tests_of_machines_need_no_plugin_but_testinfra() -> None:
    command = [sys.executable, "-m", "pytest", "-p", "testinfra.plugin", "-p", "no:cacheprovider", "--collect-only"]
    env = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [*command, "-q", "tests/host"], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
