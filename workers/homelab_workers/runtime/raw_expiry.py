# SPDX-License-Identifier: Apache-2.0
"""The bucket rule of `raw-documents` for a directory, which has no rules of its own: old objects go.

What was read from them (`processed/`, rows, graph) stays and is served on. An object that a version
still has to be extracted from is kept, however old.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from ..adapters.objects import DirectoryObjects
from ..adapters.postgres import PostgresCatalog
from ..contracts import RAW_BUCKET, Location

_log = logging.getLogger(__name__)


class RawExpiry:
    """Removes objects of `raw-documents` that were written more than `days` days ago."""

    def __init__(self, catalog: PostgresCatalog, objects: DirectoryObjects, *, days: int) -> None:
        self._catalog = catalog
        self._objects = objects
        self._age = timedelta(days=days)

    async def sweep(self) -> int:
        """Returns how many objects were removed."""
        removed = 0
        before = datetime.now(UTC) - self._age
        async for key in self._objects.written_before(RAW_BUCKET, before):
            location = Location(RAW_BUCKET, key)
            # Our own keys end in the sha256 of the bytes: an upload of the same bytes waits for this lock.
            async with self._catalog.content_lock(key.rpartition("/")[2]):
                if not await self._catalog.source_awaited(str(location)):
                    await self._objects.delete(location)
                    removed += 1
        if removed:
            _log.info("raw documents expired: %s, written before %s", removed, before.date())
        return removed
