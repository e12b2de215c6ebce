# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real Garage for tests: nodes to start, and a client that is not the module's."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import obstore.store
from module_runner import CANARY, wait_for_port

from tests.ports import free_port


@dataclass
class Refused(Exception):
    """The server's refusal of a request of the test's own client."""

    status: int
    body: str


@dataclass
class Node:
    """One Garage process that listens on 127.0.0.1."""

    folder: Path
    s3_port: int
    rpc_port: int
    admin_port: int
    token: str = field(default=CANARY, repr=False)
    process: subprocess.Popen[bytes] | None = None

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.admin_port}"

    @property
    def s3_url(self) -> str:
        return f"http://127.0.0.1:{self.s3_port}"

    @property
    def id(self) -> str:
        nodes = self.call("GetClusterStatus")["nodes"]
        return str(next(one["id"] for one in nodes if one["addr"] == f"127.0.0.1:{self.rpc_port}"))

    def call(self, endpoint: str, body: Any = None, **query: str) -> Any:
        """GET, or POST when there is a body."""
        url = f"{self.admin_url}/v2/{endpoint}" + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        try:
            with urlopen(Request(url, data, {"Authorization": f"Bearer {self.token}"}), timeout=20) as answer:
                return json.loads(answer.read() or b"null")
        except HTTPError as error:
            raise Refused(error.code, error.read().decode()) from error

    def find(self, endpoint: str, **query: str) -> Any:
        """Like `call`; None when there is no such thing."""
        try:
            return self.call(endpoint, **query)
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    def bucket(self, name: str) -> Any:
        return self.find("GetBucketInfo", globalAlias=name)

    def objects(self, bucket: str, key: tuple[str, str]) -> obstore.store.S3Store:
        """A public S3 client that knows nothing of ours."""
        return obstore.store.S3Store(
            bucket,
            endpoint=self.s3_url,
            access_key_id=key[0],
            secret_access_key=key[1],
            region="garage",
            virtual_hosted_style_request=False,
            client_options={"allow_http": True},
        )

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=30)


def start_node(binary: Path, folder: Path, replication: int = 1) -> Node:
    """A node without a role. Nodes of one test run share the RPC secret, so that they can be connected."""
    folder.mkdir()
    s3, rpc, admin = free_port(), free_port(), free_port()
    secret = hashlib.sha256(CANARY.encode()).hexdigest()
    config = folder / "garage.toml"
    config.write_text(
        f"""
        metadata_dir = "{folder}/meta"
        data_dir = "{folder}/data"
        db_engine = "sqlite"
        replication_factor = {replication}
        rpc_bind_addr = "127.0.0.1:{rpc}"
        rpc_public_addr = "127.0.0.1:{rpc}"
        rpc_secret = "{secret}"
        [s3_api]
        api_bind_addr = "127.0.0.1:{s3}"
        s3_region = "garage"
        [admin]
        api_bind_addr = "127.0.0.1:{admin}"
        admin_token = "{CANARY}"
        """
    )
    config.chmod(0o600)
    node = Node(folder, s3, rpc, admin)
    with (folder / "log").open("wb") as log:
        node.process = subprocess.Popen([str(binary), "-c", str(config), "server"], stdout=log, stderr=log)
    try:
        wait_for_port(admin, node.process)
        wait_for_port(s3, node.process)
    except BaseException:
        node.stop()
        raise
    return node
