# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""What llama.cpp's server needs for a model: weights, KV cache, compute buffers, and what is left.

The KV cache and the weights are exact. The compute buffer is fitted to llama.cpp's own log lines (flash attention on):
each token of a batch has its activations, 2 feed-forward rows and 8 embedding rows with a gate, else 1 and 5, and an
attention mask of 16 bits for each cell. tests/unit/plugins/tuning/llama_logs.yml has the lines.

An output row has a number for each word of the vocabulary. A chat model has one row for each slot. An encoder, which
embeds, begins likewise but has a row for each token of a batch from its first long text on (n_outputs_max of the log
at most).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

from ansible_collections.homelab.ai.plugins.plugin_utils._gguf import GgufError, read_header
from ansible_collections.homelab.ai.plugins.plugin_utils._llama_model import (
    LlamaError,
    Model,
    from_header,
    known,
    table,
)
from ansible_collections.homelab.ai.plugins.plugin_utils._search import highest

MIB = 1024 * 1024
# Elements in a block and its bytes, as in ggml.
KV_TYPES = {
    "f32": (1, 4),
    "f16": (1, 2),
    "bf16": (1, 2),
    "q8_0": (32, 34),
    "q5_1": (32, 24),
    "q5_0": (32, 22),
    "q4_1": (32, 20),
    "q4_0": (32, 18),
    "iq4_nl": (32, 18),
}
CELLS = 256  # llama.cpp rounds the cells of a slot up to a multiple of this


@dataclass(frozen=True)
class Wish:
    """How the model is to be served. `context` is tokens of one slot."""

    budget_mib: int
    context: int
    slots: int
    batch: int
    kv_type: str
    host_cache_mib: int


def plan(model: Any, wish: Wish) -> dict[str, Any]:
    """The plan, or LlamaError with the arithmetic and the largest quantisation that fits."""
    found, quantisation = find(model)
    _check(found, wish)
    candidates = [quantisation] if quantisation else [name for name in found.sizes if name not in found.estimated]
    for name in candidates:
        sized = size(found, name, wish)
        if sized["left_mib"] >= 0:
            return sized
    raise LlamaError(_refusal(found, size(found, candidates[-1], wish), wish))


def find(model: Any) -> tuple[Model, str | None]:
    """The model that `model` means, and the quantisation that it asks for."""
    if not isinstance(model, dict):
        raise LlamaError(f"model {model!r} is no dictionary with path or name")
    for key, value in model.items():
        if key not in ("path", "name", "quantisation"):
            raise LlamaError(f"model.{key}: unknown, allowed are path, name, quantisation")
        if not isinstance(value, str):
            raise LlamaError(f"model.{key}: {value!r} is no text")
    if "path" in model and (Path(model["path"]).is_file() or "name" not in model):
        path = Path(model["path"])
        try:
            found = from_header(path, read_header(path))
        except GgufError as error:
            raise LlamaError(str(error)) from error
    elif "name" in model:
        found = known(model["name"])
    else:
        raise LlamaError("model: give path or name")
    wanted = model.get("quantisation")
    if wanted is None:
        return found, None
    spelled = {name.lower(): name for name in found.sizes if name not in found.estimated}
    if wanted.lower() not in spelled:
        raise LlamaError(
            f"model.quantisation: {wanted!r} of {found.name} is unknown, known are {', '.join(spelled.values())}"
        )
    return found, spelled[wanted.lower()]


