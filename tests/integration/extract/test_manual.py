# SPDX-License-Identifier: Apache-2.0
"""A real manual of 196 pages (Debian's bash-doc): structure, order and the memory of the child."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from homelab_workers.adapters.docling import DoclingExtractor
from homelab_workers.ports import ExtractLimits

MAX_PEAK_KIB = 800_000
"""The bound of issue 3."""


@pytest.fixture
def bashref(tmp_path: Path) -> Path:
    """The file is not committed: it is taken from the package, installed or not."""
    installed = Path("/usr/share/doc/bash/bashref.pdf")
    if installed.exists():
        return installed
    if shutil.which("apt-get") is None:
        pytest.skip("bashref.pdf comes with Debian's bash-doc, and this machine has no apt-get")
    fetched = subprocess.run(["apt-get", "download", "bash-doc"], cwd=tmp_path, capture_output=True, text=True)
    if fetched.returncode != 0:
        pytest.skip(f"bash-doc cannot be downloaded: {fetched.stderr.strip()[-200:]}")
    subprocess.run(["dpkg", "-x", str(next(tmp_path.glob("bash-doc*.deb"))), "package"], cwd=tmp_path, check=True)
    return tmp_path / "package/usr/share/doc/bash/bashref.pdf"


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
