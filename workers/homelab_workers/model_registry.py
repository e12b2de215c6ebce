# SPDX-License-Identifier: Apache-2.0
"""What the pipeline must know of an embedding model before it may cut text for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """`max_tokens` is the longest input that the model computes, `trained_tokens` the longest it learned from;
    both count prefix and special tokens."""

    name: str
    dimension: int
    max_tokens: int
    trained_tokens: int
    document_prefix: str = ""
    query_prefix: str = ""


# Sources: the models' cards; all-MiniLM-L6-v2 was trained on inputs of 256 word pieces.
_MODELS = (
    EmbeddingModel("all-MiniLM-L6-v2", 384, 512, 256),
    EmbeddingModel("nomic-embed-text-v1.5", 768, 2048, 2048, "search_document: ", "search_query: "),
    EmbeddingModel(
        "bge-small-en-v1.5", 384, 512, 512, query_prefix="Represent this sentence for searching relevant passages: "
    ),
    EmbeddingModel("gte-small", 384, 512, 512),
)


def embedding_model(name: str) -> EmbeddingModel:
    """Raises ValueError that names the known models."""
    for model in _MODELS:
        if model.name == name:
            return model
    known = ", ".join(model.name for model in _MODELS)
    raise ValueError(f"EMBEDDING_MODEL {name!r} is not in the registry; known are {known}")


def chunk_window(model: EmbeddingModel, size: int, overlap: int) -> tuple[int, int]:
    """(window, overlap) in tokens: the wanted size, or what the model was trained on with the same ratio of overlap.

    512/128 wanted and 256 trained give 256/64.
    """
    if not 0 <= overlap < size:
        raise ValueError(f"CHUNK_OVERLAP {overlap} must be at least 0 and below CHUNK_SIZE {size}")
    window = min(size, model.trained_tokens)
    return window, window * overlap // size
