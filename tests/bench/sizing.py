# SPDX-License-Identifier: GPL-3.0-or-later
"""The peak memory of each component under load, beside what tuning grants it and what is predicted.

    ./bootstrap bench sizing --corpus manual|mixed|pages [--cgroup DIRECTORY] [--fit] [--result FILE] [--plan FILE] ...

A corpus goes in alone, then once more while it is searched and asked about (sizing_load.py). A component's memory is
the sum of PSS over its processes, sampled four times a second: a shared page counts once. With --cgroup (memory
controller, v1) the plan is made under that group's limit, and the group's own count of the whole stack is printed.
--fit writes the run to results/sizing-fit.json, which later runs, with another corpus under another limit, are
predicted from. Ends with 1 where a component is more than a quarter off its prediction or above its grant.
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.conninfo import make_conninfo

from tests.bench.sizing_load import Client, Load, LoadFailed, load, put_on
from tests.bench.sizing_predict import FIT, fitted, floor, predicted, replicas, wanted_floor
from tests.bench.sizing_watch import Watch, number
from tests.manual import NoManual

MIB = 1024 * 1024
TOLERANCE = 0.25
LEAST_HELD = 0.5
"""Of the sum of PSS, by the cgroup's own count; 0.9 where the whole stack lives in it."""


class NotMeasured(Exception):
    """There is nothing to measure, or it would not count; the message says what to do."""


def check(given: argparse.Namespace) -> None:
    """Raises NotMeasured where the run would end in the middle."""
    if given.cgroup is not None and not os.access(given.cgroup / "memory.limit_in_bytes", os.W_OK):
        raise NotMeasured(
            f"{given.cgroup} is no memory cgroup (v1) that may be written: make one as tests/bench/README.md says, or "
            "give the sizes of a memory that you state with --plan"
        )
    try:
        pwd.getpwnam(given.user)
        api_key(given)
    except KeyError:
        raise NotMeasured(
            f"there is no user {given.user!r}: deploy homelab.ai.local first, or name the stack's user with --user"
        ) from None
    except OSError as error:
        raise NotMeasured(f"{error}: deploy homelab.ai.local first, run this as root, or give --secrets") from error


def api_key(given: argparse.Namespace) -> str:
    text: str = (given.secrets / "api-user").read_text(encoding="utf-8")
    return text.strip()


def plan_of(given: argparse.Namespace) -> dict[str, Any]:
    """The plan of --plan, or of this machine. Raises NotMeasured."""
    try:
        plans = json.loads(given.plan.read_text(encoding="utf-8")) if given.plan else planned(given.cgroup)
        plan: dict[str, Any] = plans["localhost"]
        if "components" not in plan:
            raise NotMeasured(f"nothing fits: {plan['problem']}")
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise NotMeasured(f"{given.plan} is no plan of homelab.ai.plan for localhost: {error}") from error
    return plan


