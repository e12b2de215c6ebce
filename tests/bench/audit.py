# SPDX-License-Identifier: GPL-3.0-or-later
"""Time of the hardware audit over the time of `ansible -m setup`, on this machine.

    ./bootstrap bench audit [--rounds N] [--json]

The rounds of the two sides alternate. The audit's first run, which writes the files, is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TARGET = 1.5  # issue 5
PLAYBOOK = "homelab.ai.hardware_audit"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="./bootstrap bench audit", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="homelab-bench-") as folder:
        audit = ["ansible-playbook", PLAYBOOK, "-c", "local", "-e", f"hardware_audit_facts_dir={folder}/facts.d"]
        audit += ["-e", "homelab_audit_become=false", "-e", "hardware_audit_location=machine"]
        setup = ["ansible", "localhost", "-c", "local", "-m", "setup"]
        seconds(audit)
        times = [(seconds(audit), seconds(setup)) for _unused in range(given.rounds)]
        if not (Path(folder) / "facts.d" / "homelab.fact").is_file():
            sys.exit("the audit wrote nothing, so there is nothing to compare")
    ours, base = (statistics.median(side) for side in zip(*times, strict=True))
    ratio = statistics.median(audit / setup for audit, setup in times)
    load = os.getloadavg()[0]
    if given.json:
        print(json.dumps({"audit_s": ours, "setup_s": base, "ratio": ratio, "rounds": times, "load": load}))
    else:
        print(f"audit {ours:.2f} s, setup {base:.2f} s, ratio {ratio:.2f} (target {TARGET}), load {load:.2f}")
    return int(ratio > TARGET)


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    spent = time.perf_counter() - started
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return spent


if __name__ == "__main__":
    sys.exit(main())
