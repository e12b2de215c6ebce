# SPDX-License-Identifier: Apache-2.0
"""`homelab ingest`: sends files, then follows each until it is searchable and in the graph, or failed.

The state is the server's: an ingest that was interrupted is run again, and what is done says `unchanged`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from .client import Client
from .exits import DONE, FAILED, PARTLY, UNREACHABLE, CliError
from .files import Source
from .output import Output
from .progress import Progress, progress_on

SENDING_AT_ONCE = 4
POLLED_AT_ONCE = 20
POLL_SECONDS = 1.0
SENDS = 4
"""Tries while the service is overloaded or restarting."""
ENDED = {"graphed": "done", "failed": "failed", "superseded": "superseded", "deleted": "deleted"}


@dataclass(slots=True)
class Outcome:
    """One file's way: `status` is received, in_progress, unchanged, done, failed, superseded or deleted."""

    source: Source
    status: str
    id: str | None = None
    version: str | None = None
    reason: str = ""
    fix: str = ""
    code: str = ""
    warnings: list[dict[str, Any]] = field(default_factory=list)
    unreachable: bool = False

    def report(self) -> dict[str, Any]:
        return {
            "path": str(self.source.path),
            "name": self.source.name,
            "status": self.status,
            "id": self.id,
            "version": self.version,
            "code": self.code,
            "reason": self.reason,
            "fix": self.fix,
            "warnings": self.warnings,
        }


@dataclass(slots=True)
class Ingest:
    client: Client
    collection: str
    sleep: Callable[[float], None] = time.sleep

    def run(self, sources: list[Source], *, wait_until_done: bool, progress: Progress) -> list[Outcome]:
        pending: deque[Outcome] = deque()
        ended: list[Outcome] = []
        for outcome in self._sent(sources):
            progress.sent(outcome.source.name, outcome.status)
            if wait_until_done and outcome.status in ("received", "in_progress"):
                pending.append(outcome)
            else:
                ended.append(outcome)
                progress.ended(outcome.source.name, outcome.status, outcome.reason)
        while pending:
            moved = False
            for _unused in range(min(POLLED_AT_ONCE, len(pending))):
                outcome = pending.popleft()
                if self._followed(outcome):
                    moved = True
                    ended.append(outcome)
                    progress.ended(outcome.source.name, outcome.status, outcome.reason)
                else:
                    pending.append(outcome)
            if pending and not moved:
                progress.waiting(len(pending))
                self.sleep(POLL_SECONDS)
        return ended

    def _sent(self, sources: list[Source]) -> Iterator[Outcome]:
        """A few at a time; a folder of 100,000 files does not become 100,000 waiting tasks."""
        queue = iter(sources)
        with ThreadPoolExecutor(SENDING_AT_ONCE) as pool:
            running: set[Future[Outcome]] = {pool.submit(self._send, s) for s in islice(queue, SENDING_AT_ONCE)}
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                running |= {pool.submit(self._send, s) for s in islice(queue, len(done))}
                yield from (future.result() for future in done)

    def _send(self, source: Source) -> Outcome:
        for attempt in range(1, SENDS + 1):
            try:
                with source.path.open("rb") as file:
                    receipt = self.client.json(
                        "POST",
                        "/v1/documents",
                        data={"collection": self.collection, "name": source.name},
                        files={"file": (source.path.name, file)},
                    )
                return Outcome(source, receipt["status"], receipt["id"], receipt["version"])
            except CliError as error:
                if error.code != UNREACHABLE or attempt == SENDS:
                    return Outcome(
                        source,
                        "failed",
                        reason=error.message,
                        fix=error.fix,
                        code="not_sent",
                        unreachable=error.code == UNREACHABLE,
                    )
                self.sleep(2.0**attempt)
            except OSError as error:
                reason = f"{source.path}: {error.strerror}"
                return Outcome(source, "failed", reason=reason, fix="make it readable", code="unreadable")
        raise AssertionError("the last attempt returns")

    def _followed(self, outcome: Outcome) -> bool:
        """True when the outcome is final."""
        response = self.client.send("GET", f"/v1/documents/{outcome.id}")
        document = response.json()
        version = next((v for v in document["versions"] if v["version"] == outcome.version), None)
        state = "superseded" if version is None else version["state"]
        if state not in ENDED:
            return False
        outcome.status = ENDED[state]
        if version is not None:
            outcome.warnings = version["warnings"]
            if error := version["error"]:
                outcome.code = str(error.get("code", ""))
                outcome.reason = str(error.get("message", ""))
                outcome.fix = str(error.get("fix", ""))
        return True


def ingest(client: Client, output: Output, sources: list[Source], collection: str, *, wait_until_done: bool) -> int:
    started = time.monotonic()
    with progress_on(output, len(sources)) as progress:
        outcomes = Ingest(client, collection).run(sources, wait_until_done=wait_until_done, progress=progress)
    failed = [o for o in outcomes if o.status == "failed"]
    if output.as_json:
        output.json({"collection": collection, "documents": [o.report() for o in outcomes]})
    else:
        _summary(output, outcomes, collection, time.monotonic() - started)
    if not failed:
        return DONE
    if all(o.unreachable for o in outcomes):
        return UNREACHABLE
    return FAILED if len(failed) == len(outcomes) else PARTLY


def _summary(output: Output, outcomes: list[Outcome], collection: str, seconds: float) -> None:
    rows = [
        (o.status, o.source.name, o.code, o.reason, o.fix) for o in outcomes if o.status in ("failed", "superseded")
    ]
    rows += [
        ("warning", o.source.name, w.get("code", ""), w.get("message", ""), "") for o in outcomes for w in o.warnings
    ]
    if rows:
        output.table(("status", "file", "code", "reason", "fix"), sorted(rows))
    counts: dict[str, int] = {}
    for outcome in outcomes:
        counts[outcome.status] = counts.get(outcome.status, 0) + 1
    parts = ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "no files"
    output.line(f"{parts} in collection {collection} ({seconds:.1f} s)")
