# SPDX-License-Identifier: GPL-3.0-or-later
"""What the local stack takes from the system beside its wheels."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).resolve().parents[3] / "roles/local_stack/files/preflight.py"
PREFLIGHT = runpy.run_path(str(FILE))


def test_a_missing_library_is_named_with_its_package() -> None:
    problem = PREFLIGHT["library_problem"](sys.executable, "libnone-of-this-name.so.1", "libnone1")
    assert problem.startswith("libnone-of-this-name.so.1 is missing")
    assert problem.endswith("install it (Debian: apt-get install libnone1).")


def test_a_library_that_is_there_is_no_problem() -> None:
    assert PREFLIGHT["library_problem"](sys.executable, "libc.so.6", "libc6") is None


def test_a_processor_without_avx2_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    check = PREFLIGHT["llama_problems"]
    monkeypatch.setitem(check.__globals__, "library_problem", lambda *_unused: None)
    monkeypatch.setitem(check.__globals__, "has_avx2", lambda: False)
    (problem,) = check("x86_64", sys.executable)
    assert "no AVX2" in problem and "set local_stack_chat and local_stack_embed to a base_url" in problem
    assert check("aarch64", sys.executable) == []


@pytest.mark.parametrize(("models", "asked"), [(["--llama"], True), ([], False)])
def test_what_models_need_is_asked_only_where_they_run(tmp_path: Path, models: list[str], asked: bool) -> None:
    """The way out would be none otherwise."""
    code = f"""
import runpy, sys
main = runpy.run_path({str(FILE)!r})["main"]
main.__globals__["has_avx2"] = lambda: False
main.__globals__["platform"].machine = lambda: "x86_64"
main()
"""
    arguments = [f"--data-dir={tmp_path}", f"--python={sys.executable}", f"--config={tmp_path}/none", "--ports=1"]
    arguments += ["--port-variable=local_stack_port_base", "--disk-mib=0", "--memory-mib=0", *models]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert ("no AVX2" in done.stdout) == asked, done.stdout + done.stderr
