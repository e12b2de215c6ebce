# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role made on the server, tried by an S3 client that is not the role's."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import obstore
import pytest
from obstore.exceptions import PermissionDeniedError
from obstore.store import S3Store

SCRATCH = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "scratch"
IDS = {"extract": "GKe0000000000000000000000a", "query": "GKe0000000000000000000000b"}


def bucket(name: str, service: str) -> S3Store:
    return S3Store(
        name,
        endpoint="http://127.0.0.1:17900",
        access_key_id=IDS[service],
        secret_access_key=hashlib.sha256(service.encode()).hexdigest(),
        region="garage",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )


def test_what_one_service_puts_another_reads() -> None:
    obstore.put(bucket("raw-documents", "query"), "ab/abc", b"a document")
    assert bytes(obstore.get(bucket("raw-documents", "extract"), "ab/abc").bytes()) == b"a document"


def test_a_service_may_not_do_what_is_another_s() -> None:
    with pytest.raises(PermissionDeniedError):
        obstore.put(bucket("raw-documents", "extract"), "ab/abd", b"x")
    with pytest.raises(PermissionDeniedError):
        obstore.put(bucket("processed", "query"), "x", b"x")
    with pytest.raises(PermissionDeniedError):
        obstore.put(bucket("models", "extract"), "x", b"x")


def test_secrets_are_in_closed_files_alone() -> None:
    config = SCRATCH / "config"
    for name in ("rpc-secret", "admin-token"):
        assert (config / name).stat().st_mode & 0o777 == 0o600
    text = (config / "garage.toml").read_text()
    assert "token-of-admin" not in text and hashlib.sha256(b"rpc").hexdigest() not in text
