# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from homelab_workers.adapters.docling import DoclingExtractor
from homelab_workers.ports import Extraction, ExtractLimits

Extract = Callable[..., Awaitable[Extraction]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def extractor(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DoclingExtractor]:
    """One warm child for all tests that do not break it."""
    extractor = DoclingExtractor(tmp_path_factory.mktemp("extractor"))
    await extractor.start()
    yield extractor
    await extractor.close()


@pytest.fixture
def extract(extractor: DoclingExtractor, tmp_path_factory: pytest.TempPathFactory) -> Extract:
    """(content, name, mime_type=None, **limits) -> Extraction, through the real child."""

    # Not tmp_path: it holds the test's name, and parsers put the path into their messages.
    folder_of_case = tmp_path_factory.mktemp("case")

    async def run(data: bytes | str, name: str, mime_type: str | None = None, **limits: float) -> Extraction:
        source, folder = folder_of_case / "source", folder_of_case / "out"
        source.write_bytes(data.encode() if isinstance(data, str) else data)
        folder.mkdir(exist_ok=True)
        return await extractor.extract(
            source,
            name=name,
            mime_type=mime_type,
            folder=folder,
            limits=ExtractLimits(**limits),  # type: ignore[arg-type]  # ints and floats by name
        )

    return run
