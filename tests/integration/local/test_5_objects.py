# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents move from the directory into a real Garage, and stay there. Later files find them in Garage."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.garage import NoGarage, garage_binary
from tests.integration.local.deployment import PORT_BASE, Deployment, wait_until

BEFORE = b"# Before\n\nThe well behind the house is called Clara.\n"
AFTER = b"# After\n\nThe tank under the garage is called Dora.\n"


@pytest.fixture(scope="module")
def garage() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hltest-garage-") as folder:
        try:
            yield garage_binary(Path(folder))
        except NoGarage as reason:
            pytest.skip(str(reason))


def client(stack: Deployment, service: str) -> Any:
    """Somebody else's S3 client, with the key that a service has."""
    secret = (stack.config / "services" / service / "GARAGE_SECRET_KEY").read_text()
    programs = (stack.config / "programs" / "workers.conf").read_text()
    key = programs.partition(f"[program:{service}]")[2].partition('GARAGE_ACCESS_KEY="')[2].partition('"')[0]
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{PORT_BASE + 3900}",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name="garage",
        config=Config(s3={"addressing_style": "path"}, proxies={}),
    )


def raw(content: bytes) -> str:
    sha256 = hashlib.sha256(content).hexdigest()
    return f"{sha256[:2]}/{sha256}"


def body(stack: Deployment, content: bytes) -> bytes:
    answer = client(stack, "query").get_object(Bucket="raw-documents", Key=raw(content))
    return bytes(answer["Body"].read())


def refused(call: Any, **arguments: Any) -> bool:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return bool(caught.value.response["Error"]["Code"] == "AccessDenied")


def done(stack: Deployment, document: str) -> bool:
    return bool(stack.api("GET", f"/v1/documents/{document}").get("state") == "graphed")


def test_a_garage_that_cannot_be_used_is_named(stack: Deployment, tmp_path: Path) -> None:
    old = tmp_path / "garage"
    old.write_text("#!/bin/sh\necho garage v1.0.1 [features: lmdb]\n")
    old.chmod(0o755)
    for binary, says in ((old, "garage v1.0.1"), (tmp_path / "missing", "")):
        run = stack.run(local_stack_object_store="garage", local_stack_garage=str(binary), expect=2)
        assert f"{binary} is not Garage 2.3 or a later 2.x" in run.output and says in run.output
    assert (stack.data / "objects").is_dir()


def test_auto_moves_no_document_and_says_how(stack: Deployment, garage: Path) -> None:
    options = {"local_stack_object_store": "auto", "local_stack_garage": str(garage)}
    run = stack.run(**options, local_stack_python="/nonexistent/python", expect=2)
    assert f"{stack.name} keeps its documents in a directory: local_stack_object_store=garage moves them" in run.output
    assert (stack.data / "object-store").read_text() == "directory\n"


def test_documents_move_into_garage_with_all_that_was_made_of_them(stack: Deployment, garage: Path) -> None:
    document = stack.ingest("before.md", BEFORE)
    wait_until(lambda: done(stack, document), "the first document")
    objects = stack.data / "objects"
    had = {str(path.relative_to(objects)) for path in objects.rglob("*") if path.is_file()}
    assert f"raw-documents/{raw(BEFORE)}" in had

    run = stack.run(local_stack_object_store="garage", local_stack_garage=str(garage))
    stack.store = "auto"

    assert "Copy the objects into Garage" in run.changed_tasks()
    assert not objects.exists() and body(stack, BEFORE) == BEFORE
    pages = client(stack, "extract").get_paginator("list_objects_v2")
    has = {
        f"{bucket}/{entry['Key']}"
        for bucket in ("raw-documents", "processed")
        for page in pages.paginate(Bucket=bucket)
        for entry in page.get("Contents", [])
    }
    assert has == had


def test_new_documents_go_into_garage(stack: Deployment, garage: Path) -> None:
    document = stack.ingest("after.md", AFTER)
    wait_until(lambda: done(stack, document), "the second document")
    assert body(stack, AFTER) == AFTER


def test_nobody_may_do_another_s_work_in_garage(stack: Deployment, garage: Path) -> None:
    chunk, extract = client(stack, "chunk"), client(stack, "extract")
    assert refused(chunk.get_object, Bucket="raw-documents", Key=raw(AFTER))
    assert refused(extract.delete_object, Bucket="raw-documents", Key=raw(AFTER))
    assert refused(client(stack, "query").list_objects_v2, Bucket="processed")
    assert refused(client(stack, "reconcile").list_objects_v2, Bucket="models")


def test_the_next_run_keeps_garage_without_being_told_and_changes_nothing(stack: Deployment, garage: Path) -> None:
    """Not even where the binary is: it runs a copy of its own."""
    pids = stack.pids()
    assert stack.run().changed_tasks() == []
    assert stack.pids() == pids
    assert (stack.lib / "libexec" / "garage").stat().st_mode & 0o777 == 0o755


def test_documents_do_not_move_out_of_garage(stack: Deployment, garage: Path) -> None:
    run = stack.run(local_stack_object_store="directory", expect=2)
    assert f"{stack.name} keeps its documents in Garage, which they do not leave" in run.output
