# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that is started by the rendered script."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

SCRATCH = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "scratch"
URL = "http://127.0.0.1:17878"


@pytest.fixture(scope="module")
def server() -> Iterator[httpx.Client]:
    with (SCRATCH / "log").open("wb") as log:
        process = subprocess.Popen([SCRATCH / "config" / "oxigraph"], stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=URL, trust_env=False) as client:
            deadline = time.monotonic() + 60
            while True:
                try:
                    client.get("/")
                    break
                except httpx.TransportError:
                    assert process.poll() is None and time.monotonic() < deadline, (SCRATCH / "log").read_text()
                    time.sleep(0.1)
            yield client
    finally:
        process.terminate()
        process.wait(30)


def test_a_query_without_a_graph_sees_every_document(server: httpx.Client) -> None:
    for number in (1, 2):
        triple = f'<urn:d:{number}> <urn:p> "{number}" .'
        graph = {"graph": f"urn:homelab:doc:{number}"}
        server.put("/store", params=graph, content=triple, headers={"Content-Type": "text/turtle"}).raise_for_status()
    query = {"query": "SELECT ?o WHERE { ?s <urn:p> ?o } ORDER BY ?o"}
    answer = server.get("/query", params=query, headers={"Accept": "application/sparql-results+json"})
    assert [row["o"]["value"] for row in answer.json()["results"]["bindings"]] == ["1", "2"]


def test_the_store_lies_where_it_was_told(server: httpx.Client) -> None:
    assert server.get("/").status_code == 200
    assert (SCRATCH / "store" / "CURRENT").is_file()


def test_the_script_is_closed_to_others() -> None:
    assert (SCRATCH / "config" / "oxigraph").stat().st_mode & 0o777 == 0o750
