# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits until every service answers. On failure prints the last log lines of those that do not, and exits with 1.

Reads JSON from standard input: {"log_dir": …, "seconds": …, "services": {name: "http://…" or "tcp://host:port"}}.
"""

from __future__ import annotations

import json
import socket
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

LOG_LINES = 15


def problem(address: str) -> str | None:
    """None when the service is well."""
    try:
        if address.startswith("tcp://"):
            host, _unused, port = address.removeprefix("tcp://").rpartition(":")
            socket.create_connection((host, int(port)), timeout=2).close()
        else:
            urllib.request.urlopen(address, timeout=5).close()
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code} {error.read(300).decode(errors='replace')}"
    except OSError as error:
        return str(getattr(error, "reason", error))
    return None


def main() -> None:
    order = json.load(sys.stdin)
    deadline = time.monotonic() + order["seconds"]
    waiting = dict.fromkeys(order["services"], "not asked yet")
    while waiting:
        for name in list(waiting):
            found = problem(order["services"][name])
            if found is None:
                del waiting[name]
            else:
                waiting[name] = found
        if waiting and time.monotonic() > deadline:
            break
        if waiting:
            time.sleep(0.2)
    for name, found in waiting.items():
        print(
            f"{name} is not well after {order['seconds']} s ({order['services'][name]}: {found}). Its last log lines:"
        )
        log = Path(order["log_dir"]) / f"{name}.log"
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else ["(no log)"]
        print("\n".join(f"  {line}" for line in lines[-LOG_LINES:]))
    sys.exit(1 if waiting else 0)


if __name__ == "__main__":
    main()
