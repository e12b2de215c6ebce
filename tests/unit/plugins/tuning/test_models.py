# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Models of an inventory's own count with what they need."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.ai.plugins.filter.llama_plan import llama_plan
from ansible_collections.homelab.ai.plugins.filter.tuning_profile import tuning_profile

from tests.unit.plugins.tuning import gguf_files

FACTS = {"memory_mib": 15900, "cores": 8, "has_avx2": True, "storage": {"total_gib": 512}}


def large(path: Path) -> Path:
    """A header with the shapes of Llama-3.2-1B at 8 bits, 1.2 GiB of weights."""
    tensors: gguf_files.Tensors = [("token_embd.weight", (2048, 128256), gguf_files.Q8_0)]
    for layer in range(16):
        block = f"blk.{layer}"
        tensors += [(f"{block}.ffn_{name}.weight", (2048, 8192), gguf_files.Q8_0) for name in ("down", "gate", "up")]
        tensors += [(f"{block}.attn_{name}.weight", (2048, 512), gguf_files.Q8_0) for name in ("k", "v")]
        tensors += [(f"{block}.attn_{name}.weight", (2048, 2048), gguf_files.Q8_0) for name in ("q", "output")]
    return gguf_files.write(
        path,
        {
            "general.architecture": "llama",
            "general.file_type": 7,
            "llama.block_count": 16,
            "llama.context_length": 131072,
            "llama.embedding_length": 2048,
            "llama.feed_forward_length": 8192,
            "llama.attention.head_count": 32,
            "llama.attention.head_count_kv": 8,
            "llama.vocab_size": 128256,
        },
        tensors,
    )


def limit(tuned: dict[str, Any], component: str) -> int:
    found: int = tuned["components"][component]["limit"]["memory_mib"]
    return found


def test_the_bundled_models_change_nothing() -> None:
    models = {"chat": "bundled", "embedder": "bundled"}
    assert tuning_profile(FACTS, "core", {}, models) == tuning_profile(FACTS)


def test_a_model_of_ones_own_gets_what_llama_plan_says_of_its_file(tmp_path: Path) -> None:
    path = str(large(tmp_path / "chat.gguf"))
    tuned = tuning_profile(FACTS, "core", {}, {"chat": {"gguf": path}})
    planned = llama_plan({"path": path}, 1 << 20, context=2048, slots=2)
    assert planned["weights_mib"] > 1200
    assert limit(tuned, "chat") == ceil(planned["total_mib"] * 1.15)
    assert limit(tuned, "embedder") == limit(tuning_profile(FACTS), "embedder")
    wider = tuning_profile(FACTS, "core", {"settings": {"chat": {"context": 8192}}}, {"chat": {"gguf": path}})
    assert limit(wider, "chat") > limit(tuned, "chat")
    assert not any("llama_plan" in warning for warning in wider["warnings"] + tuned["warnings"])


def test_an_embedding_model_shares_its_context_among_its_slots_and_keeps_no_prompts(tmp_path: Path) -> None:
    path = str(gguf_files.minilm(tmp_path / "embed.gguf"))
    tuned = tuning_profile(FACTS, "core", {}, {"embedder": {"gguf": path, "name": "m", "tokenizer": "t"}})
    planned = llama_plan({"path": path}, 1 << 20, context=512, slots=4, host_cache_mib=0)
    assert limit(tuned, "embedder") == ceil(planned["total_mib"] * 1.15)


def test_settings_of_the_bundled_model_move_its_floor_and_never_below_the_measured_one() -> None:
    bundled = {"chat": "bundled"}
    more = tuning_profile(FACTS, "core", {"settings": {"chat": {"context": 8192}}}, bundled)
    model = {"name": "SmolLM2-135M-Instruct", "quantisation": "Q4_1"}
    assert limit(more, "chat") == ceil(llama_plan(model, 1 << 20, context=8192, slots=2)["total_mib"] * 1.15)
    assert not any("llama_plan" in warning for warning in more["warnings"])
    less = tuning_profile(FACTS, "core", {"settings": {"chat": {"context": 512}}}, bundled)
    assert limit(less, "chat") == limit(tuning_profile(FACTS), "chat")


def test_a_model_elsewhere_takes_nothing_here() -> None:
    server = {"base_url": "http://192.168.1.20:8080/v1", "model": "m", "api_key_file": "/k"}
    tuned = tuning_profile(FACTS, "core", {}, {"chat": server})
    assert tuned["components"]["chat"]["replicas"]["max"] == 0 and "limit" not in tuned["components"]["chat"]
    assert "chat takes nothing here (overrides.without)" in tuned["warnings"]


@pytest.mark.parametrize("options", [{"gguf": "/no/such.gguf"}, {"url": "https://example.org/m.gguf", "sha256": "0"}])
def test_a_model_that_cannot_be_read_counts_as_the_bundled_one_with_a_warning(options: dict[str, str]) -> None:
    tuned = tuning_profile(FACTS, "core", {}, {"chat": options})
    assert limit(tuned, "chat") == limit(tuning_profile(FACTS), "chat")
    (warning,) = (line for line in tuned["warnings"] if "not on the controller" in line)
    assert "overrides.floor_mib.chat" in warning
    said = tuning_profile(FACTS, "core", {"floor_mib": {"chat": 3000}}, {"chat": options})
    assert limit(said, "chat") == 3000 and not any("not on the controller" in line for line in said["warnings"])


def test_a_file_that_only_llama_cpp_understands_stops_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGML")
    tuned = tuning_profile(FACTS, "core", {}, {"chat": {"gguf": str(broken)}})
    assert limit(tuned, "chat") == limit(tuning_profile(FACTS), "chat")
    assert any("broken.gguf" in line and "overrides.floor_mib.chat" in line for line in tuned["warnings"])


def test_what_an_inventory_says_of_a_component_goes_before_its_file(tmp_path: Path) -> None:
    models = {"chat": {"gguf": str(large(tmp_path / "chat.gguf"))}}
    assert limit(tuning_profile(FACTS, "core", {"floor_mib": {"chat": 700}}, models), "chat") == 700
    without = tuning_profile(FACTS, "core", {"without": ["chat"]}, models)
    assert "limit" not in without["components"]["chat"]


def test_a_model_larger_than_the_machine_is_refused_by_its_name(tmp_path: Path) -> None:
    path = str(large(tmp_path / "chat.gguf"))
    facts = FACTS | {"memory_mib": 1200}
    with pytest.raises(AnsibleFilterError, match=r"models\.chat: .*1200"):
        tuning_profile(facts, "core", {}, {"chat": {"gguf": path}})


@pytest.mark.parametrize(
    ("models", "says"),
    [
        (["chat"], "models: ['chat'] is no dictionary"),
        ({"reranker": "bundled"}, "models: 'reranker' is unknown, allowed are embedder, chat"),
        ({"chat": "other"}, "models.chat: 'other' is no dictionary"),
        ({"chat": {"gguf": 5}}, "models.chat.gguf: 5 is no path"),
    ],
)
def test_models_of_another_shape_are_refused(models: Any, says: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        tuning_profile(FACTS, "core", {}, models)
    assert says in str(caught.value)
