# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the EXAMPLES of a module as they are documented, with the addresses and logins of a test's server."""

from __future__ import annotations

import ast
from typing import Any

import yaml
from module_runner import ROOT, Runner


def examples(module: str) -> list[dict[str, Any]]:
    """The tasks in the documentation of `homelab.ai.<module>`."""
    source = (ROOT / "plugins" / "modules" / f"{module}.py").read_text()
    (text,) = (
        ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "EXAMPLES"
    )
    tasks: list[dict[str, Any]] = yaml.load(text, Loader=_AsWritten)
    return tasks


class _AsWritten(yaml.SafeLoader):
    """Leaves times as text, as they go into the playbook by JSON."""


_AsWritten.add_constructor("tag:yaml.org,2002:timestamp", _AsWritten.construct_yaml_str)


def run_examples(
    runner: Runner, module: str, overrides: dict[str, Any], others: dict[str, dict[str, Any]] | None = None
) -> dict[str, dict[str, Any]]:
    """Each example in check mode, for real, and for real again; returns the first real results by task name.

    `overrides` replaces options of the module's own tasks; None takes one out. Other tasks run once; `others` replaces
    options of those by their module's full name. What an example registers, later ones may use.
    """
    key = f"homelab.ai.{module}"
    body: list[dict[str, Any]] = []
    names: dict[str, str] = {}  # of the example, and of what its real run registers
    for number, example in enumerate(examples(module)):
        if key not in example:
            replaced = {name: {**example[name], **more} for name, more in (others or {}).items() if name in example}
            body.append({**example, **replaced})
            continue
        options = {name: value for name, value in {**example[key], **overrides}.items() if value is not None}
        task = {"register": f"example_{number}", **example, key: options}
        names[example["name"]] = task["register"]
        body += [
            {**task, "check_mode": True, "register": f"check_{task['register']}"},
            task,
            {**task, "register": f"again_{task['register']}"},
        ]
    assert names, f"{module} has no example of its own"
    registered = [task["register"] for task in body if "register" in task]
    results = dict(zip(registered, runner.run(body).tasks, strict=True))
    for name, real in names.items():
        changed = [results[one]["changed"] for one in (f"check_{real}", real, f"again_{real}")]
        assert changed == [changed[1], changed[1], False], (name, changed)
    return {name: results[real] for name, real in names.items()}
