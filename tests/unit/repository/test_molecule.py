# SPDX-License-Identifier: GPL-3.0-or-later
"""Each role has a Molecule scenario that verifies something: Molecule itself passes a scenario without tests."""

from __future__ import annotations

import pytest
import yaml

from tests.run.stage import ROOT

SCENARIOS = ROOT / "extensions" / "molecule"
BASE = yaml.safe_load((SCENARIOS / "config.yml").read_text())
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())


def test_scenarios_are_those_of_the_roles() -> None:
    assert sorted(path.parent.name for path in SCENARIOS.glob("*/molecule.yml")) == ROLES


@pytest.mark.parametrize("role", ROLES)
def test_a_scenario_checks_converges_repeats_and_verifies(role: str) -> None:
    own = yaml.safe_load((SCENARIOS / role / "molecule.yml").read_text()) or {}
    steps = [step.split() for step in (BASE | own).get("scenario", BASE["scenario"])["test_sequence"]]
    names = [step[0] for step in steps]
    wanted = ["check", "converge", "idempotence", "verify"]
    assert [name for name in dict.fromkeys(names) if name in wanted] == wanted
    verified = [step[1] if len(step) > 1 else "tests" for step in steps if step[0] == "verify"]
    for folder in verified:
        tests = list((SCENARIOS / role / folder).rglob("test_*.py"))
        assert any("\ndef test_" in test.read_text() for test in tests), f"{role}/{folder} tests nothing"
