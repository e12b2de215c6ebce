# SPDX-License-Identifier: GPL-3.0-or-later
"""`llama_plan` against llama.cpp itself: what the role's launcher allocates for the models that are here."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.ai.plugins.filter.llama_plan import llama_plan

sys.path.insert(0, str(Path(__file__).parent))  # the helpers beside this file are no package
from servers import Server, prepare, serving

LOUD = Path(__file__).with_name("loud_llama_server.py")
MIB = 1024 * 1024
PARTS = {"model": "weights_mib", "KV": "kv_mib", "compute": "compute_mib", "output": "compute_mib"}
LONG_TEXT = "word " * 500
SLOTS, BATCH = 2, 512


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return prepare(tmp_path_factory.mktemp("models"), "q8_0")


def told(folder: Path) -> dict[str, float]:
    """MiB that llama.cpp says it allocated, by part of the plan. It loads a model twice; the second stays."""
    log = (folder / "llama.log").read_text(encoding="utf-8", errors="replace")
    last = {name: float(size) for name, size in re.findall(r"(\w+) buffer size = +([\d.]+) MiB", log)}
    found = dict.fromkeys(PARTS.values(), 0.0)
    for name, size in last.items():
        found[PARTS[name]] += size
    return found


def logged(folder: Path, name: str) -> int:
    log = (folder / "llama.log").read_text(encoding="utf-8", errors="replace")
    return int(re.findall(rf"\b{name} += (\d+)", log)[-1])


def planned(model: str, context: int) -> dict[str, Any]:
    plan: dict[str, Any] = llama_plan({"path": model}, 4096, context=context, slots=SLOTS, batch=BATCH)
    return plan


def own_mib(server: Server) -> float:
    """Memory that only the process has."""
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii", errors="replace")
    return int(re.findall(r"RssAnon:\s+(\d+)", status)[0]) / 1024


@pytest.mark.parametrize("context", [2048, 1024])
def test_the_plan_of_the_chat_model_is_what_llama_cpp_allocates(
    tmp_path: Path, prepared: dict[str, str], context: int
) -> None:
    model = prepared["chat_gguf"]
    options = ("--ctx", str(context * SLOTS), "--parallel", str(SLOTS), "--batch", str(BATCH))
    with serving(tmp_path, Path(model), *options, launcher=LOUD):
        allocated = told(tmp_path)
    plan = planned(model, context)
    assert allocated["kv_mib"] > 0
    for part, mib in allocated.items():
        assert plan[part] == pytest.approx(mib, rel=0.05, abs=1), part  # the plan has whole MiB
    assert sum(plan[part] for part in allocated) == pytest.approx(sum(allocated.values()), rel=0.05)


def test_the_plan_of_the_embedder_counts_the_outputs_of_a_long_text(tmp_path: Path, prepared: dict[str, str]) -> None:
    model = prepared["embed_gguf"]
    options = ("--ctx", str(512 * SLOTS), "--parallel", str(SLOTS), "--batch", str(BATCH), "--embedding")
    with serving(tmp_path, Path(model), *options, launcher=LOUD) as server, server.client() as client:
        at_first = told(tmp_path)
        before = own_mib(server)
        client.post("/v1/embeddings", json={"model": "m", "input": [LONG_TEXT]}).raise_for_status()
        grown = own_mib(server) - before
    plan = planned(model, 512)
    outputs = 4 * logged(tmp_path, "n_outputs_max") * logged(tmp_path, "n_vocab") / MIB
    assert plan["kv_mib"] == at_first["kv_mib"] == 0
    allocated = sum(at_first.values()) - 4 * SLOTS * logged(tmp_path, "n_vocab") / MIB + outputs
    assert plan["weights_mib"] + plan["compute_mib"] == pytest.approx(allocated, rel=0.05)
    # The compute buffer too is touched only now.
    assert grown == pytest.approx(outputs + at_first["compute_mib"], rel=0.05)
