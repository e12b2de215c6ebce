# SPDX-License-Identifier: Apache-2.0
"""What the model wrote is checked before it is passed on: numbers, what they point to, and addresses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .prompt import Passage
from .text import content_words, sentences, shortened

SUPPORTED_SHARE = 0.5
"""Share of a sentence's content words that its chunk must hold. A lexical check: it finds citations
of the wrong passage, not wrong reasoning from the right one."""
QUOTE_LENGTH = 280
HOLD_BACK = 400
"""Characters that may wait for the end of a link or citation before they are passed on anyway."""

CITATION = re.compile(r"[ \t]?\[[ \t]*(\d{1,9}(?:[ \t]*[,;][ \t]*\d{1,9})*)[ \t]*\]")
_NUMBER = re.compile(r"\d+")
_IMAGE = re.compile(r"!\[([^\]\n]*)\](?:\([^)\n]*\)|\[[^\]\n]*\])")
_LINK = re.compile(r"\[([^\]\n]*)\]\([^)\n]*\)")
_TAG = re.compile(r"<[^<>]*\b(?:src|srcset|href|style|action|data|poster|background)\s*=[^<>]*>", re.IGNORECASE)
_SCHEME = re.compile(r"(?<=\w)://")
_SAME_SCHEME = re.compile(r"(\]\(\s*<?|\]:\s*<?)([/\\])([/\\])")
_WWW = re.compile(r"www\.", re.IGNORECASE)
_WHOLE = (_IMAGE, _LINK, _TAG, CITATION)
_OPEN = re.compile(r"!?\[[^\]\n]*$|!?\[[^\]\n]*\]\(?[^)\s]*$|<[^<>\n]*$|\S+$")


@dataclass(frozen=True, slots=True)
class Citation:
    n: int
    passage: Passage
    quote: str
    """The sentence of the chunk that is nearest to what was said."""
    supported: bool
    """Whether every sentence that cites the chunk shares enough words with it."""
    attributed: bool = False
    """Whether only query.attribution, and not the model, put the number there."""


def harmless(text: str, known: frozenset[int]) -> str:
    """Without numbers that name no passage, without images and links; addresses are left readable but dead."""
    while (safer := _once(text, known)) != text:  # what is taken out may join what stands around it
        text = safer
    return text


def _once(text: str, known: frozenset[int]) -> str:
    text = _IMAGE.sub(r"\1", text)
    text = _LINK.sub(r"\1", text)
    text = _TAG.sub("", text)
    text = _SCHEME.sub("[:]//", text)
    text = _SAME_SCHEME.sub(r"\1\2 \3", text)
    text = _WWW.sub("www[.]", text)
    return CITATION.sub(lambda found: _known_only(found, known), text)


def _known_only(found: re.Match[str], known: frozenset[int]) -> str:
    numbers = [int(n) for n in _NUMBER.findall(found[1])]
    kept = [n for n in numbers if n in known]
    if kept == numbers:
        return found[0]
    space = found[0][: len(found[0]) - len(found[0].lstrip())]
    return f"{space}[{', '.join(map(str, kept))}]" if kept else ""


class Cleaner:
    """`harmless` for text that arrives in pieces: what may still become a link or citation waits."""

    def __init__(self, known: frozenset[int]) -> None:
        self._known = known
        self._waiting = ""

    def feed(self, piece: str) -> str:
        self._waiting += piece
        open_part = _OPEN.search(self._waiting)
        cut = len(self._waiting) if open_part is None else open_part.start()
        # The end of a link with spaces in its text is not a word that waits by itself.
        spans = [found.span() for whole in _WHOLE for found in whole.finditer(self._waiting)]
        cut = min([start for start, end in spans if start < cut < end], default=cut)
        if len(self._waiting) - cut > HOLD_BACK:
            cut = len(self._waiting)
        # The space before a citation goes with it when the citation is dropped.
        while cut > 0 and self._waiting[cut - 1] in " \t":
            cut -= 1
        ready, self._waiting = self._waiting[:cut], self._waiting[cut:]
        return harmless(ready, self._known)

    def rest(self) -> str:
        ready, self._waiting = self._waiting, ""
        return harmless(ready, self._known)


def check(answer: str, passages: Sequence[Passage], *, attributed: frozenset[int] = frozenset()) -> list[Citation]:
    """Each passage that `answer` cites once, in order of first mention; the model did not write `attributed`."""
    by_number = {passage.n: passage for passage in passages}
    claims: dict[int, list[str]] = {}
    for sentence in _cited_sentences(answer):
        claim = CITATION.sub("", sentence)
        for n in cited(sentence):
            if n in by_number:
                claims.setdefault(n, []).append(claim)
    return [_citation(n, by_number[n], said, n in attributed) for n, said in claims.items()]


def cited(text: str) -> list[int]:
    return [int(n) for found in CITATION.finditer(text) for n in _NUMBER.findall(found[1])]


def _cited_sentences(answer: str) -> list[str]:
    """A citation behind the full stop belongs to the sentence before it."""
    parts: list[str] = []
    for sentence in sentences(answer):
        lead = re.match(rf"(?:{CITATION.pattern})+", sentence)
        if lead is not None and parts:
            parts[-1] += " " + lead[0].strip()
            sentence = sentence[lead.end() :].strip()
        if sentence:
            parts.append(sentence)
    return parts


def _citation(n: int, passage: Passage, said: Sequence[str], attributed: bool) -> Citation:
    source = words_of(passage)
    supported = all(share(content_words(claim), source) >= SUPPORTED_SHARE for claim in said)
    return Citation(n, passage, nearest_sentence(passage.text, " ".join(said)), supported, attributed)


def words_of(passage: Passage) -> set[str]:
    return content_words(f"{passage.hit.name} {passage.place} {passage.text}")


def share(words: set[str], source: set[str]) -> float:
    """1.0 for a claim without content words: there is nothing that could be wrong."""
    return len(words & source) / len(words) if words else 1.0


def nearest_sentence(text: str, claim: str) -> str:
    wanted = content_words(claim)
    candidates = sentences(text) or [text]
    return shortened(max(candidates, key=lambda s: len(content_words(s) & wanted)), QUOTE_LENGTH)
