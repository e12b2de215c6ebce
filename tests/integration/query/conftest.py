# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from conftest import Nats, Postgres

from .rig import KEY, QueryRig, running


@pytest.fixture
async def rig(postgres: Postgres, oxigraph: str, nats_server: Nats, tmp_path: Path) -> AsyncIterator[QueryRig]:
    async with running(postgres, oxigraph, nats_server, tmp_path, max_upload_bytes=1 << 20) as made:
        yield made


@pytest.fixture
async def http(rig: QueryRig) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=rig.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=30.0) as client:
        yield client
