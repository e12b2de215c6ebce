# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.run [STAGE or GROUP…]`: runs the stages, two at a time; the last line is the sum."""

from __future__ import annotations

import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import repeat
from pathlib import Path

from tests.run.counts import Counts
from tests.run.stage import Context, NotRun, Stage, environment, select
from tests.run.stages import STAGES


def run(stage: Stage, context: Context) -> Counts:
    context.say(f"\n=== {stage.name}")
    started = time.monotonic()
    try:
        counts = stage.run(context)
    except NotRun as reason:
        context.say(f"NOT RUN: {reason}")
        counts = Counts(skipped=1)
    context.say(f"--- {stage.name}: {counts} in {time.monotonic() - started:.1f} s")
    return counts


def run_aside(stage: Stage, context: Context) -> Counts:
    """Runs a stage beside others: what it prints is shown as one piece when it has ended."""
    with tempfile.TemporaryFile("w+", dir=context.scratch) as output:
        counts = run(stage, replace(context, output=output))
        output.seek(0)
        context.say(output.read().rstrip("\n"))
    return counts


def main(names: list[str]) -> int:
    try:
        stages = select(STAGES, names)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="homelab-tests-") as folder:
        scratch = Path(folder)
        scratch.chmod(0o755)  # servers that dropped root read from it
        context = Context(scratch, environment(scratch))
        with ThreadPoolExecutor(2) as pool:
            results = list(pool.map(run_aside if len(stages) > 1 else run, stages, repeat(context)))
    if failed := [stage.name for stage, counts in zip(stages, results, strict=True) if counts.failed]:
        print(f"\nfailed: {', '.join(failed)}")
    total = sum(results, Counts())
    print(f"\n{total}", flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
