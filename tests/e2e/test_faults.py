# SPDX-License-Identifier: GPL-3.0-or-later
"""Every worker is killed once in the middle of a long document; the document completes all the same."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nats
import psycopg
import pytest
from conftest import Stack

Row = dict[str, Any]


def version_row(stack: Stack, doc_id: str) -> Row:
    with psycopg.connect(stack.postgres_url("postgres"), row_factory=psycopg.rows.dict_row) as connection:
        row = connection.execute(
            "SELECT state, attempts, chunks_total, chunks_pending FROM document_versions WHERE document_id = %s",
            (doc_id,),
        ).fetchone()
    assert row is not None
    return row


def wait_row(stack: Stack, doc_id: str, reached: Callable[[Row], bool], *, seconds: float) -> Row:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        row = version_row(stack, doc_id)
        if reached(row):
            return row
        time.sleep(0.02)
    raise AssertionError(f"the state was not reached in {seconds} s, it is {version_row(stack, doc_id)}")


def killed_inside(stack: Stack, doc_id: str, state: str, lock: str, service: str) -> None:
    """Kills the service of the next stage while it waits for a lock inside its work, which the test holds.

    The service sleeps until the stage before it is done, because that one needs the lock too.
    """
    wait_row(stack, doc_id, lambda row: row["state"] == state, seconds=240)
    with psycopg.connect(stack.postgres_url("postgres")) as connection:
        connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (f"{lock}:{doc_id}",))
        stack.signal(service, signal.SIGCONT)
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND wait_event = 'advisory'"
        deadline = time.monotonic() + 90
        while connection.execute(waiting, (f"homelab-{service}",)).fetchone() != (1,):
            assert time.monotonic() < deadline, f"{service} never waited for {lock}:{doc_id}"
            time.sleep(0.02)
        assert version_row(stack, doc_id)["state"] == state
        stack.kill(service)


@pytest.fixture
def asleep(stack: Stack) -> Iterator[None]:
    """The services that take a document over sleep; whatever the test did, they are awake after it."""
    for service in ("chunk", "graph"):
        stack.signal(service, signal.SIGSTOP)
    yield
    for service in ("chunk", "graph"):
        stack.signal(service, signal.SIGCONT)


@pytest.mark.usefixtures("asleep")
def test_every_worker_is_killed_once_in_the_middle(stack: Stack, bashref: Path) -> None:
    accepted = stack.upload("bashref.pdf", bashref.read_bytes(), "killed")
    doc_id = accepted["id"]
    wait_row(stack, doc_id, lambda row: row["state"] == "received" and row["attempts"] == 1, seconds=60)
    stack.kill("extract")
    assert version_row(stack, doc_id)["state"] == "received"
    killed_inside(stack, doc_id, "extracted", "doc", "chunk")
    wait_row(
        stack,
        doc_id,
        lambda row: row["state"] == "chunked" and 0 < row["chunks_pending"] < row["chunks_total"],
        seconds=240,
    )
    stack.kill("embed")
    killed_inside(stack, doc_id, "embedded", "graph", "graph")
    document = stack.finished(doc_id, seconds=400)
    assert document["state"] == "graphed"
    row = version_row(stack, doc_id)
    with psycopg.connect(stack.postgres_url("postgres")) as connection:
        stored, different = connection.execute(
            "SELECT count(*), count(DISTINCT chunk_index) FROM embeddings WHERE document_id = %s", (doc_id,)
        ).fetchone() or (0, 0)
    assert stored == different == row["chunks_total"] > 100
    stack.delete(doc_id)
    assert stack.triples_of(doc_id) == 0


async def _send(stack: Stack, payload: bytes) -> None:
    client = await nats.connect(stack.nats_url("client"), inbox_prefix=b"_INBOX_client")
    try:
        await client.jetstream().publish("doc.ingest.requested", payload)
    finally:
        await client.close()


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        (b"{", "payload"),
        (json.dumps({"source_uri": "file:///etc/shadow"}).encode(), "file:///etc/shadow"),
        (json.dumps({"source_uri": "s3://raw-documents/../../etc/shadow"}).encode(), ".."),
        (json.dumps({"source_uri": "http://127.0.0.1:1/"}).encode(), "s3://"),
    ],
)
def test_a_bad_event_is_a_dead_letter_that_the_command_line_shows(stack: Stack, payload: bytes, named: str) -> None:
    before = {letter["sequence"] for letter in stack.dead_letters()}
    asyncio.run(_send(stack, payload))
    deadline = time.monotonic() + 30
    while not (new := [letter for letter in stack.dead_letters() if letter["sequence"] not in before]):
        assert time.monotonic() < deadline, "no dead letter came"
        time.sleep(0.1)
    (letter,) = new
    assert letter["reason"] == "malformed_event" and named in letter["message"] and letter["fix"]


def test_a_replayed_dead_letter_runs_again(stack: Stack) -> None:
    uri = "s3://raw-documents/late/arrival.md"
    before = {letter["sequence"] for letter in stack.dead_letters()}
    asyncio.run(_send(stack, json.dumps({"source_uri": uri, "metadata": {"collection": "late"}}).encode()))
    deadline = time.monotonic() + 30
    while not (new := [letter for letter in stack.dead_letters() if letter["sequence"] not in before]):
        assert time.monotonic() < deadline, "no dead letter came"
        time.sleep(0.1)
    assert new[0]["reason"] == "object_missing"
    stack.put_object(uri, b"# Late\nThe late arrival is a capybara.\n")
    stack.cli("dlq", "replay", str(new[0]["sequence"]))
    deadline = time.monotonic() + 60
    while not any("capybara" in hit["content"][0]["text"] for hit in stack.search("Who arrived late?", "late")):
        assert time.monotonic() < deadline, "the replayed document is not searchable"
        time.sleep(0.2)


def test_what_the_bus_lost_is_sent_again(stack: Stack) -> None:
    """A version whose event nobody holds any more: the reconciler finds it in the catalog."""
    stack.stop("chunk")
    try:
        doc_id = stack.upload("lost.md", b"# Lost\nThe otter survives the loss.\n", "lost")["id"]
        wait_row(stack, doc_id, lambda row: row["state"] == "extracted", seconds=60)
        stack.purge("INGEST")
    finally:
        stack.start("chunk")
    with psycopg.connect(stack.postgres_url("postgres")) as connection:
        connection.execute(
            "UPDATE document_versions SET updated_at = now() - interval '1 hour' WHERE document_id = %s", (doc_id,)
        )
    assert stack.admin("POST", "/admin/reconcile")["sent_again"] >= 1
    assert stack.finished(doc_id)["state"] == "graphed"
