# SPDX-License-Identifier: Apache-2.0
"""The dependency that every route but health and signed links has: a key we know."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import HTTPException, Request

from .auth import Keys


def key_needed(keys: Keys) -> Callable[[Request], Awaitable[None]]:
    async def check(request: Request) -> None:
        if keys.caller(request.headers.get("authorization")) is None:
            raise HTTPException(
                401,
                "no valid API key. Fix: send the header Authorization: Bearer <key>",
                headers={"WWW-Authenticate": "Bearer"},
            )

    return check
