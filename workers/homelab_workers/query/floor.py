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

    Fitted with tests/bench/fit_floor.py on the `fit` half of the generated corpus (seed 20261125,
    all-MiniLM-L6-v2 behind llama.cpp and LiteLLM, language english, one chunk a passage). Errors on
    the `test` half: 0 of 35 codes and 7 of 32 paraphrases refused, 1 of 24 foreign topics accepted
    (at the first guess, 0.25 and 0.6: 0, 0 and 14). Seed 7 gives the same bounds, with 8 and 6 of
    32 paraphrases and 1 of 24 topics in each half. Paraphrases and foreign topics overlap in cosine: no
    bound serves both. A question for a code that no document holds is accepted, for its neighbours
    are near; only the answer can refuse it. `lexical` is where topics drop to 1 of 24 accepted in
    both halves with no code refused; paraphrases have no lexical evidence at any bound.

    Another embedding model has other cosines and wants its own fit (settings FLOOR_COSINE,
    FLOOR_COVERAGE and FLOOR_LEXICAL).
    """

    cosine: float = 0.37
    coverage: float = 0.56
    lexical: float = 0.3

    def reached(self, hits: Iterable[Hit], *, vector: bool) -> bool:
        """`vector`: whether the vector leg ran."""
        coverage = self.coverage if vector else self.lexical
        return any((hit.cosine is not None and hit.cosine >= self.cosine) or hit.coverage >= coverage for hit in hits)
