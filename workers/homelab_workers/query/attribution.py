# SPDX-License-Identifier: Apache-2.0
"""Numbers for sentences that the model left without one, where a passage's own words support them.

Small models rarely cite. Nothing is guessed here: the rules are lexical and stricter than the check of what a model
cites (query.citations), and every number that is added is reported as `attributed`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .citations import CITATION, SUPPORTED_SHARE, cited, share, words_of
from .prompt import Passage
from .text import SENTENCE_END, content_words

LEAST_WORDS = 2
"""Content words that sentence and passage must share: one is chance."""

_LEAD = re.compile(rf"(?:{CITATION.pattern})+")
_PERHAPS_MORE = re.compile(rf"(?:{CITATION.pattern})*[ \t]*(?:\[[\d,; \t]*)?")
_FIGURE = re.compile(r"\d")


class Attribution:
    """Takes the answer in pieces, as it is streamed, and passes it on with numbers added behind sentences.

    A sentence that is over is passed on at once; only the space behind it waits for what comes next.
    """

    def __init__(self, passages: Sequence[Passage], question: str) -> None:
        self._sources = [(passage.n, words_of(passage)) for passage in passages]
        self._asked = content_words(question)
        self._sentence = ""
        self._passed_on = 0
        self._added: set[int] = set()
        self._written: set[int] = set()

    @property
    def added(self) -> frozenset[int]:
        """Numbers that stand in the text only because they were added here."""
        return frozenset(self._added - self._written)

    def feed(self, piece: str) -> str:
        self._sentence += piece
        out = ""
        while (over := SENTENCE_END.search(self._sentence)) is not None:
            behind = self._sentence[over.end() :]
            if _PERHAPS_MORE.fullmatch(behind):  # the sentence's citation, or one more, may still come
                return out + self._up_to(over.start())
            if (lead := _LEAD.match(behind)) is not None:
                out += self._finished(over.end() + lead.end())
            else:
                out += self._finished(over.start()) + self._finished(len(over[0]))
        return out + self._up_to(len(self._sentence))

    def rest(self) -> str:
        return self._finished(len(self._sentence.rstrip())) + self._up_to(len(self._sentence))

    def _up_to(self, end: int) -> str:
        start, self._passed_on = self._passed_on, max(end, self._passed_on)
        return self._sentence[start : self._passed_on]

    def _finished(self, end: int) -> str:
        """What is left of the sentence that ends at `end`, with its number; the next one begins there."""
        out = self._up_to(end)
        sentence = self._sentence[:end]
        self._sentence, self._passed_on = self._sentence[end:], self._passed_on - end
        numbers = cited(sentence)
        self._written.update(numbers)
        if not numbers and (n := self._supporting(sentence)) is not None:
            self._added.add(n)
            out += f" [{n}]"
        return out

    def _supporting(self, sentence: str) -> int | None:
        """The best supporting passage, of equal ones the nearest to the question; None when none supports it."""
        said = content_words(sentence)
        best: tuple[float, int | None] = (0.0, None)
        for n, source in self._sources:
            found = share(said, source)
            if found > best[0] and self._supports(said, source, found):
                best = (found, n)
        return best[1]

    def _supports(self, said: set[str], source: set[str], found: float) -> bool:
        common = said & source
        return (
            found >= SUPPORTED_SHARE
            and len(common) >= LEAST_WORDS
            # Repeating the question claims nothing, and a wrong figure is the likeliest lie.
            and not common <= self._asked
            and all(word in source for word in said if _FIGURE.search(word))
        )
