# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies every object of a directory store into Garage, over what may be there: DIRECTORY ENDPOINT SERVICES.

Each bucket is written with the key of a service that may write there, from the services' own secrets.
Garage checks the sha256 of each request's body. Any error ends it; running it again is safe.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from pathlib import Path

from homelab_workers.adapters.objects import DirectoryObjects, S3Objects, open_store
from homelab_workers.contracts import Location

WRITERS = {"raw-documents": "query", "processed": "extract", "models": "reconcile"}


def opened(endpoint: str, secrets: Path) -> DirectoryObjects | S3Objects:
    """The server, by the key that is derived from a service's secret (vars/main.yml)."""
    secret = (secrets / "GARAGE_SECRET_KEY").read_text(encoding="utf-8").strip()
    return open_store(endpoint, access_key=f"GK{hashlib.sha256(secret.encode()).hexdigest()[:24]}", secret_key=secret)


async def copy(source: DirectoryObjects, endpoint: str, services: Path) -> int:
    copied = 0
    for bucket, service in WRITERS.items():
        target = opened(endpoint, services / service)
        async for key in source.keys(bucket):
            await target.upload(source.root / bucket / key, Location(bucket, key))
            copied += 1
    return copied


def main() -> None:
    root, endpoint, services = sys.argv[1:]
    print(asyncio.run(copy(DirectoryObjects(Path(root)), endpoint, Path(services))))


if __name__ == "__main__":
    main()
