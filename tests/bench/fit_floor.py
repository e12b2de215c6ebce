# SPDX-License-Identifier: GPL-3.0-or-later
"""Fit the score floor (workers/homelab_workers/query/floor.py) on one half of the questions, judge it on the other.

    python -m tests.bench.fit_floor --url http://127.0.0.1:28080 --key-file KEY [--collection NAME] [--json]

A question is accepted when one hit reaches the cosine or the coverage bound. Fitted is the pair with the fewest errors,
where a false refusal of an answerable question and a false acceptance of an unanswerable one weigh the same and each
kind of question counts once, however many there are of it. Of equally good pairs those are kept whose coverage bound
alone separates codes from topics best (a bare code may be far in cosine), and of these the one in the middle is taken,
as far as possible from a bound that would do worse.

Questions for codes that do not exist (`unknown_code`) are reported, never fitted on: their passages are as near as
those of codes that do exist, so only exact lexical evidence could refuse them. The package `homelab_workers` must be
importable (PYTHONPATH=workers in a checkout).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from homelab_workers.query.floor import Floor
from tests.bench.retrieval import Api, arguments
from tests.corpus.corpus import ANSWERABLE, Half, Kind, build

STEP = 0.01
COSINES = [round(STEP * n, 2) for n in range(10, 71)]
COVERAGES = [round(STEP * n, 2) for n in range(30, 101)]
NO_COSINE = 2.0
"""A bound that no hit reaches."""
FITTED: tuple[Kind, ...] = (*ANSWERABLE, "topic")


@dataclass(frozen=True)
class Evidence:
    """What search knew about one question: (cosine, coverage) of each hit, both 0..1."""

    kind: Kind
    half: Half
    hits: tuple[tuple[float, float], ...]

    def accepted(self, floor: Floor) -> bool:
        """The rule of Floor.reached, on numbers that came over HTTP."""
        return any(cosine >= floor.cosine or coverage >= floor.coverage for cosine, coverage in self.hits)

    @property
    def answerable(self) -> bool:
        return self.kind in ANSWERABLE


def evidence_of(hits: Iterable[dict[str, Any]]) -> tuple[tuple[float, float], ...]:
    """A hit that only the lexical leg found has no cosine; it cannot reach that bound."""
    return tuple((hit["attributes"].get("cosine", -1.0), hit["attributes"]["coverage"]) for hit in hits)


def gather(api: Api, collection: str) -> list[Evidence]:
    return [
        Evidence(q.kind, q.half, evidence_of(api.search(q.question, collection)["data"])) for q in build().questions
    ]


def error_rates(floor: Floor, evidence: Sequence[Evidence], half: Half) -> dict[Kind, float]:
    """Share of wrong decisions by kind: refusals of what can be answered, acceptances of what cannot."""
    mine = [e for e in evidence if e.half == half]
    kinds: tuple[Kind, ...] = (*FITTED, "unknown_code")
    return {
        kind: sum(e.accepted(floor) != e.answerable for e in mine if e.kind == kind) / sum(e.kind == kind for e in mine)
        for kind in kinds
    }


def cost(rates: dict[Kind, float]) -> float:
    """0 (never wrong) to 3; each fitted kind counts once."""
    return sum(rates[kind] for kind in FITTED)


def fit(evidence: Sequence[Evidence]) -> Floor:
    alone = {coverage: error_rates(Floor(NO_COSINE, coverage), evidence, "fit") for coverage in COVERAGES}
    costs = {
        (cosine, coverage): (
            round(cost(error_rates(Floor(cosine, coverage), evidence, "fit")), 9),
            round(alone[coverage]["code"] + alone[coverage]["topic"], 9),
        )
        for cosine, coverage in product(COSINES, COVERAGES)
    }
    least = min(costs.values())
    best = [pair for pair, value in costs.items() if value == least]
    cosine = _middle({cosine for cosine, _unused in best})
    return Floor(cosine, _middle({coverage for c, coverage in best if c == cosine}))


def _middle(values: set[float]) -> float:
    return sorted(values)[len(values) // 2]


def report(floor: Floor, evidence: Sequence[Evidence]) -> dict[str, Any]:
    return {
        "cosine": floor.cosine,
        "coverage": floor.coverage,
        "error_rates": {half: error_rates(floor, evidence, half) for half in ("fit", "test")},
    }


def main() -> None:
    given = arguments("Fit the score floor on one half of the generated questions.").parse_args()
    with Api(given.url, given.key_file.read_text().strip()) as api:
        api.ingest(build().documents, given.collection, seconds=given.wait)
        evidence = gather(api, given.collection)
    reports = {"fitted": report(fit(evidence), evidence), "in floor.py": report(Floor(), evidence)}
    if given.json:
        print(json.dumps(reports, indent=1))
        return
    for name, found in reports.items():
        print(f"{name}: cosine {found['cosine']:.2f}, coverage {found['coverage']:.2f}")
        for half, rates in found["error_rates"].items():
            wrong = ", ".join(
                f"{kind} {'refused' if kind in ANSWERABLE else 'accepted'} {rate:.3f}" for kind, rate in rates.items()
            )
            print(f"  {half}: {wrong}")


if __name__ == "__main__":
    main()
