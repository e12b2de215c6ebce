# SPDX-License-Identifier: Apache-2.0
"""Progress of an ingest: a bar with rate and time left on a terminal, lines elsewhere, nothing under --json."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text

from .output import Output, plain


class Progress(Protocol):
    def sent(self, name: str, status: str) -> None: ...

    def ended(self, name: str, status: str, reason: str) -> None: ...

    def waiting(self, count: int) -> None: ...


class _Silent:
    def sent(self, name: str, status: str) -> None:
        return

    def ended(self, name: str, status: str, reason: str) -> None:
        return

    def waiting(self, count: int) -> None:
        return


class _Lines(_Silent):
    def __init__(self, output: Output, total: int) -> None:
        self._output = output
        self._total = total
        self._ended = 0

    def ended(self, name: str, status: str, reason: str) -> None:
        self._ended += 1
        self._output.note(f"[{self._ended}/{self._total}] {status}: {name}{f' ({reason})' if reason else ''}")


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if not task.speed else f"{task.speed * 60:.1f}/min")


class _Bars:
    def __init__(self, display: Bar, total: int) -> None:
        self._bar = display
        self._sent = display.add_task("sent", total=total, name="")
        self._ended = display.add_task("done", total=total, name="")

    def sent(self, name: str, status: str) -> None:
        self._bar.update(self._sent, advance=1, name=plain(name))

    def ended(self, name: str, status: str, reason: str) -> None:
        self._bar.update(self._ended, advance=1, name=plain(name))
        if status == "failed":
            self._bar.console.print(Text(plain(f"failed: {name}: {reason}"), style="red"))

    def waiting(self, count: int) -> None:
        self._bar.refresh()


@contextmanager
def progress_on(output: Output, total: int) -> Iterator[Progress]:
    if output.as_json:
        yield _Silent()
    elif not output.errors.is_terminal:
        yield _Lines(output, total)
    else:
        columns = (
            TextColumn("{task.description:>5}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[name]}", markup=False),
        )
        with Bar(*columns, console=output.errors) as display:
            yield _Bars(display, total)
