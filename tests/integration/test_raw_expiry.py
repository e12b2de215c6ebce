# SPDX-License-Identifier: GPL-3.0-or-later
"""What the reconciler removes from a directory of raw documents, and what it keeps."""

from __future__ import annotations

import os
import time
from pathlib import Path

from conftest import Postgres

from homelab_workers.adapters.objects import DirectoryObjects
from homelab_workers.adapters.postgres import PostgresCatalog
from homelab_workers.contracts import RAW_BUCKET, Location, doc_id_for
from homelab_workers.ports import Request
from homelab_workers.runtime.raw_expiry import RawExpiry

DAY = 86_400


async def test_old_raw_objects_go_and_those_still_awaited_stay(postgres: Postgres, tmp_path: Path) -> None:
    objects = DirectoryObjects(tmp_path)
    catalog = await PostgresCatalog.open(postgres.url("homelab_reconcile"), name="reconcile")
    ages = {"expiry/old.md": 91, "expiry/fresh.md": 89, "expiry/awaited.md": 91}
    for key, days in ages.items():
        await objects.put(Location(RAW_BUCKET, key), b"text")
        written = time.time() - days * DAY
        os.utime(tmp_path / RAW_BUCKET / key, (written, written))
    await objects.put(Location("processed", "expiry/old.md"), b"text")
    os.utime(tmp_path / "processed" / "expiry" / "old.md", (0, 0))
    awaited = Request(
        source_id="expiry-awaited",
        source_uri=f"s3://{RAW_BUCKET}/expiry/awaited.md",
        content_sha256="e" * 64,
        version="e" * 16,
    )
    query = await PostgresCatalog.open(postgres.url("homelab_query"), name="query")
    try:
        async with query.unit(doc_id_for(awaited.source_id)) as unit:
            await unit.accept(awaited)
        assert await RawExpiry(catalog, objects, days=90).sweep() == 1
        assert await RawExpiry(catalog, objects, days=90).sweep() == 0
    finally:
        await query.close()
        await catalog.close()
    left = {path.name for path in (tmp_path / RAW_BUCKET / "expiry").iterdir()}
    assert left == {"fresh.md", "awaited.md"}
    assert (tmp_path / "processed" / "expiry" / "old.md").exists()
