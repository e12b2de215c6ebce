# SPDX-License-Identifier: GPL-3.0-or-later
"""All stages, in the order in which they run."""

from __future__ import annotations

from tests.run import artefact, gates
from tests.run.stage import Stage, pytest, tool

# Most time goes into single processes: runs of a module, examples of a property. Each worker has its own servers.
BOTH_CORES = ("-n", "2", "--dist", "loadfile")

STAGES = [
    tool("ruff-check", "ruff", "check", "."),
    tool("ruff-format", "ruff", "format", "--check", "."),
    tool("mypy-workers", "mypy", "workers/homelab_workers"),
    tool(
        "mypy-plugins",
        "mypy",
        *("-p", "ansible_collections.homelab.ai.plugins.module_utils"),
        *("-p", "ansible_collections.homelab.ai.plugins.plugin_utils"),
        *("-p", "ansible_collections.homelab.ai.plugins.filter"),
    ),
    tool("yamllint", "yamllint", "--strict", "."),
    tool("changelog", "antsibull-changelog", "lint"),
    tool("ansible-lint", "ansible-lint"),
    tool("shellcheck", "shellcheck", "bootstrap", ".ci/run", "scripts/docs", "scripts/lock"),
    Stage("gates", "docs-lint", gates.docs_lint, light=True),
    Stage("gates", "docs-site", gates.docs_site, light=True),
    Stage("gates", "sanity", gates.oldest("sanity"), light=True),
    Stage("gates", "sanity-newest", gates.newest("sanity"), light=True),
    Stage("gates", "ansible-units", gates.oldest("units", "--python", "3.11", *gates.UNITS), light=True),
    Stage("gates", "ansible-units-newest", gates.newest("units", *gates.UNITS), light=True),
    Stage("gates", "galaxy-importer", gates.importer, light=True),
    pytest("unit", "tests/unit/repository"),
    pytest("unit", "tests/unit/workers", *BOTH_CORES),
    pytest("unit", "tests/unit/plugins", *BOTH_CORES),
    pytest("unit", "tests/unit/roles"),
    Stage("artefact", "artefact", artefact.check, light=True),
    # Apart, because each has a conftest.py whose names its tests import.
    pytest("integration", "tests/integration/modules", *BOTH_CORES),
    pytest(
        "integration",
        "tests/integration",
        "--ignore=tests/integration/modules",
        "--ignore=tests/integration/local",
        *BOTH_CORES,
    ),
    pytest("integration", "tests/integration/local"),
    Stage("e2e", "tests/e2e", artefact.end_to_end),
]
