# SPDX-License-Identifier: Apache-2.0
"""Work that a service repeats beside its messages."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from ..errors import AuthRefused, Unavailable

_log = logging.getLogger(__name__)


def periodic(
    name: str, sweep: Callable[[], Awaitable[object]], *, seconds: float
) -> Callable[[asyncio.Event], Awaitable[None]]:
    """Runs `sweep` at once and then every `seconds` until the event is set; a server that is away costs one turn."""

    async def run(stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                await sweep()
            except (Unavailable, AuthRefused) as error:
                _log.warning("%s broken off: %s", name, error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), seconds)

    return run
