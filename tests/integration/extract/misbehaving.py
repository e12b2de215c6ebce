# SPDX-License-Identifier: GPL-3.0-or-later
"""A child like the real one, with a converter that does what the document's text says."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from homelab_workers.adapters.docling.child import Convert, main
from homelab_workers.adapters.docling.protocol import FILES, Job
from homelab_workers.contracts import Block, Section, Structure


def convert(job: Job) -> None:
    command = Path(job.source).read_text()
    text = COMMANDS[command]() if command in COMMANDS else command
    structure = Structure(mime_type="text/plain", engine="test", sections=[Section(blocks=[Block(text=text)])])
    for name in FILES:
        (Path(job.folder) / name).write_text(structure.model_dump_json())


def eat() -> str:
    """Memory in small steps, as a parser does."""
    held = []
    while True:
        held.append(bytearray(b"x" * 8 * 1024 * 1024))
        time.sleep(0.02)


def gulp() -> str:
    """More at once than the parent can see coming."""
    return str(len(bytearray(64 * 1024**3)))


def sleep() -> str:
    time.sleep(3600)
    return "awake"


def die() -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def fall() -> str:
    raise SystemError("the parser tripped")


def chatter() -> str:
    print('{"outcome":"done"}')
    os.write(1, b"not a reply\n")
    sys.stderr.write("a warning\n")
    return "said a lot"


def attempts() -> str:
    """Every way out that the filter closes, each in a thread of its own, as errno or 'open'."""
    results: dict[str, int | str] = {}

    def attempt(name: str, family: int) -> None:
        try:
            socket.socket(family, socket.SOCK_STREAM).close()
        except OSError as error:
            results[name] = error.errno or 0
        else:
            results[name] = "open"

    for name, family in (("unix", socket.AF_UNIX), ("inet", socket.AF_INET), ("inet6", socket.AF_INET6)):
        thread = threading.Thread(target=attempt, args=(name, family))
        thread.start()
        thread.join()
    left, right = socket.socketpair()
    left.close()
    right.close()
    results["socketpair"] = "open"
    return json.dumps(results)


def surroundings() -> str:
    descriptors = {}
    for entry in Path("/proc/self/fd").iterdir():
        if entry.is_symlink():
            descriptors[entry.name] = str(entry.readlink())
    status = Path("/proc/self/status").read_text()
    return json.dumps(
        {
            "environment": dict(os.environ),
            "cwd": str(Path.cwd()),
            "descriptors": descriptors,
            "seccomp": "Seccomp:\t2" in status,
            "no_new_privs": "NoNewPrivs:\t1" in status,
            "pid": os.getpid(),
        }
    )


COMMANDS = {f.__name__: f for f in (eat, gulp, sleep, die, fall, chatter, attempts, surroundings)}


def load() -> Convert:
    return convert


if __name__ == "__main__":
    main(load)
