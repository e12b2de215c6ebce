# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was measured (tests/bench/results), what tuning says of it, and what users read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning import tune

from tests.bench import sizing_predict
from tests.unit.plugins.tuning.machines import DATA

RESULTS = Path(sizing_predict.__file__).with_name("results")
DOCS = Path(__file__).resolve().parents[4] / "docs" / "tuning.md"
FIT: dict[str, Any] = json.loads((RESULTS / "sizing-fit.json").read_text(encoding="utf-8"))
REPORTS: list[dict[str, Any]] = [
    json.loads((RESULTS / f"sizing-{name}.json").read_text(encoding="utf-8")) for name in ("report", "blind")
]
ROWS = [(report, row) for report in REPORTS for row in report["rows"]]


def test_floors_come_from_the_fitted_run() -> None:
    for row in FIT["rows"]:
        data = DATA["engines"]["text"] if row["component"] == "extract" else DATA["components"][row["component"]]
        assert data["measured"]["peak_mib"] == row["measured_mib"]


def test_the_reports_are_of_what_was_not_fitted() -> None:
    runs = [FIT, *REPORTS]
    assert (
        len({run["load"]["corpus"] for run in runs}) == len({run["cgroup"]["limit_mib"] for run in runs}) == len(runs)
    )
    components = [{row["component"] for row in run["rows"]} for run in runs]
    assert components == [components[0]] * len(runs)


@pytest.mark.parametrize(
    ("report", "row"), ROWS, ids=[f"{report['load']['corpus']}-{row['component']}" for report, row in ROWS]
)
def test_a_prediction_is_within_a_quarter_and_below_the_grant(report: dict[str, Any], row: dict[str, Any]) -> None:
    plan = {name: {"settings": DATA["settings"].get(name, {})} for name in DATA["components"]}
    plan["postgres"]["settings"] = {"shared_buffers_mib": report["shared_buffers_mib"]}
    plan |= {name: {"replicas": {"max": most}} for name, most in report["replicas"].items()}
    mib = sizing_predict.predicted(row["component"], plan, report["load"], FIT)
    assert mib == pytest.approx(row["predicted_mib"], abs=0.1)
    assert abs(row["measured_mib"] / row["predicted_mib"] - 1) <= 0.25
    assert row["measured_mib"] <= row["granted_mib"]


def test_users_read_the_same_numbers() -> None:
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    for _report, row in ROWS:
        cells = [row["component"], *(f"{row[key]:.0f}" for key in ("granted_mib", "predicted_mib", "measured_mib"))]
        assert f"| {' | '.join(cells)} | {row['off_percent']:+.1f} % |" in lines
    for name, run in zip(("fitted", "reported", "blind"), (FIT, *REPORTS), strict=True):
        (line,) = (line for line in lines if line.startswith(f"| {name}, {run['on']} |"))
        load = run["load"]
        assert f" {run['cgroup']['limit_mib'] // 1024} GiB |" in line
        # The stack holds each corpus twice.
        assert f" {load['chunks']} chunks, {load['triples'] // 2} triples; " in line
        assert line.endswith(f" {load['searches']} searches, {load['chats']} questions |")
    (sums,) = (line for line in lines if line.startswith("All processes together"))
    for key in ("held_mib", "most_mib", "refused"):
        assert all(str(run["cgroup"][key]) in sums for run in REPORTS)
    assert all(str(run["sum_mib"]) in sums for run in REPORTS)


@pytest.mark.parametrize("run", [FIT, *REPORTS], ids=lambda run: run["load"]["corpus"])
def test_what_was_measured_is_below_what_is_granted_now(run: dict[str, Any]) -> None:
    """A run has the grants of its day."""
    facts = {"memory_mib": run["cgroup"]["limit_mib"], "cores": run["basis"]["cores"], "has_avx2": True}
    components = tune(facts, "core", {})["components"]
    for row in run["rows"]:
        component = components[row["component"]]
        assert row["measured_mib"] <= component["limit"]["memory_mib"] * sizing_predict.replicas(component), row


def test_postgres_grows_with_its_buffers_and_its_data_up_to_them() -> None:
    of = sizing_predict.postgres_mib
    assert of(400, 100) - of(400, 60) == pytest.approx(40)
    assert of(400, 4000) == of(400, 400)
    # Beside a buffer of 8 KiB there are 124 bytes, and the WAL's buffers end at one segment.
    assert of(2048, 0) - of(1024, 0) == pytest.approx(1024 * 128 * 124 / 1024**2)
    assert of(320, 0) - of(0, 0) == pytest.approx(10 + 320 * 128 * 124 / 1024**2)


def test_oxigraph_grows_with_its_triples() -> None:
    fit = {"peaks": {"oxigraph": 50}, "load": {"triples": 1000}}
    assert sizing_predict.predicted("oxigraph", {}, {"triples": 1000 + 3 * 1024}, fit) == pytest.approx(53)


def test_each_process_counts() -> None:
    plan = {"extract": {"replicas": {"max": 3}}, "garage": {}, "query": {}}
    fit = {"peaks": {"extract": 200, "garage": 30, "query": 90}}
    found = {component: sizing_predict.predicted(component, plan, {}, fit) for component in plan}
    assert found == {"extract": 600, "garage": 33, "query": 90}


def test_a_component_that_was_not_fitted_has_no_prediction() -> None:
    assert sizing_predict.predicted("gateway", {}, {}, {"peaks": {}}) is None
