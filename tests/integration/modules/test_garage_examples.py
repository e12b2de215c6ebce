# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The EXAMPLES of the Garage modules, run as they stand but for addresses, paths, secrets and ids of nodes."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from garage_server import Node
from module_runner import ROOT, Runner

SECRET = "e4a3" * 16


def examples(module: str, substitutes: dict[str, str]) -> list[dict[str, Any]]:
    tree = ast.parse((ROOT / "plugins" / "modules" / f"{module}.py").read_text())
    (text,) = (
        node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and ast.unparse(node.targets[0]) == "EXAMPLES"
        and isinstance(node.value, ast.Constant)
    )
    assert isinstance(text, str)
    for old, new in substitutes.items():
        text = text.replace(old, new)
    assert "{{" not in text
    return [dict(task[f"homelab.ai.{module}"], no_log=task.get("no_log", False)) for task in yaml.safe_load(text)]


def test_examples(runner: Runner, garage: Node, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(garage.token)
    substitutes = {
        "/etc/homelab/secrets/garage-admin": str(token),
        "http://127.0.0.1:3900": garage.s3_url,
        "\"{{ garage_secrets.secrets['garage-extract'] }}\"": SECRET,
        '"{{ media_secret }}"': SECRET,
        "\"{{ ansible_facts['hostname'] }}\"": garage.call("GetClusterStatus")["nodes"][0]["hostname"],
        "563e1ac825ee3323": garage.id[:16],
    }

    def run(module: str) -> list[dict[str, Any]]:
        results = []
        for task in examples(module, substitutes):
            no_log = task.pop("no_log")
            results += replace(runner, module=module, defaults={"admin_url": garage.admin_url}, no_log=no_log)(
                task
            ).tasks
        assert not [result for result in results if result.get("failed")], results
        return results

    keys = run("garage_key")
    assert [result["changed"] for result in keys] == [True, True, True, True]
    assert [one["name"] for one in garage.call("ListKeys") if one["name"] in ("extract", "extract-old")] == []

    # The buckets' examples speak of that key again, and Garage takes no id twice.
    identifier = "GK3515373e4c851ebaad366559"
    substitutes["GK3515373e4c851ebaad366558"] = identifier
    garage.call("ImportKey", {"accessKeyId": identifier, "secretAccessKey": SECRET, "name": "extract"})
    garage.call("CreateKey", {"name": "query"})
    assert [result["changed"] for result in run("garage_bucket")] == [True, True, False]
    assert garage.bucket("raw-documents")["lifecycleRules"][0]["Expiration"] == {"Days": 90}
    assert garage.bucket("app-media")["corsRules"][0]["AllowedOrigin"] == ["https://app.example.org"]

    assert [result["changed"] for result in run("garage_layout")] == [True, True]
    layout = garage.call("GetClusterLayout")
    assert layout["roles"][0]["capacity"] == 140 * 10**9
    assert layout["stagedRoleChanges"][0]["capacity"] is None
    garage.call("RevertClusterLayout", {})
