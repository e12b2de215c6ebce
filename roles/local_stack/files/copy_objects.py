# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies every object of a directory store into Garage, over what may be there: DIRECTORY ENDPOINT SERVICES KEY_IDS.

Each bucket is written with the key of a service that may write there: KEY_IDS is JSON, a key's id by service, and the
secret is the service's own. Garage checks the sha256 of each request's body. Any error ends it; running it again is
safe.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from homelab_workers.adapters.objects import DirectoryObjects, open_store
from homelab_workers.contracts import Location

WRITERS = {"raw-documents": "query", "processed": "extract", "models": "reconcile"}


async def copy(source: DirectoryObjects, endpoint: str, services: Path, key_ids: dict[str, str]) -> int:
    copied = 0
    for bucket, service in WRITERS.items():
        secret = (services / service / "GARAGE_SECRET_KEY").read_text(encoding="utf-8").strip()
        target = open_store(endpoint, access_key=key_ids[service], secret_key=secret)
        async for key in source.keys(bucket):
            await target.upload(source.root / bucket / key, Location(bucket, key))
            copied += 1
    return copied


def main() -> None:
    root, endpoint, services, key_ids = sys.argv[1:]
    print(asyncio.run(copy(DirectoryObjects(Path(root)), endpoint, Path(services), json.loads(key_ids))))


if __name__ == "__main__":
    main()
