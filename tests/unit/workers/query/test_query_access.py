# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys and signed links."""

from __future__ import annotations

import hashlib
import json
from uuid import UUID

import pytest

from homelab_workers.query.auth import Keys
from homelab_workers.query.signing import LinkSigner

KEY = "hl-1234"
KEYS = Keys.parse(json.dumps({hashlib.sha256(KEY.encode()).hexdigest(): {"name": "me", "admin": True}}))
DOC = UUID(int=1)


def test_a_known_key_names_its_caller() -> None:
    caller = KEYS.caller(f"Bearer {KEY}")
    assert caller is not None and (caller.name, caller.admin) == ("me", True)
    assert KEYS.caller(f"bearer {KEY}") is not None


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", f"Basic {KEY}", KEY, f"Bearer {KEY}x", "Bearer \ud800"]
)
def test_everything_else_is_nobody(header: str | None) -> None:
    if header is not None and "\ud800" in header:
        header = header.encode("utf-8", "replace").decode()
    assert KEYS.caller(header) is None


@pytest.mark.parametrize("text", ['["x"]', '{"plain-key": {}}', "{"])
def test_a_key_file_of_another_shape_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Keys.parse(text)


def parts(path: str) -> tuple[int, str]:
    query = dict(item.split("=") for item in path.partition("?")[2].split("&"))
    return int(query["expires"]), query["signature"]


def test_a_link_is_for_one_document_one_version_and_a_time() -> None:
    signer = LinkSigner(b"secret", seconds=300)
    expires, signature = parts(signer.path(DOC, "v1", now=1000.0))
    assert signer.valid(DOC, "v1", expires, signature, now=1299.0)
    assert not signer.valid(DOC, "v1", expires, signature, now=1301.0)
    assert not signer.valid(DOC, "v1", expires + 1, signature, now=1000.0)
    assert not signer.valid(DOC, "v2", expires, signature, now=1000.0)
    assert not signer.valid(UUID(int=2), "v1", expires, signature, now=1000.0)
    assert not LinkSigner(b"other").valid(DOC, "v1", expires, signature, now=1000.0)
    assert not signer.valid(DOC, "v1", expires, "é" * 64, now=1000.0)
