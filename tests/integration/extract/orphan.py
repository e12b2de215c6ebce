# SPDX-License-Identifier: GPL-3.0-or-later
"""A parent with a child that is busy for an hour; prints the child's pid. Arguments: work folder, entry."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from homelab_workers.adapters.docling import DoclingExtractor
from homelab_workers.ports import ExtractLimits


async def main(folder: Path, entry: str) -> None:
    extractor = DoclingExtractor(folder, entry=(entry,))
    await extractor.start()
    pid = extractor.pid
    source = folder / "source"
    source.write_text("sleep")
    conversion = asyncio.create_task(
        extractor.extract(source, name="note.txt", mime_type=None, folder=folder, limits=ExtractLimits())
    )
    await asyncio.sleep(0.3)
    print(pid, flush=True)
    await conversion


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
