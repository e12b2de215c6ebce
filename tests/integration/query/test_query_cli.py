# SPDX-License-Identifier: GPL-3.0-or-later
"""The `homelab` command against the running services: what it prints, and its exit codes."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import nats
import pytest
from conftest import Nats

from homelab_workers.adapters.jetstream import JetStream
from homelab_workers.cli import main
from homelab_workers.contracts import DeadLetter, Location
from homelab_workers.errors import Unavailable
from homelab_workers.runtime.admin import admin_routes
from homelab_workers.runtime.health import health_app, serving
from homelab_workers.runtime.reconciler import Reconciler
from tests.ports import free_port

from .rig import KEY, Doc, QueryRig

_numbers = itertools.count(1)
ADMIN_KEY = "hl-admin-key"


def collection() -> str:
    return f"cli-{next(_numbers)}"


class Cli:
    """Runs the command in a thread, as its user would in another process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    async def __call__(self, *arguments: str) -> tuple[int, str, str]:
        def call() -> int:
            try:
                main(arguments)
            except SystemExit as exit:
                assert isinstance(exit.code, int)
                return exit.code
            raise AssertionError("main returned without an exit code")

        self._capsys.readouterr()
        code = await asyncio.to_thread(call)
        out, err = self._capsys.readouterr()
        return code, out, err

    async def json(self, *arguments: str) -> tuple[int, Any]:
        code, out, _unused = await self(*arguments, "--json")
        return code, json.loads(out)


