# SPDX-License-Identifier: GPL-3.0-or-later
"""How many checks passed, failed and were skipped, and how to read that from pytest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree


@dataclass(frozen=True)
class Counts:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def from_junit(report: Path, exit_code: int) -> Counts:
    """Counts of a pytest run that left `report`, a JUnit XML file, and `exit_code`.

    A run that did not get as far as its report, that collected nothing, or that failed outside of any test counts as
    one failure: silence is never success.
    """
    if not report.exists():
        return Counts(failed=1)
    tests, broken, left_out = set(), set(), set()
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        # By name: a test that fails and whose teardown fails too is reported twice, but is one.
        name = (case.get("classname"), case.get("name"))
        tests.add(name)
        if case.find("failure") is not None or case.find("error") is not None:
            broken.add(name)
        elif case.find("skipped") is not None:
            left_out.add(name)
    failed = len(broken)
    if exit_code != 0 and not broken:
        failed = 1
    return Counts(len(tests - broken - left_out), failed, len(left_out - broken))
