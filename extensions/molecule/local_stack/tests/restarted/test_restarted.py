# SPDX-License-Identifier: GPL-3.0-or-later
"""After a power cut, and after the death of the supervisor, with nobody logged in."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

testinfra_hosts = ["podman://homelab-molecule"]

SECONDS = 180
SERVERS = {"nats", "postgres", "oxigraph", "litellm", "llama-chat", "llama-embed"}
WORKERS = {"extract", "chunk", "embed", "graph", "delete", "reconcile", "query"}
SECTION = """
PREFIX dcterms: <http://purl.org/dc/terms/>
SELECT ?title WHERE { ?d dcterms:identifier "cellar.md" ; dcterms:hasPart ?s . ?s dcterms:title ?title }
"""


def wait_until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline, f"{what}: not within {SECONDS} s"
        time.sleep(1)


def found(host: Any) -> list[dict[str, Any]]:
    """Hits of a search; none as long as the stack does not answer."""
    searched = host.run("homelab search 'What is the pump called?' --json")
    return list(json.loads(searched.stdout)["data"]) if searched.rc == 0 else []


def test_it_came_back_by_itself_with_the_document(host: Any) -> None:
    # The machine did start anew, and nobody but systemd starts anything there.
    assert host.file("/var/tmp/before-the-power-cut").exists
    assert not host.file("/run/before-the-power-cut").exists
    wait_until(lambda: bool(found(host)), "the document is found again")
    assert "Agathe" in found(host)[0]["content"][0]["text"]
    graph = json.loads(host.check_output(f"homelab graph '{SECTION}' --json"))["results"]["bindings"]
    assert "Cellar" in [row["title"]["value"] for row in graph]
    assert host.check_output("systemctl --failed --no-legend") == ""


def test_it_takes_new_documents(host: Any) -> None:
    host.check_output("printf '# Attic\n\nThe antenna in the attic is called Bertha.\n' > /root/attic.md")
    assert "1 done" in host.check_output("homelab ingest /root/attic.md")


def test_a_dead_supervisor_is_started_again(host: Any) -> None:
    def supervisor() -> str:
        return str(host.check_output("systemctl show --property=MainPID --value homelab-local"))

    before = supervisor()
    host.check_output(f"kill -KILL {before}")
    wait_until(lambda: supervisor() not in ("0", before), "systemd starts the supervisor")
    wait_until(lambda: bool(found(host)), "the document is found again")


def test_a_stop_lets_workers_end_before_their_servers(host: Any) -> None:
    host.check_output("systemctl stop homelab-local")
    log = host.check_output("tail -n 40 /var/log/homelab/supervisord.log").splitlines()
    database = host.check_output("tail -n 1 /var/log/homelab/postgres.log")
    host.check_output("systemctl start homelab-local")
    start = max(number for number, line in enumerate(log) if "received SIGTERM" in line)
    gone = [line.split("stopped: ")[1].split()[0] for line in log[start:] if "stopped: " in line]
    servers = [program for program in gone if program in SERVERS]
    assert set(servers) == SERVERS and gone[-len(servers) :] == servers
    assert {re.sub(r"-\d+$", "", program) for program in gone} == SERVERS | WORKERS
    assert "database system is shut down" in database
