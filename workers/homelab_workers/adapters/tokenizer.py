# SPDX-License-Identifier: Apache-2.0
"""The embedding model's own tokenizer, from its tokenizer.json."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from ..model_registry import EmbeddingModel


class FileTokenizer:
    """See `ports.Tokenizer`."""

    def __init__(self, path: Path, model: EmbeddingModel) -> None:
        self._tokenizer = Tokenizer.from_file(str(path))
        # The file that ships with MiniLM truncates and pads to 128: every chunk would count as 128.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._prefix = model.document_prefix

    def spans(self, text: str) -> list[tuple[int, int]]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).offsets)

    def count(self, text: str) -> int:
        return len(self._tokenizer.encode(self._prefix + text).ids)
