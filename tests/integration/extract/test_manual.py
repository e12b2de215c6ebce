# SPDX-License-Identifier: GPL-3.0-or-later
"""A real manual of 196 pages (Debian's bash-doc): structure, order and the memory of the child."""

from __future__ import annotations

from pathlib import Path

import pytest

from homelab_workers.adapters.docling import DoclingExtractor
from homelab_workers.ports import ExtractLimits
from tests.manual import NoManual, bash_manual

MAX_PEAK_KIB = 800_000
"""The bound of issue 3."""


@pytest.fixture
def bashref(tmp_path: Path) -> Path:
    try:
        return bash_manual(tmp_path)
    except NoManual as reason:
        pytest.skip(str(reason))


async def test_manual(bashref: Path, tmp_path: Path) -> None:
    extractor = DoclingExtractor(tmp_path)
    await extractor.start()
    pid = extractor.pid
    try:
        extraction = await extractor.extract(
            bashref, name="bashref.pdf", mime_type=None, folder=tmp_path, limits=ExtractLimits(page_slice=32)
        )
        status = Path(f"/proc/{pid}/status").read_text()
    finally:
        await extractor.close()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    assert peak < MAX_PEAK_KIB

    structure = extraction.structure
    assert structure.pages == 196
    paths = {tuple(section.path): section for section in structure.sections}
    words = paths["3 Basic Shell Features", "3.2 Shell Commands", "3.2.1 Reserved Words"]
    assert words.page == 15
    assert words.blocks[0].text.startswith("Reserved words are words that have special meaning to the shell.")
    pages = [block.page or 0 for section in structure.sections for block in section.blocks]
    assert pages == sorted(pages)
    assert set(pages) >= set(range(7, 188))
    assert all(block.text.strip() for section in structure.sections for block in section.blocks)
