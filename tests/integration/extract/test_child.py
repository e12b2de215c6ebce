# SPDX-License-Identifier: GPL-3.0-or-later
"""The child dies, is replaced, is watched, and cannot get out."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from homelab_workers.adapters.docling import DoclingExtractor
from homelab_workers.errors import Crashed, Unavailable
from homelab_workers.ports import ExtractLimits

ENTRY = (str(Path(__file__).with_name("misbehaving.py")),)


class Harness:
    def __init__(self, folder: Path, extractor: DoclingExtractor) -> None:
        self.folder = folder
        self.extractor = extractor

    async def run(self, command: str, **limits: float) -> str:
        source = self.folder / "source"
        source.write_text(command)
        extraction = await self.extractor.extract(
            source,
            name="note.txt",
            mime_type=None,
            folder=self.folder,
            limits=ExtractLimits(**limits),  # type: ignore[arg-type]  # ints and floats by name
        )
        return extraction.structure.sections[0].blocks[0].text


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    harness = Harness(tmp_path, DoclingExtractor(tmp_path, entry=ENTRY, documents_per_child=3))
    yield harness
    await harness.extractor.close()
    assert not list(tmp_path.glob("extract-*"))  # no scratch folder is left behind


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    ("command", "code", "limits"),
    [
        ("eat", "out_of_memory", {"max_rss_mib": 200}),
        ("gulp", "out_of_memory", {"max_rss_mib": 200}),
        ("sleep", "timeout", {"max_seconds": 0.5}),
        ("die", "killed", {}),
        ("fall", "killed", {}),
    ],
)
async def test_crash_is_reported_and_the_next_document_works(
    harness: Harness, command: str, code: str, limits: dict[str, float]
) -> None:
    await harness.extractor.start()
    pid = harness.extractor.pid
    assert pid is not None
    with pytest.raises(Crashed) as caught:
        await harness.run(command, **limits)
    assert caught.value.code == code
    assert caught.value.message.startswith("note.txt: ")
    assert gone(pid)
    assert await harness.run("hello") == "hello"
    assert harness.extractor.pid != pid


async def test_crash_message_names_the_cause(harness: Harness) -> None:
    with pytest.raises(Crashed, match="SystemError: the parser tripped"):
        await harness.run("fall")
    with pytest.raises(Crashed, match="SIGKILL"):
        await harness.run("die")


async def test_killed_from_outside_midway(harness: Harness) -> None:
    await harness.extractor.start()
    pid = harness.extractor.pid
    assert pid is not None
    conversion = asyncio.create_task(harness.run("sleep"))
    await asyncio.sleep(0.3)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(Crashed) as caught:
        await conversion
    assert caught.value.code == "killed"
    assert await harness.run("again") == "again"


async def test_cancelled_conversion_ends_its_child(harness: Harness) -> None:
    await harness.extractor.start()
    pid = harness.extractor.pid
    assert pid is not None
    conversion = asyncio.create_task(harness.run("sleep"))
    await asyncio.sleep(0.3)
    conversion.cancel()
    with pytest.raises(asyncio.CancelledError):
        await conversion
    assert gone(pid)
    assert await harness.run("again") == "again"


async def test_prints_do_not_break_the_protocol(harness: Harness) -> None:
    assert await harness.run("chatter") == "said a lot"
    assert await harness.run("after") == "after"


async def test_replaced_after_so_many_documents(harness: Harness) -> None:
    pids = [json.loads(await harness.run("surroundings"))["pid"] for _unused in range(7)]
    assert [len({*pids[0:3]}), len({*pids[3:6]})] == [1, 1]
    assert len({*pids}) == 3


async def test_replaced_when_it_stays_large(tmp_path: Path) -> None:
    extractor = DoclingExtractor(tmp_path, entry=ENTRY, recycle_rss_mib=1)
    harness = Harness(tmp_path, extractor)
    first = json.loads(await harness.run("surroundings"))["pid"]
    assert gone(first)
    assert json.loads(await harness.run("surroundings"))["pid"] != first
    await extractor.close()


async def test_concurrent_calls_wait_for_each_other(harness: Harness) -> None:
    await asyncio.gather(*(harness.run("hello") for _unused in range(5)))
    assert harness.extractor.pid is not None


async def test_no_way_out(harness: Harness) -> None:
    results = json.loads(await harness.run("attempts"))
    assert results == {"unix": errno.EPERM, "inet": errno.EPERM, "inet6": errno.EPERM, "socketpair": "open"}


async def test_surroundings_hold_nothing_of_the_service(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GARAGE_SECRET_KEY", "canary")
    with (tmp_path / "held-open").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        seen = json.loads(await harness.run("surroundings"))
    assert "GARAGE_SECRET_KEY" not in seen["environment"]
    assert Path(seen["cwd"]).parent == tmp_path
    assert seen["environment"]["TMPDIR"] == seen["cwd"]
    assert not any("held-open" in target or target.startswith("socket:") for target in seen["descriptors"].values())
    assert seen["seccomp"]
    assert seen["no_new_privs"]


async def test_child_that_does_not_start(tmp_path: Path) -> None:
    extractor = DoclingExtractor(tmp_path, entry=("-c", "raise SystemExit('no parser here')"))
    with pytest.raises(Unavailable, match="no parser here"):
        await extractor.start()
    assert not list(tmp_path.glob("extract-*"))


async def test_dies_with_its_parent(tmp_path: Path) -> None:
    """The parent is killed, so nobody tells the child; its input ends too, but it is busy then."""
    parent = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("orphan.py")), str(tmp_path), *ENTRY],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert not gone(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    for _unused in range(100):
        if gone(pid) or "State:\tZ" in Path(f"/proc/{pid}/status").read_text():
            break
        await asyncio.sleep(0.05)
    else:
        pytest.fail(f"process {pid} outlives its parent")
