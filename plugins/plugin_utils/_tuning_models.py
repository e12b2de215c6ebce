# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""What the model servers need for the models that an inventory brings, said as overrides."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any

from ansible_collections.homelab.ai.plugins.plugin_utils._llama_model import LlamaError
from ansible_collections.homelab.ai.plugins.plugin_utils._llama_plan import Wish, find, plan
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_data import (
    TuningError,
    load,
    mapping,
    one_of,
    read_overrides,
)
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_facts import read_facts

# The models of the bundled stack, by component, as the table of llama_plan knows them.
BUNDLED = {
    "embedder": {"name": "all-MiniLM-L6-v2"},
    "chat": {"name": "SmolLM2-135M-Instruct", "quantisation": "Q4_1"},
}
SIZED_BY = {"context", "slots", "batch", "quantisation"}  # settings on which the memory of a model server depends
HOST_CACHE_MIB = {"embedder": 0, "chat": 256}
"""Prompts of ended conversations, roles/local_stack/files/llama_server.py. An encoder keeps none."""


def needed_mib(component: str, model: Mapping[str, str], settings: Mapping[str, Any], budget_mib: int = 1 << 30) -> int:
    """All parts of llama_plan, for a model with the settings of homelab_tuning. Raises LlamaError."""
    slots = settings["slots"]
    # The context of an embedding server is that of all its slots together.
    context = settings["context"] // slots if component == "embedder" else settings["context"]
    wish = Wish(budget_mib, context, slots, settings["batch"], "f16", HOST_CACHE_MIB[component])
    total: int = plan(dict(model), wish)["total_mib"]
    return total


def bundled(component: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """The model of the bundled stack; the role converts the embedding model to the quantisation of its settings."""
    model = BUNDLED[component]
    return model if "quantisation" in model else model | {"quantisation": settings["quantisation"].upper()}


def with_models(facts: Any, overrides: Any, models: Any) -> tuple[dict[str, Any], list[str]]:
    """The overrides with what each model needs, and warnings about models that cannot be read.

    `models` holds by component what the inventory says of its model (`local_stack_chat`, `local_stack_embed`). A server
    elsewhere takes nothing here. What the inventory says of a component goes before. Raises TuningError.
    """
    said, memory_mib = read_overrides(overrides), read_facts(facts).memory_mib
    floors, without, warnings = dict(said.floor_mib), list(said.without), []
    for component, options in mapping("models", models).items():
        one_of("models", component, BUNDLED)
        settings = {**load()["settings"][component], **said.settings.get(component, {})}
        if options != "bundled" and "base_url" in mapping(f"models.{component}", options):
            without.append(component)
        elif component in floors or component in without:
            continue
        elif options == "bundled":
            if said.settings.get(component, {}).keys() & SIZED_BY:
                least: int = load()["components"][component]["floor_mib"]
                floors[component] = max(least, _floor(component, bundled(component, settings), settings, memory_mib))
        elif reason := _unread(_path(component, options)):
            warnings.append(
                f"{component} counts as the bundled model, because {reason}: "
                f"set overrides.floor_mib.{component} by what its own takes (homelab.ai.llama_plan)"
            )
        else:
            floors[component] = _floor(component, {"path": options["gguf"]}, settings, memory_mib)
    return {**overrides, "floor_mib": floors, "without": without}, warnings


def _path(component: str, options: Mapping[str, Any]) -> str:
    path = options.get("gguf", "")
    if not isinstance(path, str):
        raise TuningError(f"models.{component}.gguf: {path!r} is no path")
    return path


def _unread(path: str) -> str:
    """Why the header of that file cannot be read on the controller, or nothing."""
    if not Path(path).is_file():
        return "the file of its own is not on the controller"
    try:
        find({"path": path})
    except LlamaError as error:
        return str(error)
    return ""


def _floor(component: str, model: Mapping[str, str], settings: Mapping[str, Any], memory_mib: int) -> int:
    try:
        needed = needed_mib(component, model, settings, memory_mib)
    except LlamaError as error:
        raise TuningError(f"models.{component}: {error}") from error
    percent: int = load()["rules"]["model_server_percent"]
    return ceil(needed * percent / 100)
