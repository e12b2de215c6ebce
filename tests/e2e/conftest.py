# SPDX-License-Identifier: GPL-3.0-or-later
"""A deployed stack as the end-to-end tests see it: its addresses and keys, and another client for each store.

HOMELAB_E2E (JSON: the variables of the deployment) names the stack; without it the tests use the one
that `homelab.ai.local` puts on this machine by default.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import nats
import psycopg
import pytest

from tests.integration.extract import documents
from tests.manual import NoManual, bash_manual

DEMO = Path(__file__).parents[2] / "demo" / "documents"
FINISHED = ("graphed", "failed", "superseded")


class Stack:
    """Everything that a test may ask of the running stack."""

    def __init__(self, variables: dict[str, Any]) -> None:
        self.name = variables.get("local_stack_name", "homelab")
        base = int(variables.get("local_stack_port_base", 20000))
        self.config = Path("/etc") / self.name
        self.data = Path("/var/lib") / self.name
        self.venv = Path("/opt") / self.name / "venv"
        self.url = f"http://127.0.0.1:{base + 8080}"
        self.admin_url = f"http://127.0.0.1:{base + 9107}"
        self.oxigraph_url = f"http://127.0.0.1:{base + 7878}"
        self._nats_port = base + 4222
        self._postgres_port = base + 5432
        self.api_key = self._secret("api-user")
        self._http = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {self.api_key}"}, timeout=120, trust_env=False
        )

    def _secret(self, name: str) -> str:
        return (self.config / "secrets" / name).read_text().strip()

    # ------------------------------------------------------------ other clients

    def nats_url(self, user: str) -> str:
        return f"nats://{user}:{self._secret(f'nats-{user}')}@127.0.0.1:{self._nats_port}"

    def postgres_url(self, role: str) -> str:
        password = self._secret(f"postgres-{'admin' if role == 'postgres' else role.removeprefix('homelab_')}")
        return f"postgresql://{role}:{password}@127.0.0.1:{self._postgres_port}/postgres"

    def triples_of(self, doc_id: str) -> int:
        query = f"SELECT (COUNT(*) AS ?n) WHERE {{ GRAPH <urn:homelab:doc:{UUID(doc_id)}> {{ ?s ?p ?o }} }}"
        headers = {"Accept": "application/sparql-results+json"}
        answer = httpx.get(f"{self.oxigraph_url}/query", params={"query": query}, headers=headers, timeout=30)
        return int(answer.json()["results"]["bindings"][0]["n"]["value"])

    def all_texts(self) -> list[str]:
        with psycopg.connect(self.postgres_url("postgres")) as connection:
            return [row[0] for row in connection.execute("SELECT chunk_text FROM embeddings").fetchall()]

    def raw_object(self, content: bytes) -> Path:
        sha256 = hashlib.sha256(content).hexdigest()
        return self.data / "objects" / "raw-documents" / sha256[:2] / sha256

    def purge(self, stream: str) -> None:
        async def purge() -> None:
            client = await nats.connect(self.nats_url("admin"), inbox_prefix=b"_INBOX_admin")
            try:
                await client.jetstream().purge_stream(stream)
            finally:
                await client.close()

        asyncio.run(purge())

    # ------------------------------------------------------------ the API

    def upload(self, name: str, content: bytes, collection: str) -> dict[str, Any]:
        response = self._http.post("/v1/documents", files={"file": (name, content)}, data={"collection": collection})
        response.raise_for_status()
        return dict(response.json())

    def document(self, doc_id: str) -> dict[str, Any] | None:
        response = self._http.get(f"/v1/documents/{doc_id}")
        if response.status_code == 404:
            return None
        response.raise_for_status()
        return dict(response.json())

    def finished(self, doc_id: str, *, seconds: float = 120) -> dict[str, Any]:
        """The document once its newest version is done, whichever way."""
        deadline = time.monotonic() + seconds
        while True:
            document = self.document(doc_id)
            if document is not None and document["state"] in FINISHED:
                return document
            assert time.monotonic() < deadline, f"{doc_id} is not finished after {seconds} s: {document}"
            time.sleep(0.1)

    def ingest(self, name: str, content: bytes, collection: str) -> dict[str, Any]:
        accepted = self.upload(name, content, collection)
        document = self.finished(accepted["id"])
        assert document["state"] == "graphed", document
        return document

    def delete(self, doc_id: str) -> None:
        self._http.delete(f"/v1/documents/{doc_id}").raise_for_status()
        deadline = time.monotonic() + 60
        while self.document(doc_id) is not None:
            assert time.monotonic() < deadline, f"{doc_id} is not deleted after 60 s"
            time.sleep(0.1)

    def search(self, query: str, collection: str, **more: Any) -> list[dict[str, Any]]:
        response = self._http.post(f"/v1/vector_stores/{collection}/search", json={"query": query, **more})
        response.raise_for_status()
        return list(response.json()["data"])

    def admin(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._secret('api-admin')}"}
        response = httpx.request(method, self.admin_url + path, headers=headers, timeout=60, **more)
        response.raise_for_status()
        return dict(response.json())

    def dead_letters(self) -> list[dict[str, Any]]:
        return list(self.admin("GET", "/admin/dlq")["data"])

    def put_object(self, uri: str, content: bytes) -> None:
        self.admin("PUT", "/admin/objects", params={"uri": uri}, content=content)

    # ------------------------------------------------------------ the command line and the processes

    def cli(self, *arguments: str, expect: int = 0) -> str:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "LANG": "C.UTF-8",
            "HOMELAB_URL": self.url,
            "HOMELAB_ADMIN_URL": self.admin_url,
            "HOMELAB_API_KEY_FILE": str(self.config / "secrets" / "api-user"),
            "HOMELAB_ADMIN_KEY_FILE": str(self.config / "secrets" / "api-admin"),
        }
        command = [str(self.venv / "bin" / "homelab"), *arguments]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == expect, f"{arguments}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def _supervise(self, verb: str, service: str) -> str:
        """For all processes of a service, one line each."""
        programs = (self.config / "programs" / "workers.conf").read_text()
        names = re.findall(rf"^\[program:({service}(?:-\d+)?)\]$", programs, re.MULTILINE) or [service]
        control = [str(self.venv / "bin" / "supervisorctl"), "-c", str(self.config / "supervisord.conf"), verb, *names]
        return subprocess.run(control, capture_output=True, text=True, check=True, timeout=120).stdout.strip()

    def signal(self, service: str, number: int) -> None:
        for process in self._supervise("pid", service).split():
            os.kill(int(process), number)

    def kill(self, service: str) -> None:
        """The supervisor starts it again."""
        self.signal(service, signal.SIGKILL)

    def stop(self, service: str) -> None:
        self._supervise("stop", service)

    def start(self, service: str) -> None:
        self._supervise("start", service)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    yield Stack(json.loads(os.environ.get("HOMELAB_E2E", "{}")))


@pytest.fixture(scope="session")
def handbook() -> Path:
    return DEMO / "handbook.pdf"


@pytest.fixture(scope="session")
def bashref(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return bash_manual(tmp_path_factory.mktemp("bash-doc"))
    except NoManual as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def encrypted_pdf() -> bytes:
    return documents.pdf([[documents.Run("secret text", 72, 700)]], user_password="nobody knows it")


@pytest.fixture(scope="session")
def image_pdf() -> bytes:
    """One page that is a picture and holds no text."""
    return documents.pdf([[]], image=True)
