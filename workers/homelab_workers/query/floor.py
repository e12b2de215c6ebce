# SPDX-License-Identifier: Apache-2.0
"""When the best passages are too far from the question, the honest answer is that nothing was found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .ports import Hit


@dataclass(frozen=True, slots=True)
class Floor:
    """A question counts as answered when one hit reaches either bound; `lexical` replaces `coverage`
    while there is no vector leg, where paraphrases would otherwise find nothing.

    The constants are fitted by tests/bench/fit_floor.py on the generated corpus with
    all-MiniLM-L6-v2; another embedding model has other cosines and wants its own fit
    (settings FLOOR_COSINE, FLOOR_COVERAGE and FLOOR_LEXICAL).
    """

    cosine: float = 0.25
    coverage: float = 0.6
    lexical: float = 0.3

    def reached(self, hits: Iterable[Hit], *, vector: bool) -> bool:
        """`vector`: whether the vector leg ran."""
        coverage = self.coverage if vector else self.lexical
        return any((hit.cosine is not None and hit.cosine >= self.cosine) or hit.coverage >= coverage for hit in hits)
