# SPDX-License-Identifier: GPL-3.0-or-later
"""`./bootstrap bench [NAME...] [OPTION...]`: runs measurements one after the other, each with the options given.

Without names: ingest, search and footprint, which need no options where `./bootstrap demo` started the stack.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STANDARD = ("ingest", "search", "footprint")
BENCHES = (*STANDARD, "audit", "sizing", "retrieval", "fit_floor", "embedding_quantisation")


def main(arguments: list[str]) -> int:
    """0, 1 when a bench failed or missed its target, 2 for an unknown name."""
    first_option = next((place for place, text in enumerate(arguments) if text.startswith("-")), len(arguments))
    names, options = arguments[:first_option] or list(STANDARD), arguments[first_option:]
    if unknown := [name for name in names if name not in BENCHES]:
        print(f"no bench is called {', '.join(unknown)}; there are: {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    # ./bootstrap links the checkout as a collection there.
    places = [ROOT, ROOT / "workers", ROOT / ".ansible" / "collections"]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, places))}
    failed = []
    for name in names:
        print(f"=== {name}", flush=True)
        command = [sys.executable, "-m", f"tests.bench.{name}", *options]
        if subprocess.run(command, cwd=ROOT, env=env, check=False).returncode != 0:
            failed.append(name)
    if failed:
        print(f"failed or over target: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
