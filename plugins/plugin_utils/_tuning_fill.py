# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Who gets how much, in an order that makes more memory never yield less (design/tuning.md):

floors with the first replica of each burst component, then shares up to their targets, then further replicas.

All shares rise with one level: a component gets its percentage of the level, between its floor and its ceiling. The
level is the largest that fits, at most the machine's memory. Processor time is shared out likewise, before and
independent of memory, so that memory never moves it. Further replicas are a list of steps; the first that finds no
memory ends it, so that a step further down does not take what the next MiB would give to one before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.homelab.ai.plugins.plugin_utils._search import highest
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_budget import Budget
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_data import TuningError, load
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_rows import Row

Short = tuple[str, ...]  # of "hold", "requests" and "cpu"


@dataclass(frozen=True)
class Fill:
    """The result: two levels, replicas, what stopped each, and what is left."""

    level_mib: int
    level_m: int
    replicas: dict[str, int]
    level_short: Short  # of what there is too little for a higher level; nothing where shares are at their targets
    waiting: str | None  # component whose next replica finds no memory
    short: dict[str, Short]  # of what there is too little for another replica, by component that has not all of them
    left_hold_mib: int
    left_requests_mib: int


def fill(rows: Sequence[Row], budget: Budget, cores: int, preset: str) -> Fill:
    """Share out a budget. Raises TuningError with the arithmetic where the floors do not fit."""
    _check_floors(rows, budget, preset)
    _check_cpu(rows, budget)

    level = highest(budget.base_mib, lambda w: not _over(rows, budget, w))
    level_m = highest(cores * 1000, lambda v: sum(row.cpu_m(v) for row in rows) <= budget.requests_m)
    steps = _affordable(rows, budget, level_m)
    affordable = Counter(row.name for row in steps)

    left_hold = budget.hold_mib - sum(row.hold_mib(level) for row in rows)
    left_requests = budget.requests_mib - sum(row.request_mib(level) for row in rows)
    replicas = {row.name: 1 for row in rows if row.burst}
    waiting: str | None = None
    waiting_short: Short = ()
    for row in steps:
        waiting_short = _short(row.hold_mib(level), left_hold, row.request_mib(level), left_requests)
        if waiting_short:
            waiting = row.name
            break
        replicas[row.name] += 1
        left_hold -= row.hold_mib(level)
        left_requests -= row.request_mib(level)
    # With more processor time all that is missing would want memory.
    missing = {row: row.max_replicas - replicas[row.name] for row in rows if row.burst}
    wanted_hold = sum(row.hold_mib(level) * number for row, number in missing.items())
    wanted_requests = sum(row.request_mib(level) * number for row, number in missing.items())
    cpu_short = (*_short(wanted_hold, left_hold, wanted_requests, left_requests), "cpu")
    return Fill(
        level_mib=level,
        level_m=level_m,
        replicas=replicas,
        level_short=() if level == budget.base_mib else _over(rows, budget, level + 1),
        waiting=waiting,
        short={
            row.name: cpu_short if replicas[row.name] > affordable[row.name] else waiting_short
            for row, number in missing.items()
            if number
        },
        left_hold_mib=left_hold,
        left_requests_mib=left_requests,
    )


def _over(rows: Sequence[Row], budget: Budget, level: int) -> Short:
    """Which budgets a level oversteps."""
    hold = sum(row.hold_mib(level) for row in rows)
    return _short(hold, budget.hold_mib, sum(row.request_mib(level) for row in rows), budget.requests_mib)


def _short(hold: int, hold_left: int, request: int, request_left: int) -> Short:
    return ("hold",) * (hold > hold_left) + ("requests",) * (request > request_left)


def _affordable(rows: Sequence[Row], budget: Budget, level_m: int) -> list[Row]:
    """Further replicas in the order in which memory is given to them, as far as processor time goes."""
    left = budget.requests_m - sum(row.cpu_m(level_m) for row in rows)
    burst = sorted((row for row in rows if row.burst), key=lambda row: load()["burst_order"].index(row.name))
    steps: list[Row] = []
    waiting: set[str] = set()
    for number in range(2, max((row.max_replicas for row in burst), default=1) + 1):
        for row in burst:
            if row.max_replicas < number or row.name in waiting:
                continue
            if row.cpu_m(level_m) > left:
                waiting.add(row.name)
                continue
            left -= row.cpu_m(level_m)
            steps.append(row)
    return steps


def _check_floors(rows: Sequence[Row], budget: Budget, preset: str) -> None:
    short = _over(rows, budget, 0)
    if not short:
        return
    terms = {row.name: row.hold_mib(0) if "hold" in short else row.request_mib(0) for row in rows}
    needed = sum(terms.values())
    if "hold" in short:
        there = (
            f"physical {budget.physical_mib} - host {budget.reserved_mib} - headroom {budget.headroom_mib}"
            + (f" - inference {budget.inference_mib}" if budget.inference_mib else "")
            + f" = {budget.hold_mib} MiB"
        )
        have = budget.hold_mib
    else:
        there = f"allocatable for requests {budget.requests_mib} MiB"
        have = budget.requests_mib
    raise TuningError(
        f"preset {preset} does not fit: {there}, but the least sizes are "
        + " + ".join(f"{name} {size}" for name, size in terms.items())
        + f" = {needed} MiB, {needed - have} MiB too much. {_advice(rows, budget, preset, terms, needed - have)}"
    )


def _check_cpu(rows: Sequence[Row], budget: Budget) -> None:
    needed = sum(row.cpu_m(0) for row in rows)
    if needed > budget.requests_m:
        raise TuningError(
            f"processors do not suffice: {budget.requests_m + budget.reserved_m} m - host {budget.reserved_m} m = "
            f"{budget.requests_m} m, but the least requests are "
            + " + ".join(f"{row.name} {row.cpu_m(0)}" for row in rows)
            + f" = {needed} m. Switch components off (overrides.without), use preset core or a machine with more cores"
        )


def _advice(rows: Sequence[Row], budget: Budget, preset: str, terms: dict[str, int], missing: int) -> str:
    """What to switch off, with what it frees."""
    data = load()
    optional = [name for name in terms if data["components"][name].get("optional")]
    advice = []
    if optional:
        advice.append("overrides.without: " + ", ".join(f"{name} (frees {terms[name]})" for name in optional))
    if budget.inference_mib > missing:
        less = (budget.inference_mib - missing) * 100 // budget.physical_mib
        advice.append(f"ollama_vram_percent: {less} (models get {budget.inference_mib} MiB of unified memory)")
    extract = next(row for row in rows if row.name == "extract")
    text = data["engines"]["text"]["floor_mib"]
    if extract.floor_mib > text:
        advice.append(f"extract_engine: text (limit {text} MiB instead of {extract.floor_mib})")
    if preset != "core":
        advice.append("preset core")
    advice.append("a machine with more memory")
    return "Switch off or change: " + "; ".join(advice)
