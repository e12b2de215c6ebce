# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.faults.mutants [MODULE…]`: changes the solver of sizes in small ways; its tests must notice.

cosmic-ray makes one mutant after the other in a copy of the tree, one copy for each core, and runs the tests there. It
ends with status 1 where fewer than `TARGET` percent of all turn a test red, and lists those that do not.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from tests.faults.run import copy_tree
from tests.run.gates import venv
from tests.run.stage import Context, NotRun

TARGET = 90  # issue 5
PLUGIN_UTILS = "plugins/plugin_utils"
MODULES = (
    "_search",
    "_tuning_budget",
    "_tuning_fill",
    "_tuning_postgres",
    "_tuning_profile",
    "_tuning_resources",
    "_tuning_rows",
    "_tuning_settings",
    "_tuning_storage",
)
# The quick ones first: the first red test ends the run. Without the properties, which take minutes for each mutant.
TESTS = ("golden", "budget", "fill", "data", "measured", "refusals"), ("explain",)
# Left out: what every test notices (bits of a product), which would flatter the figure, and `is` for `==`, which is no
# change for small numbers.
CONFIG = """\
[cosmic-ray]
module-path = {module}
timeout = 60.0
excluded-modules = []
test-command = {command}
[cosmic-ray.distributor]
name = "local"
[cosmic-ray.filters.operators-filter]
exclude-operators = [
  "core/ReplaceBinaryOperator_.*_(BitOr|BitAnd|BitXor|LShift|RShift|Pow|Mod)",
  "core/ReplaceComparisonOperator_.*_(Is|IsNot)",
]
"""


def command() -> str:
    """The tests as one line for cosmic-ray, which starts no shell by itself."""
    python = shlex.quote(sys.executable)
    # Other plugins cost two seconds a start; asyncio's reads a setting that pyproject.toml has.
    pytest = f"{python} -m pytest -q -x -p pytest_asyncio.plugin -p no:cacheprovider"
    folder = "tests/unit/plugins/tuning/test_"
    runs = (f"{pytest} {' '.join(f'{folder}{name}.py' for name in group)}" for group in TESTS)
    return f"sh -c {shlex.quote(' && '.join(runs))}"


def mutate(module: str, tree: Path, tools: Path) -> list[dict[str, Any]]:
    """cosmic-ray's results of all mutants of one module. Raises SystemExit where the tests are red without a mutant."""
    config, session = tree / "mutants.toml", tree / f"{module}.sqlite"
    path = f"{PLUGIN_UTILS}/{module}.py"
    config.write_text(CONFIG.format(module=json.dumps(path), command=json.dumps(command())), encoding="utf-8")
    # A .pyc of the original could be taken for a mutant's: same size, same second.
    env = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}

    def run(tool: str, *arguments: str) -> str:
        done = subprocess.run(
            [tools / tool, *arguments], cwd=tree, env=env, text=True, capture_output=True, check=False
        )
        if done.returncode != 0:
            raise SystemExit(f"{tool} {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    run("cosmic-ray", "baseline", str(config))
    run("cosmic-ray", "init", str(config), str(session))
    run("cr-filter-operators", str(session), str(config))
    run("cosmic-ray", "exec", str(config), str(session))
    return list(_results(run("cosmic-ray", "dump", str(session))))


def _results(dump: str) -> Iterator[dict[str, Any]]:
    for line in dump.splitlines():
        work, result = json.loads(line)
        if result["worker_outcome"] == "normal":
            yield {"killed": result["test_outcome"] != "survived", "diff": result["diff"], **work["mutations"][0]}
        elif result["worker_outcome"] != "skipped":
            raise SystemExit(f"a mutant could not be tested: {work}, {result}")


def main(names: list[str]) -> int:
    if unknown := sorted(set(names) - set(MODULES)):
        print(f"no module is called {', '.join(unknown)}; there are: {', '.join(MODULES)}", file=sys.stderr)
        return 2
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="homelab-mutants-") as folder:
        scratch = Path(folder)
        try:
            tools = venv(Context(scratch, dict(os.environ)), "mutants", f"{sys.version_info[0]}.{sys.version_info[1]}")
        except NotRun as reason:
            print(f"skipped: {reason}", file=sys.stderr)
            return 2
        trees: SimpleQueue[Path] = SimpleQueue()
        workers = os.cpu_count() or 1
        for number in range(workers):
            copy_tree(scratch / f"tree{number}")
            trees.put(scratch / f"tree{number}")

        def one(module: str) -> list[dict[str, Any]]:
            tree = trees.get()
            try:
                found = mutate(module, tree, tools)
            finally:
                trees.put(tree)
            print(f"{module}: {sum(mutant['killed'] for mutant in found)} of {len(found)} noticed", flush=True)
            return found

        with ThreadPoolExecutor(workers) as pool:
            mutants = [mutant for found in pool.map(one, names or MODULES) for mutant in found]
    for mutant in mutants:
        if not mutant["killed"]:
            print(f"\nnot noticed, {mutant['operator_name']}:\n{mutant['diff']}")
    killed = sum(mutant["killed"] for mutant in mutants)
    share = 100 * killed / len(mutants)
    spent = time.monotonic() - started
    print(f"{killed} of {len(mutants)} mutants noticed, {share:.1f} % (target {TARGET}), {spent:.0f} s")
    return int(share < TARGET)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
