# SPDX-License-Identifier: Apache-2.0
"""API keys: the service knows only their sha256, so its configuration opens nothing."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Caller:
    name: str
    admin: bool = False


class Keys:
    def __init__(self, callers: dict[str, Caller]) -> None:
        self._callers = callers

    @classmethod
    def parse(cls, text: str) -> Keys:
        """`text` is the JSON of QUERY_KEYS, {"<sha256 of key>": {"name": …, "admin": bool}}; raises ValueError."""
        entries = json.loads(text)
        if not isinstance(entries, dict) or not all(_DIGEST.fullmatch(digest) for digest in entries):
            raise ValueError("QUERY_KEYS must be a JSON object whose names are sha256 digests in hex")
        return cls({d: Caller(str(e.get("name", "")), bool(e.get("admin", False))) for d, e in entries.items()})

    def caller(self, authorization: str | None) -> Caller | None:
        """Who sent this `Authorization` header; None for nobody we know. Digests are compared, never keys."""
        scheme, _unused, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            return None
        return self._callers.get(hashlib.sha256(key.strip().encode()).hexdigest())
