# SPDX-License-Identifier: GPL-3.0-or-later
"""One deployment for all tests of this folder. A run of the role takes most of a minute, so that they share runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.local.deployment import Deployment, Run


@dataclass
class Foretold:
    """A check run on a machine that has nothing of the stack."""

    run: Run
    before: list[str]
    after: list[str]


@pytest.fixture(scope="session")
def bare() -> Iterator[Deployment]:
    """The machine before the deployment."""
    if os.geteuid() != 0:
        pytest.skip("the deployment tests make a service user and directories below /etc: run them as root")
    deployment = Deployment(Path(tempfile.mkdtemp(prefix="homelab-local-")))
    deployment.take_snapshot()

    def remove() -> None:
        if deployment.listing():
            deployment.run(local_stack_state="absent", local_stack_purge_data=True)
        assert deployment.listing() == []

    # What an interrupted run left, or one with a planted fault: programs without a supervisor.
    subprocess.run(["pkill", "-KILL", "-u", deployment.name], check=False)
    remove()
    yield deployment
    remove()
    shutil.rmtree(deployment.scratch)


@pytest.fixture(scope="session")
def foretold(bare: Deployment) -> Foretold:
    before = bare.listing()
    run = bare.run("--check")
    return Foretold(run, before, bare.listing())


@pytest.fixture(scope="session")
def deployed(bare: Deployment, foretold: Foretold) -> Run:
    return bare.run()


@pytest.fixture(scope="session")
def stack(bare: Deployment, deployed: Run) -> Deployment:
    return bare