def planned(cgroup: Path | None) -> Any:
    """What homelab.ai.plan writes on this machine, or for a process in the group."""

    def enter() -> None:
        if cgroup is not None:
            (cgroup / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")

    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = ["ansible-playbook", "homelab.ai.plan", "-e", f"homelab_plan_file={file.name}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=enter)
        if done.returncode != 0:
            raise NotMeasured(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return json.loads(Path(file.name).read_text(encoding="utf-8"))


def contents(given: argparse.Namespace) -> dict[str, int]:
    """What the stack holds: MiB of all databases, and triples."""
    conninfo = make_conninfo(
        host="127.0.0.1",
        port=given.base_port + 5432,
        dbname="postgres",
        user="postgres",
        password=(given.secrets / "postgres-admin").read_text(encoding="utf-8").strip(),
    )
    with psycopg.connect(conninfo) as connection:
        row = connection.execute("SELECT sum(pg_database_size(oid)) FROM pg_database").fetchone()
    assert row is not None
    answer = httpx.get(
        f"http://127.0.0.1:{given.base_port + 7878}/query",
        params={"query": "SELECT (COUNT(*) AS ?n) WHERE { GRAPH ?g { ?s ?p ?o } }"},
        headers={"Accept": "application/sparql-results+json"},
        timeout=120,
        trust_env=False,
    ).raise_for_status()
    triples = answer.json()["results"]["bindings"][0]["n"]["value"]
    return {"database_mib": round(row[0] / MIB), "triples": int(triples)}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--corpus", choices=("manual", "mixed", "pages"), default="manual", help="default: %(default)s")
    parser.add_argument("--cgroup", type=Path, help="directory of the stack's memory cgroup")
    parser.add_argument("--plan", type=Path, help="what homelab.ai.plan wrote, instead of asking it")
    parser.add_argument("--fit", action="store_true", help=f"write {FIT.name}")
    parser.add_argument("--result", type=Path, help="write the run to this file")
    parser.add_argument("--user", default="homelab", help="whose processes, default: %(default)s")
    parser.add_argument("--base-port", type=int, default=20000, help="of the stack, default: %(default)s")
    parser.add_argument("--secrets", type=Path, default=Path("/etc/homelab/secrets"), help="default: %(default)s")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "homelab-bench", help="of the manual")
    parser.add_argument("--seconds", type=float, default=1800, help="for each half of the load, default: %(default)s")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def measured(given: argparse.Namespace, corpus: Load) -> dict[str, Any]:
    """The run without predictions."""
    key = api_key(given)
    url = f"http://127.0.0.1:{given.base_port + 8080}"
    with Watch(pwd.getpwnam(given.user).pw_uid, given.cgroup) as watch:
        done = put_on(lambda name: Client(url, key, name), corpus, seconds=given.seconds, look=lambda: contents(given))
    run: dict[str, Any] = {
        "on": time.strftime("%Y-%m-%d"),
        "load": {"corpus": corpus.name} | done,
        "samples": watch.samples,
        "sum_mib": round(watch.sum_mib),
        "start": {name: round(mib, 1) for name, mib in watch.start.items()},
        "peaks": {name: round(mib, 1) for name, mib in watch.peak.items()},
        "processes": dict(watch.processes),
    }
    if given.cgroup is not None:
        run["cgroup"] = {
            "limit_mib": number(given.cgroup, "limit_in_bytes") // MIB,
            "held_mib": round(watch.cgroup_mib),
            "most_mib": number(given.cgroup, "max_usage_in_bytes") // MIB,
            "refused": number(given.cgroup, "failcnt"),
        }
        if run["cgroup"]["held_mib"] < run["sum_mib"] * LEAST_HELD:
            raise NotMeasured(
                f"the cgroup holds {run['cgroup']['held_mib']} of {run['sum_mib']} MiB: the stack was not started in it"
            )
    return run


def rows(run: dict[str, Any], plan: dict[str, Any], fit: dict[str, Any] | None) -> list[dict[str, Any]]:
    found = []
    for component, peak in sorted(run["peaks"].items(), key=lambda item: -item[1]):
        if component not in plan:  # the supervisor: the host's part
            continue
        row = {
            "component": component,
            "granted_mib": plan[component]["limit"]["memory_mib"] * replicas(plan[component]),
            "floor_mib": floor(component),
            "measured_mib": peak,
            "wanted_floor_mib": wanted_floor(peak),
        }
        if fit is not None:
            mib = predicted(component, plan, run["load"], fit)
            row["predicted_mib"] = None if mib is None else round(mib, 1)
            row["off_percent"] = None if mib is None else round(100 * (peak / mib - 1), 1)
        found.append(row)
    return found


def missed(found: list[dict[str, Any]]) -> list[str]:
    lines = []
    for row in found:
        if row["measured_mib"] > row["granted_mib"]:
            lines.append(f"{row['component']} took {row['measured_mib']} MiB, granted are {row['granted_mib']}")
        off = row.get("off_percent")
        if off is not None and abs(off) > 100 * TOLERANCE:
            lines.append(f"{row['component']} is {off:+} % off its prediction")
    return lines


def table(run: dict[str, Any]) -> str:
    lines = [f"{'component':<12}{'granted':>9}{'floor':>8}{'predicted':>11}{'measured':>10}{'off':>9}   MiB"]
    for row in run["rows"]:
        off = row.get("off_percent")
        lines.append(
            f"{row['component']:<12}{row['granted_mib']:>9}{row['floor_mib']:>8}{row.get('predicted_mib') or '-':>11}"
            f"{row['measured_mib']:>10}{'-' if off is None else f'{off:+.1f} %':>9}"
        )
    lines.append(f"sum of all processes at once {run['sum_mib']} MiB, {run['samples']} samples, load {run['load']}")
    if "cgroup" in run:
        group = run["cgroup"]
        lines.append(
            f"the cgroup: limit {group['limit_mib']} MiB, at most {group['held_mib']} held, {group['most_mib']} with "
            f"page cache, limit hit {group['refused']} times"
        )
    return "\n".join(lines)


def main() -> int:
    given = arguments()
    try:
        check(given)
        plan = plan_of(given)
        run = measured(given, load(given.corpus, given.cache))
    except (LoadFailed, NoManual, NotMeasured) as error:
        sys.exit(str(error))
    except httpx.HTTPError as error:
        sys.exit(f"the stack does not answer: {error}")
    components = plan["components"]
    run["shared_buffers_mib"] = components["postgres"]["settings"]["shared_buffers_mib"]
    run["replicas"] = {name: replicas(component) for name, component in components.items() if "replicas" in component}
    run["basis"] = plan["basis"] | {"profile": plan["profile"]}
    run["rows"] = rows(run, components, None if given.fit else fitted())
    for file in filter(None, (given.result, FIT if given.fit else None)):
        file.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(run, indent=1) if given.json else table(run))
    short = missed(run["rows"])
    for line in short:
        print(line, file=sys.stderr)
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
