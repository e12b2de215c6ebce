# SPDX-License-Identifier: Apache-2.0
"""Small readings of text that search, prompt and citations share."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"\w+", re.UNICODE)
SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s+|\n+")

# Function words that support nothing. English, as the bundled models speak it; other languages only lose precision.
_FUNCTION_WORDS = frozenset(
    {
        "a",
        "about",
        "after",
        "all",
        "also",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "been",
        "before",
        "but",
        "by",
        "can",
        "could",
        "did",
        "do",
        "does",
        "for",
        "from",
        "had",
        "has",
        "have",
        "he",
        "her",
        "his",
        "how",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "may",
        "more",
        "most",
        "no",
        "not",
        "of",
        "on",
        "or",
        "our",
        "over",
        "she",
        "should",
        "so",
        "some",
        "such",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "to",
        "under",
        "up",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
    }
)


def clean(text: str) -> str:
    """Without NUL (Postgres refuses it) and with lone surrogates replaced (UTF-8 cannot hold them)."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def content_words(text: str) -> set[str]:
    """Folded words and numbers that carry meaning."""
    words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    return {w for w in words if w not in _FUNCTION_WORDS and (len(w) > 1 or w.isdigit() or not w.isascii())}


def sentences(text: str) -> list[str]:
    return [part.strip() for part in SENTENCE_END.split(text) if part.strip()]


def shortened(text: str, length: int) -> str:
    """At most `length` characters, cut at a space where there is one."""
    flat = " ".join(text.split())
    if len(flat) <= length:
        return flat
    cut = flat[: length - 1]
    return (cut[: cut.rfind(" ")] if " " in cut[length // 2 :] else cut) + "…"
