# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.run [STAGE or GROUP…]`: runs the stages one after the other; the last line is the sum."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.run.counts import Counts
from tests.run.stage import Context, NotRun, Stage, environment, select
from tests.run.stages import STAGES


def run(stage: Stage, context: Context) -> Counts:
    print(f"\n=== {stage.name}", flush=True)
    started = time.monotonic()
    try:
        counts = stage.run(context)
    except NotRun as reason:
        print(f"NOT RUN: {reason}")
        counts = Counts(skipped=1)
    print(f"--- {stage.name}: {counts} in {time.monotonic() - started:.1f} s", flush=True)
    return counts


def main(names: list[str]) -> int:
    try:
        stages = select(STAGES, names)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    total = Counts()
    with tempfile.TemporaryDirectory(prefix="homelab-tests-") as folder:
        scratch = Path(folder)
        scratch.chmod(0o755)  # servers that dropped root read from it
        context = Context(scratch, environment(scratch))
        for stage in stages:
            total += run(stage, context)
    print(f"\n{total}", flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