@pytest.fixture
def cli(rig: QueryRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    key = tmp_path / "key"
    key.write_text(KEY + "\n")
    for name in ("HOMELAB_API_KEY", "HOMELAB_ADMIN_KEY", "HOMELAB_URL", "HOMELAB_ADMIN_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("homelab_workers.cli.ingest.POLL_SECONDS", 0.02)
    file = tmp_path / "config" / "homelab" / "cli.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"url": rig.url, "api_key_file": str(key), "admin_url": "http://127.0.0.1:9"}))
    return Cli(capsys)


@contextlib.asynccontextmanager
async def pipeline(rig: QueryRig, verdict: Callable[[str], str | None]) -> AsyncIterator[None]:
    """Ends each received version: with None as graphed, else as failed with that code."""

    async def run() -> None:
        while True:
            await asyncio.sleep(0.02)
            for doc_id, version, name in rig.sql(
                "SELECT v.document_id, v.version, d.metadata ->> 'name' FROM document_versions v"
                " JOIN documents d ON d.id = v.document_id WHERE v.state = 'received'"
            ):
                code = verdict(name)
                async with rig.owner.unit(doc_id) as unit:
                    if code is None:
                        await unit.graphed(doc_id, version)
                    else:
                        await unit.fail(
                            doc_id, version, code=code, message=f"{name} is {code}", fix="none", stage="extract"
                        )
                if code is None:
                    rig.sql(
                        "UPDATE document_versions SET state = 'graphed' WHERE document_id = %s AND version = %s",
                        doc_id,
                        version,
                    )
                    rig.sql("UPDATE documents SET active_version = %s WHERE id = %s", version, doc_id)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def folder(tmp_path: Path) -> Path:
    root = tmp_path / "house"
    (root / "deep").mkdir(parents=True)
    (root / ".git").mkdir()
    (root / "a.md").write_text("alpha")
    (root / "deep" / "b.md").write_text("beta")
    (root / ".hidden").write_text("x")
    (root / ".git" / "config").write_text("x")
    return root


async def test_ingest_a_folder_and_again(rig: QueryRig, cli: Cli, tmp_path: Path) -> None:
    where = collection()
    root = folder(tmp_path)
    async with pipeline(rig, lambda name: None):
        code, report = await cli.json("ingest", str(root), "-c", where)
    assert code == 0
    assert sorted((d["name"], d["status"]) for d in report["documents"]) == [
        ("house/a.md", "done"),
        ("house/deep/b.md", "done"),
    ]
    sources = rig.sql("SELECT source_id FROM documents WHERE collection = %s ORDER BY 1", where)
    assert sources == [(f"upload:{where}/house/a.md",), (f"upload:{where}/house/deep/b.md",)]
    (root / "a.md").write_text("alpha, edited")
    async with pipeline(rig, lambda name: None):
        code, out, err = await cli("ingest", str(root), "-c", where)
    assert code == 0
    assert "1 done, 1 unchanged" in out
    assert "[2/2]" in err and "unchanged: house/deep/b.md" in err
    assert rig.sql("SELECT count(*) FROM documents WHERE collection = %s", where) == [(2,)]


async def test_some_failed_and_all_failed(rig: QueryRig, cli: Cli, tmp_path: Path) -> None:
    where = collection()
    root = folder(tmp_path)
    async with pipeline(rig, lambda name: "encrypted" if name.endswith("a.md") else None):
        code, out, _unused = await cli("ingest", str(root), "-c", where)
    assert code == 3
    assert "encrypted" in out and "house/a.md is encrypted" in out
    async with pipeline(rig, lambda name: "encrypted"):
        code, _unused, _unused = await cli("ingest", str(root / "a.md"), "-c", collection())
    assert code == 1


async def test_without_waiting(rig: QueryRig, cli: Cli, tmp_path: Path) -> None:
    code, report = await cli.json("ingest", str(folder(tmp_path)), "--no-wait", "--as", "cottage", "-c", collection())
    assert code == 0
    assert {d["status"] for d in report["documents"]} == {"received"}
    assert {d["name"] for d in report["documents"]} == {"cottage/a.md", "cottage/deep/b.md"}


async def test_too_large_is_a_reason(rig: QueryRig, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "big.bin").write_bytes(b"x" * ((1 << 20) + 1))
    code, report = await cli.json("ingest", str(tmp_path / "big.bin"), "-c", collection())
    assert code == 1 and "1048576" in report["documents"][0]["reason"]


POWER = Doc("power.md", [("Power", 2, "The UPS holds the rack for 14 minutes after a power cut.")])


async def test_search_ask_and_graph(rig: QueryRig, cli: Cli) -> None:
    where = collection()
    doc_id = await rig.serve(Doc(POWER.name, POWER.chunks, where))
    question = "how long does the UPS hold the rack after a power cut"
    code, out, _unused = await cli("search", question, "-c", where)
    assert code == 0 and "1. power.md, page 2, Power  (score 0." in out
    for mode in ("vector", "lexical"):
        _unused, page = await cli.json("search", question, "-c", where, "--mode", mode)
        assert page["homelab"]["retrieval"] == mode
    code, page = await cli.json("search", question, "-c", where)
    assert code == 0 and page["data"][0]["file_id"] == str(doc_id)

    rig.chat.pieces = ["The UPS holds ", "the rack for 14 minutes [1]", "."]
    code, out, _unused = await cli("ask", *question.split(), "-c", where)
    assert code == 0
    assert out.startswith("The UPS holds the rack for 14 minutes [1].\n")
    assert "[1] power.md, page 2, Power" in out and "\u201cThe UPS holds the rack for 14 minutes" in out
    assert "model: scripted" in out
    code, completion = await cli.json("ask", question, "-c", where)
    assert code == 0 and completion["homelab"]["citations"][0]["document_id"] == str(doc_id)

    query = f"SELECT ?t {{ <urn:homelab:doc:{doc_id}> <http://purl.org/dc/terms/title> ?t }}"
    code, out, err = await cli("graph", query)
    assert code == 0 and "power" in out and "1 rows" in err
    code, out, _unused = await cli("graph", query.replace("SELECT ?t", "ASK"))
    assert (code, out) == (0, "yes\n")
    code, _unused, err = await cli("graph", "DROP ALL")
    assert code == 1 and "cannot be read" in err


async def test_an_answer_in_passages_says_what_is_missing(rig: QueryRig, cli: Cli) -> None:
    where = collection()
    await rig.serve(Doc(POWER.name, POWER.chunks, where), graph=False)
    rig.embedder.error = Unavailable("models", "refused")
    rig.chat.pieces = []
    code, _unused, err = await cli("ask", "UPS rack power cut", "-c", where)
    assert code == 0
    assert err.count("degraded: ") == 3


async def test_terminal_sequences_of_documents_do_not_reach_the_terminal(rig: QueryRig, cli: Cli) -> None:
    where = collection()
    await rig.serve(Doc("a\x1b[2J.md", [("P", 1, "red \x1b]0;owned\x07 lamp \u202e")], where))
    _unused, out, err = await cli("search", "red lamp", "-c", where)
    assert "lamp" in out
    assert not {"\x1b", "\x07", "\u202e"} & set(out + err)


async def test_status_and_rm(rig: QueryRig, cli: Cli) -> None:
    where = collection()
    doc_id = await rig.serve(Doc("power.md", POWER.chunks, where))
    code, out, _unused = await cli("status", "-c", where)
    assert code == 0 and str(doc_id) in out and "graphed" in out
    code, found = await cli.json("status", "power.md", "-c", where)
    assert code == 0 and found["id"] == str(doc_id)
    code, _unused, err = await cli("status", "nothing.md", "-c", where)
    assert code == 1 and "fix:" in err
    code, out, _unused = await cli("delete", "power.md", "-c", where)
    assert code == 0 and "no longer served" in out
    code, found = await cli.json("status", str(doc_id))
    assert found["state"] == "deleting"


async def test_usage_and_reachability(rig: QueryRig, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await cli("ingest", str(tmp_path / "nowhere")))[0] == 2
    assert (await cli("graph"))[0] == 2
    assert (await cli("frobnicate"))[0] == 2
    monkeypatch.setenv("HOMELAB_API_KEY", "wrong")
    code, _unused, err = await cli("search", "x")
    assert code == 1 and "HOMELAB_API_KEY" in err
    monkeypatch.setenv("HOMELAB_URL", "http://127.0.0.1:9")
    code, _unused, err = await cli("search", "x")
    assert code == 4 and "127.0.0.1:9" in err and "fix:" in err


@pytest.fixture
async def admin(rig: QueryRig, nats_server: Nats, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[JetStream]:
    """The reconciler's admin routes over real NATS, with the DLQ and a stream for what is replayed."""
    bus = await JetStream.connect(nats_server.url, name="reconcile")
    connection = await nats.connect(nats_server.url)
    js = connection.jetstream()
    await js.add_stream(name="DLQ", subjects=["dlq.>"])
    await js.add_stream(name="INGEST", subjects=["doc.>"])
    keys = json.dumps({hashlib.sha256(ADMIN_KEY.encode()).hexdigest(): {"name": "admin", "admin": True}})
    reconciler = Reconciler(rig.owner, bus, model="hashed", grace_seconds=60)
    port = free_port()
    app = health_app({}, admin_routes(rig.owner, bus, rig.objects, reconciler, keys))
    monkeypatch.setenv("HOMELAB_ADMIN_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("HOMELAB_ADMIN_KEY", ADMIN_KEY)
    try:
        async with serving(app, "127.0.0.1", port):
            yield bus
    finally:
        await js.delete_stream("DLQ")
        await js.delete_stream("INGEST")
        await connection.close()
        await bus.close()


async def test_dead_letters(rig: QueryRig, cli: Cli, admin: JetStream) -> None:
    for number in (1, 2):
        letter = DeadLetter(
            original_subject="doc.ingest.requested",
            original={"source_uri": f"s3://raw-documents/{number}.pdf", "schema_version": 1},
            reason="encrypted",
            message=f"{number}.pdf is encrypted",
            fix="remove the password",
            stage="extract",
            deliveries=1,
            first_seen=datetime(2026, 1, 1, tzinfo=UTC),
            doc_id=UUID(int=number),
        )
        await admin.publish(letter, msg_id=None, subject="dlq.doc.ingest.requested")
    code, listed = await cli.json("dlq", "list")
    assert code == 0
    sequences = [entry["sequence"] for entry in listed["data"]]
    assert [entry["message"] for entry in listed["data"]] == ["2.pdf is encrypted", "1.pdf is encrypted"]
    code, out, _unused = await cli("dlq", "list", "-n", "1")
    assert code == 0 and "2.pdf" in out and "1.pdf" not in out
    code, out, _unused = await cli("dlq", "show", str(sequences[0]))
    assert code == 0 and json.loads(out)["fix"] == "remove the password"
    code, _unused, _unused = await cli("dlq", "replay", str(sequences[0]))
    assert code == 0
    first, last, _unused = await admin.stream_bounds("INGEST")
    stored = await admin.stored("INGEST", last)
    assert first == last and stored is not None and json.loads(stored[1])["source_uri"] == "s3://raw-documents/2.pdf"
    code, _unused, _unused = await cli("dlq", "drop", str(sequences[1]))
    assert code == 0
    code, _unused, err = await cli("dlq", "show", str(sequences[1]))
    assert code == 1 and "dlq list" in err


async def test_put(rig: QueryRig, cli: Cli, admin: JetStream, tmp_path: Path) -> None:
    file = tmp_path / "test.pdf"
    file.write_bytes(b"%PDF-1.7 " * 1000)
    code, result = await cli.json("put", "s3://raw-documents/test.pdf", str(file))
    assert code == 0 and result["bytes"] == 9000
    assert await rig.objects.get(Location("raw-documents", "test.pdf")) == file.read_bytes()
    code, _unused, err = await cli("put", "s3://raw-documents/../x", str(file))
    assert code == 1 and ".." in err


async def test_doctor(rig: QueryRig, cli: Cli, admin: JetStream, monkeypatch: pytest.MonkeyPatch) -> None:
    code, report = await cli.json("doctor")
    checks = {check["name"]: check for check in report["checks"]}
    assert code == 1
    assert checks["the query service"]["ok"] and checks["the reconciler"]["ok"]
    assert checks["the query service key"]["ok"] and checks["the reconciler key"]["ok"]
    assert not checks["the query service -> graph"]["ok"]
    monkeypatch.setenv("HOMELAB_ADMIN_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("HOMELAB_API_KEY", "wrong")
    code, out, _unused = await cli("doctor")
    assert code == 4
    assert "FAIL the reconciler:" in out and "FAIL the query service key:" in out and out.count("fix:") >= 3
