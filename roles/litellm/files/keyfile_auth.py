# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""LiteLLM's custom authentication: one key per caller, hashed, in keys.json beside this file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from fastapi import HTTPException, Request
from litellm.proxy._types import UserAPIKeyAuth

KEYS = json.loads(Path(__file__).with_name("keys.json").read_text(encoding="utf-8"))


async def user_api_key_auth(request: Request, api_key: str | None) -> UserAPIKeyAuth:
    """The caller's own models; LiteLLM's common checks refuse the others with 403."""
    digest = hashlib.sha256((api_key or "").encode()).hexdigest()
    entry = KEYS.get(digest)
    if entry is None:
        raise HTTPException(401, "this key is not known to the proxy")
    return UserAPIKeyAuth(api_key=digest, key_alias=entry["alias"], models=entry["models"])
