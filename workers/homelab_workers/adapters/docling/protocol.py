# SPDX-License-Identifier: Apache-2.0
"""What parent and child say to each other: one JSON line each way per document, paths only."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

FILES = ("document.json", "text.md", "structure.json")
"""What a conversion leaves in its folder."""

MAX_MESSAGE = 2_000
"""Characters of any message that crosses; a line stays far below the pipe reader's 64 KiB."""


class Job(BaseModel):
    """Convert `source` (a path) into FILES in `folder`. `name` is what the user calls it."""

    model_config = ConfigDict(frozen=True)

    source: str
    name: str
    mime_type: str | None
    folder: str
    max_bytes: int
    max_pages: int
    max_rss_mib: int
    page_slice: int


class Reply(BaseModel):
    """`ready` once after start, then one of the others per job."""

    outcome: Literal["ready", "done", "rejected", "out_of_memory"]
    code: str = ""
    message: str = ""
    fix: str = ""
