# SPDX-License-Identifier: GPL-3.0-or-later
"""The sum of a test run is right, and nothing that went wrong counts as passed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.run.__main__ import run
from tests.run.counts import Counts, from_junit
from tests.run.stage import Context, NotRun, Stage, known_files, run_pytest, select
from tests.run.stages import STAGES

SUITE = """
import pytest
def test_passes(): pass
def test_fails(): assert False
@pytest.mark.skip(reason="shown")
def test_skips(): pass
@pytest.fixture
def broken():
    yield
    raise RuntimeError
def test_fails_twice(broken): assert False
"""


def counts_of(folder: Path, text: str) -> Counts:
    folder.joinpath("test_sample.py").write_text(text)
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", str(folder)]
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True)
    return from_junit(report, done.returncode)


def test_counts_of_a_suite(tmp_path: Path) -> None:
    assert counts_of(tmp_path, SUITE) == Counts(passed=1, failed=2, skipped=1)


@pytest.mark.parametrize("text", ["", "import missing_module", "raise SystemExit(3)"])
def test_a_suite_that_did_not_run_is_a_failure(tmp_path: Path, text: str) -> None:
    assert counts_of(tmp_path, text).failed == 1


def test_no_report_is_a_failure(tmp_path: Path) -> None:
    assert from_junit(tmp_path / "absent.xml", 0) == Counts(failed=1)


def test_missing_folder_is_a_failure(tmp_path: Path) -> None:
    assert run_pytest(Context(tmp_path, {}), "tests/unit/absent") == Counts(failed=1)


def test_stage_that_cannot_run_says_so_and_is_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(context: Context) -> Counts:
        raise NotRun("no AVX2")

    assert run(Stage("x", "x", refuse), Context(tmp_path, {})) == Counts(skipped=1)
    assert "NOT RUN: no AVX2\n" in capsys.readouterr().out


def test_stages_are_selected_by_name_or_group() -> None:
    assert select(STAGES, []) == STAGES
    assert {stage.group for stage in select(STAGES, ["lint"])} == {"lint"}
    assert [stage.name for stage in select(STAGES, ["yamllint"])] == ["yamllint"]
    with pytest.raises(ValueError, match="no stage or group is called lnit"):
        select(STAGES, ["lnit"])


def test_every_test_file_is_in_a_stage() -> None:
    """But those for machines that are there already: Molecule's, and what users run on theirs."""
    folders = tuple(f"{stage.name}/" for stage in STAGES if stage.name.startswith("tests/"))
    files = [name for name in known_files() if Path(name).name.startswith("test_") and name.endswith(".py")]
    elsewhere = ("extensions/molecule/", "tests/host/")
    assert len(files) > 80
    assert [name for name in files if not name.startswith((*folders, *elsewhere))] == []


def test_sum() -> None:
    total = Counts(1, 2, 3) + Counts(10, 20, 30)
    assert str(total) == "11 passed, 22 failed, 33 skipped"
