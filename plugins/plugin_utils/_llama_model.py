# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""What decides the memory of a model in llama.cpp, from a GGUF header or from the table of known models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ansible_collections.homelab.ai.plugins.plugin_utils._gguf import Header

TABLE = Path(__file__).with_name("data") / "llama_models.json"


class LlamaError(ValueError):
    """No plan can be made; the message names the value, the rule and the fix."""


@cache
def table() -> dict[str, Any]:
    """The data file. Callers do not change it."""
    data: dict[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
    return data


@dataclass(frozen=True)
class Model:
    """Shapes in elements, sizes in bytes."""

    name: str
    source: str  # "header" or "table"
    kv_rows: tuple[int, ...]  # elements of each row of the KV cache that one token adds; K and V of every layer
    kv_widths: tuple[int, ...]  # elements of a head in these rows, of K and V
    state_bytes: int  # of all recurrent layers, for each slot
    context: int
    embedding: int
    feed_forward: int
    vocabulary: int
    gated: bool
    causal: bool
    sizes: Mapping[str, int]  # by quantisation, largest first
    estimated: frozenset[str] = frozenset()  # quantisations whose size is estimated


def known(name: str) -> Model:
    """A row of the table."""
    rows = {row["name"].lower(): row for row in table()["models"]}
    if name.lower() not in rows:
        names = ", ".join(row["name"] for row in rows.values())
        raise LlamaError(f"model {name!r} is unknown, known are {names}; or give the path of its GGUF file")
    row = rows[name.lower()]
    # With MLA the latent is all that is kept: V is a view of it.
    per_layer = (row["kv_latent"],) if "kv_latent" in row else (row["kv_heads"] * row["head_dim"],) * 2
    width = row["kv_latent"] if "kv_latent" in row else row["head_dim"]
    return Model(
        name=row["name"],
        source="table",
        kv_rows=per_layer * row["layers"] if row["causal"] else (),
        kv_widths=(width,) if row["causal"] else (),
        state_bytes=0,
        context=row["context"],
        embedding=row["embedding"],
        feed_forward=row["feed_forward"],
        vocabulary=row["vocabulary"],
        gated=row["gated"],
        causal=row["causal"],
        sizes=row["sizes"],
    )


def from_header(path: Path, header: Header) -> Model:
    """A file's model. Smaller quantisations are estimated from the number of its parameters."""
    meta = header.metadata
    architecture = meta.get("general.architecture")
    fields = {
        key[len(f"{architecture}.") :]: value for key, value in meta.items() if key.startswith(f"{architecture}.")
    }
    for key in ("block_count", "context_length", "embedding_length", "attention.head_count"):
        if key not in fields:
            raise LlamaError(f"{path}: no {architecture}.{key}: this is no language model that llama.cpp serves")
    for key, value in fields.items():
        items = value if isinstance(value, list) and key in BY_LAYER else [value]
        if key in NUMBERS + BY_LAYER and not all(isinstance(item, int) and item >= 0 for item in items):
            raise LlamaError(f"{path}: {architecture}.{key} is {value!r}, no number: the file is damaged")
    if fields["block_count"] > MOST_LAYERS:
        raise LlamaError(f"{path}: {fields['block_count']} layers, llama.cpp serves at most {MOST_LAYERS}")
    causal = bool(fields.get("attention.causal", True))
    rows, widths = _kv(fields) if causal else ((), ())
    own = quantisation(path, header)
    estimates = {
        name: int(header.parameters * bits / 8)
        for name, bits in table()["bits_per_weight"].items()
        if header.parameters * bits / 8 < header.weights_bytes
    }
    return Model(
        name=str(meta.get("general.name", path.stem)),
        source="header",
        kv_rows=rows,
        kv_widths=widths,
        state_bytes=_state_bytes(fields),
        context=fields["context_length"],
        embedding=fields["embedding_length"],
        feed_forward=_feed_forward(fields),
        vocabulary=_vocabulary(path, fields, meta),
        gated=any(".ffn_gate" in name for name in header.tensors),
        causal=causal,
        sizes={own: header.weights_bytes, **{name: size for name, size in estimates.items() if name != own}},
        estimated=frozenset(estimates) - {own},
    )


# What is computed with: one number, or a number or a list of one for each layer.
NUMBERS = (
    "block_count",
    "nextn_predict_layers",
    "context_length",
    "embedding_length",
    "expert_used_count",
    "expert_feed_forward_length",
    "vocab_size",
    "rope.dimension_count",
    "attention.key_length",
    "attention.value_length",
    "attention.kv_lora_rank",
    "shortconv.l_cache",
    "ssm.conv_kernel",
    "ssm.group_count",
    "ssm.inner_size",
    "ssm.state_size",
    "token_shift_count",
    "wkv.head_size",
)
BY_LAYER = ("feed_forward_length", "attention.head_count", "attention.head_count_kv")
MOST_LAYERS = 512  # LLAMA_MAX_LAYERS, src/llama-hparams.h

# general.file_type, include/llama.h (enum llama_ftype).
FILE_TYPES = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    32: "BF16",
}


