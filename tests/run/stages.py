# SPDX-License-Identifier: GPL-3.0-or-later
"""All stages, in the order in which they start. Two run at a time, most of each on one core.

What fails soonest comes first, then the longest stage, so that nothing is left to run alone at the end.
"""

from __future__ import annotations

from tests.run import artefact, gates
from tests.run.stage import Stage, pytest, tool

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
    pytest("integration", "tests/integration/local"),
    Stage("gates", "docs-lint", gates.docs_lint),
    Stage("gates", "docs-site", gates.docs_site),
    Stage("gates", "sanity", gates.oldest("sanity")),
    Stage("gates", "sanity-newest", gates.newest("sanity")),
    Stage("gates", "ansible-units", gates.oldest("units", "--python", "3.11", *gates.UNITS)),
    Stage("gates", "ansible-units-newest", gates.newest("units", *gates.UNITS)),
    Stage("gates", "galaxy-importer", gates.importer),
    pytest("unit", "tests/unit/repository"),
    pytest("unit", "tests/unit/workers"),
    pytest("unit", "tests/unit/plugins"),
    pytest("unit", "tests/unit/roles"),
    pytest("unit", "tests/corpus"),
    # Apart from each other, because each has a conftest.py whose names its tests import.
    pytest("integration", "tests/integration/modules"),
    Stage("artefact", "artefact", artefact.check),
    Stage("e2e", "tests/e2e", artefact.end_to_end),
    pytest(
        "integration",
        "tests/integration",
        "--ignore=tests/integration/modules",
        "--ignore=tests/integration/local",
    ),
]
