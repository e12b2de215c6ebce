# SPDX-License-Identifier: Apache-2.0
"""The parent's side of one child: start, one job at a time, watch over memory and time, end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import homelab_workers

from ...errors import Crashed, Unavailable
from .protocol import Job, Reply

_LOOK_EVERY = 0.2
_START_SECONDS = 120.0
"""Importing the parsers takes 3 s on a quiet machine; 17 s were seen at a load of 8 on 2 cores."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PACKAGE_ROOT = Path(homelab_workers.__file__).parents[1]
_LOG = "child.log"
_LOG_TAIL = 300


class Child:
    """A confined process with a scratch folder of its own."""

    def __init__(self, process: asyncio.subprocess.Process, scratch: Path) -> None:
        self._process = process
        self._scratch = scratch
        self.documents = 0

    @property
    def pid(self) -> int:
        return self._process.pid

    @classmethod
    async def start(cls, work_dir: Path, entry: Sequence[str]) -> Child:
        """`entry` is what the interpreter runs. Returns when the parser is imported; raises Unavailable."""
        scratch = Path(tempfile.mkdtemp(prefix="extract-", dir=work_dir))
        with (scratch / _LOG).open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-s",
                *entry,
                str(os.getpid()),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                cwd=scratch,
                env=_environment(scratch),
                start_new_session=True,
            )
        child = cls(process, scratch)
        try:
            async with asyncio.timeout(_START_SECONDS):
                reply = await child._reply()
        except TimeoutError:
            reply = None
        except BaseException:
            await child.end()
            raise
        if reply is None:
            tail = child._log_tail()
            await child.end()
            raise Unavailable("extractor", f"the parsing process did not start: {tail or 'it said nothing'}")
        return child

    async def run(self, job: Job, *, max_seconds: float) -> Reply:
        """Raises Crashed (`out_of_memory`, `timeout`, `killed`); the child is dead then, and when cancelled."""
        try:
            return await self._watched(job, max_seconds)
        except BaseException:
            await self.end()
            raise

    async def _watched(self, job: Job, max_seconds: float) -> Reply:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + max_seconds
        self.documents += 1
        answer = asyncio.create_task(self._ask(job))
        try:
            while True:
                done, _unused = await asyncio.wait({answer}, timeout=_LOOK_EVERY)
                if done:
                    break
                rss = self.rss_mib()
                if rss > job.max_rss_mib:
                    raise Crashed(
                        "out_of_memory", f"{job.name}: parsing took {rss} MiB, allowed are {job.max_rss_mib} MiB"
                    )
                if loop.time() > deadline:
                    raise Crashed("timeout", f"{job.name}: parsing took over {max_seconds:g} s")
        finally:
            if not answer.done():
                answer.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await answer
        reply = answer.result()
        if reply is None:
            raise Crashed("killed", f"{job.name}: the parsing process {await self._how_it_ended()}")
        if reply.outcome == "out_of_memory":
            raise Crashed("out_of_memory", f"{job.name}: parsing ran out of memory, allowed are {job.max_rss_mib} MiB")
        return reply

    async def _ask(self, job: Job) -> Reply | None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(job.model_dump_json().encode() + b"\n")
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            return None
        return await self._reply()

    async def _reply(self) -> Reply | None:
        """None when the child has ended, or says what is no reply."""
        assert self._process.stdout is not None
        try:
            return Reply.model_validate_json(await self._process.stdout.readline())
        except ValueError:
            return None

    def rss_mib(self) -> int:
        """0 when it has ended."""
        try:
            statm = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii")
        except (FileNotFoundError, ProcessLookupError):
            return 0
        return int(statm.split()[1]) * _PAGE // (1024 * 1024)

    async def end(self) -> None:
        """Kills the child with what it started, and removes its scratch folder."""
        if self._process.returncode is None:
            # Not yet reaped, so the group is still its own.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        await self._process.wait()
        shutil.rmtree(self._scratch, ignore_errors=True)

    async def _how_it_ended(self) -> str:
        try:
            async with asyncio.timeout(1.0):
                code = await self._process.wait()
        except TimeoutError:
            return "answered what is no reply"
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        tail = self._log_tail()
        return f"{how}: {tail}" if tail else how

    def _log_tail(self) -> str:
        """The last line that it wrote to stderr."""
        try:
            lines = (self._scratch / _LOG).read_bytes()[-4096:].decode("utf-8", "replace").strip().splitlines()
        except FileNotFoundError:
            return ""
        return lines[-1][:_LOG_TAIL] if lines else ""


def _environment(scratch: Path) -> dict[str, str]:
    """Everything the child sees: no secret of the service is among it."""
    return {
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "LANG": "C.UTF-8",
        "PATH": os.defpath,
        "PYTHONPATH": str(_PACKAGE_ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "HF_HUB_OFFLINE": "1",
        # One document at a time on one core; thread pools would only hold memory.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
    }
