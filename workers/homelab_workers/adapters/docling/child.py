# SPDX-License-Identifier: Apache-2.0
"""The process that parses: `python -m homelab_workers.adapters.docling.child PARENT_PID`.

One JSON line in per document, one out (protocol.py). It confines itself before it imports a parser.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from typing import IO

from ...errors import Rejected
from .confine import bound_address_space, confine
from .protocol import MAX_MESSAGE, Job, Reply

Convert = Callable[[Job], None]

_GROWTH_FACTOR = 2
"""Address space allowed on top, in units of the RSS limit."""


def main(load: Callable[[], Convert]) -> None:
    """Serves until its input ends. `load` imports the converter, after the filter is in place."""
    jobs, replies = _take_over_pipes()
    confine(int(sys.argv[1]))
    convert = load()
    # What was imported stays: the collector need not walk it for every document.
    gc.collect()
    gc.freeze()
    _send(replies, Reply(outcome="ready"))
    for line in jobs:
        reply = _run(convert, Job.model_validate_json(line))
        _send(replies, reply)
        if reply.outcome == "out_of_memory":
            return
        gc.collect()


def _take_over_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Moves the protocol off fd 0 and 1, so that a print in a library goes to the log instead."""
    jobs, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return jobs, replies


def _run(convert: Convert, job: Job) -> Reply:
    bound_address_space(_GROWTH_FACTOR * job.max_rss_mib)
    try:
        convert(job)
    except Rejected as rejected:
        return Reply(
            outcome="rejected",
            code=rejected.code,
            message=_short(rejected.message),
            fix=_short(rejected.fix),
        )
    except MemoryError:
        return Reply(outcome="out_of_memory")
    return Reply(outcome="done")


def _short(text: str) -> str:
    """One line that JSON can carry: file names may hold anything."""
    return text.encode("utf-8", "replace").decode()[:MAX_MESSAGE]


def _send(replies: IO[bytes], reply: Reply) -> None:
    replies.write(reply.model_dump_json().encode() + b"\n")
    replies.flush()


def _load() -> Convert:
    from .convert import convert

    return convert


if __name__ == "__main__":
    main(_load)
