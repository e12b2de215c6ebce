# SPDX-License-Identifier: Apache-2.0
"""Exit codes (docs/contracts.md, Names) and the errors that become them."""

from __future__ import annotations

DONE = 0
FAILED = 1
USAGE = 2
PARTLY = 3
UNREACHABLE = 4


class CliError(Exception):
    """Says what happened and what to do; `code` is the exit code."""

    def __init__(self, message: str, *, fix: str = "", code: int = FAILED) -> None:
        super().__init__(f"{message}\n  fix: {fix}" if fix else message)
        self.message = message
        self.fix = fix
        self.code = code
