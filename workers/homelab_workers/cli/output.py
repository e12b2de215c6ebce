# SPDX-License-Identifier: Apache-2.0
"""What is printed: JSON for programs, tables and text for people. Foreign text never reaches the terminal raw."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plain(text: object) -> str:
    """Without escape sequences and direction overrides: documents and file names are written by others."""
    return _CONTROL.sub("\ufffd", str(text))


class Output:
    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.console = Console(highlight=False, markup=False, soft_wrap=True)
        self.errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)

    def json(self, value: Any) -> None:
        sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")

    def line(self, text: str = "", style: str = "") -> None:
        self.console.print(Text(plain(text), style=style))

    def piece(self, text: str) -> None:
        """Part of a streamed answer, at once."""
        sys.stdout.write(plain(text))
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """For people, beside the result: stderr."""
        self.errors.print(Text(plain(text)))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text("" if cell is None else plain(cell)) for cell in row))
        self.console.print(table, soft_wrap=False)