def size(model: Model, quantisation: str, wish: Wish) -> dict[str, Any]:
    """All parts of the memory, each rounded up to MiB."""
    cells = ceil(wish.context / CELLS) * CELLS
    per_token = kv_bytes_per_token(model, wish.kv_type)
    batch = min(wish.batch, wish.context * wish.slots)
    parts = {
        "weights_mib": ceil(model.sizes[quantisation] / MIB),
        "kv_mib": ceil((per_token * cells + model.state_bytes) * wish.slots / MIB),
        "compute_mib": ceil(compute_bytes(model, cells, wish.slots, batch) / MIB),
        "host_cache_mib": wish.host_cache_mib,
        "process_mib": int(table()["runtime"]["process_mib"]),
    }
    total = sum(parts.values())
    return {
        "model": model.name,
        "source": model.source,
        "quantisation": quantisation,
        "context": wish.context,
        "slots": wish.slots,
        "context_total": wish.context * wish.slots,
        "batch": batch,
        "kv_type": wish.kv_type,
        "kv_bytes_per_token": per_token,
        **parts,
        "total_mib": total,
        "budget_mib": wish.budget_mib,
        "left_mib": wish.budget_mib - total,
    }


def kv_bytes_per_token(model: Model, kv_type: str) -> int:
    """What one token adds to the KV cache. An encoder keeps none."""
    block, size_ = KV_TYPES[kv_type]
    return sum(row // block * size_ for row in model.kv_rows)


def compute_bytes(model: Model, cells: int, slots: int, batch: int) -> int:
    """Graph and output buffers."""
    feed_forward, embedding = (2, 8) if model.gated else (1, 5)
    activations = 4 * batch * (feed_forward * model.feed_forward + embedding * model.embedding)
    mask = 2 * batch * (cells if model.causal else batch)
    outputs = slots if model.causal else batch
    return activations + mask + 4 * outputs * model.vocabulary


def _check(model: Model, wish: Wish) -> None:
    for name in ("budget_mib", "context", "slots", "batch", "host_cache_mib"):
        value = getattr(wish, name)
        least = 0 if name == "host_cache_mib" else 1
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise LlamaError(f"{name}: {value!r} is no whole number of at least {least}")
    if wish.kv_type not in tuple(KV_TYPES):  # not by hash: an inventory may give anything
        raise LlamaError(f"kv_type: {wish.kv_type!r} is unknown, allowed are {', '.join(KV_TYPES)}")
    if wish.context > model.context:
        raise LlamaError(f"context: {wish.context} is more than {model.name} was trained for, at most {model.context}")
    block = KV_TYPES[wish.kv_type][0]
    odd = [width for width in model.kv_widths if width % block]
    if odd:
        raise LlamaError(f"kv_type: {wish.kv_type} needs heads of a multiple of {block}, one has {odd[0]}: use f16")


def _refusal(model: Model, sized: dict[str, Any], wish: Wish) -> str:
    parts = ("weights", "kv", "compute", "host_cache", "process")
    arithmetic = " + ".join(f"{part} {sized[f'{part}_mib']}" for part in parts)
    return (
        f"{model.name} {sized['quantisation']} does not fit: {arithmetic} = {sized['total_mib']} MiB, the budget is "
        f"{wish.budget_mib} MiB, {-sized['left_mib']} MiB too little. {_advice(model, sized, wish)}"
    )


def _advice(model: Model, sized: dict[str, Any], wish: Wish) -> str:
    """The largest quantisation that fits as it is, and the longest context that this one leaves room for."""
    advice = []
    fitting = [name for name in model.sizes if size(model, name, wish)["left_mib"] >= 0]
    if fitting:
        best = max(fitting, key=lambda name: model.sizes[name])
        about = ", by estimate" if best in model.estimated else ""
        advice.append(f"the largest quantisation that fits is {best} ({ceil(model.sizes[best] / MIB)} MiB{about})")
    else:
        advice.append("no quantisation that is known fits")
    # One cell count after the other, as the compute buffer grows with them too.
    cells = highest(
        wish.context // CELLS,
        lambda count: (
            count == 0 or size(model, sized["quantisation"], replace(wish, context=count * CELLS))["left_mib"] >= 0
        ),
    )
    if cells:
        advice.append(f"with {sized['quantisation']} a context of {cells * CELLS} fits")
    text = "; ".join(advice)
    return text[0].upper() + text[1:]
