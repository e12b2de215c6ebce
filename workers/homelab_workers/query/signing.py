# SPDX-License-Identifier: Apache-2.0
"""Links to a document's bytes that work without a key, for a short time, for one version."""

from __future__ import annotations

import hashlib
import hmac
from uuid import UUID


class LinkSigner:
    def __init__(self, key: bytes, *, seconds: int = 300) -> None:
        self._key = key
        self._seconds = seconds

    def path(self, doc_id: UUID, version: str, *, now: float) -> str:
        """Path and query of a link that expires `seconds` after `now` (Unix time)."""
        expires = int(now) + self._seconds
        signature = self._signature(doc_id, version, expires)
        return f"/content/{doc_id}/{version}?expires={expires}&signature={signature}"

    def valid(self, doc_id: UUID, version: str, expires: int, signature: str, *, now: float) -> bool:
        wanted = self._signature(doc_id, version, expires)
        return expires >= now and hmac.compare_digest(wanted.encode(), signature.encode())

    def _signature(self, doc_id: UUID, version: str, expires: int) -> str:
        return hmac.new(self._key, f"{doc_id}:{version}:{expires}".encode(), hashlib.sha256).hexdigest()
