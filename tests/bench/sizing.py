# SPDX-License-Identifier: GPL-3.0-or-later
"""The peak memory of each component while documents go in, beside what tuning granted it and its floor.

    just bench sizing [--files FILE...] [--user NAME] [--seconds N] [--json]

A component's memory is the sum over its processes of PSS, sampled: a shared page counts once. The kernel's own mark of
the most that a process held (VmHWM) counts shared pages in each process and is shown for single processes only.
Without --files the 196-page bashref.pdf is ingested. Nothing is limited here: a stack of plain processes has no memory
cgroup of its own, so this says what would have been needed under the granted limit, not that the limit held.
"""

from __future__ import annotations

import argparse
import json
import math
import pwd
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.bench.footprint import memory
from tests.manual import bash_manual

DATA = Path(__file__).resolve().parents[2] / "plugins" / "plugin_utils" / "data" / "tuning_profiles.json"
FLOOR_FACTOR = 1.3
"""A floor is a measured peak times this (design: tuning.md)."""
# Processes by the name that tuning gives their component.
COMPONENT = {
    "nats-server": "nats",
    "llama-embed": "embedder",
    "llama-chat": "chat",
    "extract child": "extract",
}


class Peaks:
    """MiB by component, the most that any sample saw."""

    def __init__(self, uid: int) -> None:
        self._uid = uid
        self._stop = threading.Event()
        self.peak: dict[str, float] = defaultdict(float)
        self.samples = 0

    def run(self) -> None:
        while not self._stop.wait(0.25):
            now: dict[str, float] = defaultdict(float)
            for name, entry in memory(self._uid).items():
                now[COMPONENT.get(name, name)] += entry.pss / 1024
            for component, mib in now.items():
                self.peak[component] = max(self.peak[component], mib)
            self.samples += 1

    def stop(self) -> None:
        self._stop.set()


def ingest(files: list[Path], collection: str) -> None:
    """Puts the files in, asks, searches and takes them out again, as a user would."""
    for command in (
        ["homelab", "ingest", *map(str, files), "-c", collection],
        ["homelab", "search", "how is a variable set", "-c", collection],
        ["homelab", "ask", "how is a variable set", "-c", collection],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command[:2])} ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}")
    listed = json.loads(
        subprocess.run(["homelab", "status", "--json", "-c", collection], capture_output=True, check=True).stdout
    )
    names = [document["id"] for document in listed["data"]]
    subprocess.run(["homelab", "rm", "-c", collection, *names], capture_output=True, check=True)


def rows(peak: dict[str, float], plan: dict[str, Any]) -> list[dict[str, Any]]:
    profiles = json.loads(DATA.read_text(encoding="utf-8"))
    floors = {name: spec.get("floor_mib") for name, spec in profiles["components"].items()}
    floors["extract"] = profiles["engines"]["text"]["floor_mib"]
    return [
        {
            "component": component,
            "peak_mib": round(mib, 1),
            "wanted_floor_mib": math.ceil(mib * FLOOR_FACTOR),
            "floor_mib": floors.get(component),
            "granted_mib": plan.get(component, {}).get("limit", {}).get("memory_mib"),
        }
        for component, mib in sorted(peak.items(), key=lambda item: -item[1])
    ]


def granted() -> dict[str, Any]:
    """Components of the plan for this machine, by homelab.ai.plan."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = ["ansible-playbook", "homelab.ai.plan", "-e", f"homelab_plan_file={file.name}"]
        subprocess.run(command, check=True, capture_output=True)
        components: dict[str, Any] = json.loads(Path(file.name).read_text())["localhost"]["components"]
    return components


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", nargs="+", type=Path, default=None)
    parser.add_argument("--user", default="homelab", help="whose processes, default: %(default)s")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    peaks = Peaks(pwd.getpwnam(given.user).pw_uid)
    watcher = threading.Thread(target=peaks.run)
    with tempfile.TemporaryDirectory() as folder:
        files = given.files or [bash_manual(Path(folder))]
        watcher.start()
        try:
            ingest(files, "bench-sizing")
        finally:
            peaks.stop()
            watcher.join()
    found = rows(peaks.peak, granted())
    if given.json:
        print(json.dumps(found, indent=1))
        return 0
    print(f"{peaks.samples} samples while {', '.join(path.name for path in files)} went in")
    print(f"{'component':<14}{'peak':>8}{'x 1.3':>8}{'floor':>8}{'granted':>9}  MiB")
    for row in found:
        print(
            f"{row['component']:<14}{row['peak_mib']:>8.0f}{row['wanted_floor_mib']:>8}{row['floor_mib'] or '-':>8}"
            f"{row['granted_mib'] or '-':>9}"
        )
    short = [row["component"] for row in found if row["granted_mib"] and row["peak_mib"] > row["granted_mib"]]
    if short:
        print(f"more than was granted: {', '.join(short)}")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