def quantisation(path: Path, header: Header) -> str:
    """The file's quantisation by its own word, else by the type that most of its bytes have."""
    kind = header.metadata.get("general.file_type")
    own = FILE_TYPES.get(kind) if isinstance(kind, int) else None
    if own is None:
        if not header.types:
            raise LlamaError(f"{path}: has no tensors, give the file with the weights")
        own = max(header.types, key=lambda name: header.types[name])
    return own


def _kv(fields: Mapping[str, Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Rows of every layer, and widths of a head. Layers without KV heads (recurrent ones) have none, and none is kept
    for extra heads that predict further tokens."""
    layers = fields["block_count"] - fields.get("nextn_predict_layers", 0)
    if "attention.kv_lora_rank" in fields and "attention.key_length_mla" in fields:
        latent: int = fields["attention.kv_lora_rank"] + fields.get("rope.dimension_count", 0)
        return (latent,) * int(layers), (latent,)
    heads = _per_layer(fields["attention.head_count"], layers)
    kv_heads = _per_layer(fields.get("attention.head_count_kv", fields["attention.head_count"]), layers)
    default = fields["embedding_length"] // max([1, *heads])
    key, value = fields.get("attention.key_length", default), fields.get("attention.value_length", default)
    return tuple(row for count in kv_heads if count for row in (count * key, count * value)), (key, value)


def _state_bytes(fields: Mapping[str, Any]) -> int:
    """What recurrent layers keep for each slot, as 32-bit numbers: n_embd_r and n_embd_s of src/llama-hparams.cpp.

    Every layer counts but those that are listed with KV heads, so that it is an upper bound where layers alternate by
    a rule of their architecture.
    """
    embedding = fields["embedding_length"]
    state, inner = fields.get("ssm.state_size", 0), fields.get("ssm.inner_size", 0)
    convolved = max(0, fields.get("ssm.conv_kernel", 0) - 1)
    elements = convolved * (inner + 2 * fields.get("ssm.group_count", 0) * state) + inner * state
    if "shortconv.l_cache" in fields:
        elements = embedding * max(0, fields["shortconv.l_cache"] - 1)
    elif "wkv.head_size" in fields:
        elements = embedding * (fields["wkv.head_size"] + fields.get("token_shift_count", 2))
    heads = fields.get("attention.head_count_kv")
    layers = heads[: fields["block_count"]].count(0) if isinstance(heads, list) else fields["block_count"]
    return int(4 * elements * layers)


def _per_layer(value: int | list[int], layers: int) -> list[int]:
    return list(value[:layers]) if isinstance(value, list) else [value] * layers


def _vocabulary(path: Path, fields: Mapping[str, Any], meta: Mapping[str, Any]) -> int:
    """Words, by their number or by the list of them."""
    words = fields.get("vocab_size", meta.get("tokenizer.ggml.tokens", 0))
    if not isinstance(words, int):
        raise LlamaError(f"{path}: tokenizer.ggml.tokens is no list of texts: the file is damaged")
    return words


def _feed_forward(fields: Mapping[str, Any]) -> int:
    """Width of the widest layer; of a mixture, what the experts that are used have together."""
    dense = max([0, *_per_layer(fields.get("feed_forward_length", 0), fields["block_count"])])
    experts = fields.get("expert_used_count", 0) * fields.get("expert_feed_forward_length", 0)
    return int(max(dense, experts))
