# SPDX-License-Identifier: GPL-3.0-or-later
"""Identity, object locations and events: what must hold on both sides of every contract."""

from __future__ import annotations

from uuid import NAMESPACE_URL, UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from homelab_workers.contracts import (
    EVENTS,
    SCHEMA_VERSION,
    Chunked,
    ChunkSpan,
    IngestRequested,
    Location,
    Pipeline,
    chunk_id_for,
    doc_id_for,
    message_id,
    upload_source_id,
    version_for,
)

DOC = doc_id_for("upload:default/manual.pdf")
SHA = "a" * 64

# ---------------------------------------------------------------- identity


def test_ids_stay_the_same_across_releases() -> None:
    """Catalogs hold these ids: a change of the derivation would make every document a new one."""
    assert doc_id_for("s3://raw-documents/test.pdf") == uuid5(
        uuid5(NAMESPACE_URL, "urn:homelab:doc"), "s3://raw-documents/test.pdf"
    )
    assert chunk_id_for(DOC, "0123456789abcdef", 7) == uuid5(DOC, "0123456789abcdef:7")


@given(st.text(max_size=80), st.text(max_size=80))
def test_documents_are_the_same_exactly_when_their_source_is(first: str, second: str) -> None:
    assert (doc_id_for(first) == doc_id_for(second)) == (first == second)


def test_upload_names_are_apart_by_collection() -> None:
    assert upload_source_id("work", "notes/a.md") == "upload:work/notes/a.md"
    assert doc_id_for(upload_source_id("work", "a.md")) != doc_id_for(upload_source_id("life", "a.md"))


def pipeline(**changes: object) -> Pipeline:
    settings = {"engine": "text-1", "chunk_size": 254, "chunk_overlap": 63, "embedding_model": "all-MiniLM-L6-v2"}
    return Pipeline.model_validate(settings | changes)


@pytest.mark.parametrize(
    "change",
    [{"engine": "text-2"}, {"chunk_size": 512}, {"chunk_overlap": 64}, {"embedding_model": "nomic-embed-text"}],
)
def test_each_setting_makes_another_version(change: dict[str, object]) -> None:
    before = version_for(SHA, pipeline().fingerprint())
    assert version_for(SHA, pipeline().fingerprint()) == before
    assert version_for(SHA, pipeline(**change).fingerprint()) != before


def test_version_is_sixteen_hex_digits_and_follows_the_bytes() -> None:
    version = version_for(SHA, "f")
    assert len(version) == 16 and int(version, 16) >= 0
    assert version_for("b" * 64, "f") != version


# ---------------------------------------------------------------- locations


def test_location_reads_what_it_writes() -> None:
    location = Location.parse("s3://raw-documents/reports/2026/Übersicht 1.pdf")
    assert location == Location("raw-documents", "reports/2026/Übersicht 1.pdf")
    assert Location.parse(str(location)) == location


@pytest.mark.parametrize(
    "uri",
    [
        "s3://raw-documents/../secrets",
        "s3://raw-documents/a/../../b",
        "s3://raw-documents/a/..",
        "s3://raw-documents/./a",
        "s3://raw-documents//a",
        "s3://raw-documents/a//b",
        "s3://raw-documents/a/",
        "s3://raw-documents/",
        "s3://raw-documents",
        "s3://../raw-documents/a",
        "s3:///a",
        "s3://UPPER/a",
        "file:///etc/passwd",
        "http://169.254.169.254/latest",
        "S3://raw-documents/a",
        "raw-documents/a",
        "/etc/passwd",
        "",
        "s3://raw-documents/a\0b",
        "s3://raw-documents/a\nb",
        "s3://raw-documents/\ud800",
        "s3://raw-documents/" + "ü" * 101,
    ],
)
def test_location_refuses_and_says_why(uri: str) -> None:
    with pytest.raises(ValueError, match=r".+") as caught:
        Location.parse(uri)
    assert "'" in str(caught.value) or "empty" in str(caught.value)


@given(st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=5))
def test_no_accepted_key_leaves_its_bucket(segments: list[str]) -> None:
    key = "/".join(segments)
    try:
        location = Location.parse(f"s3://raw-documents/{key}")
    except ValueError:
        return
    parts = location.key.split("/")
    assert location.bucket == "raw-documents" and location.key == key
    assert "." not in parts and ".." not in parts and "" not in parts and "\0" not in location.key


# ---------------------------------------------------------------- events


def test_event_checks_its_source() -> None:
    with pytest.raises(ValidationError, match=r"only s3://<bucket>/<key> names an object"):
        IngestRequested(source_uri="file:///etc/passwd")


@pytest.mark.parametrize("version", [0, SCHEMA_VERSION + 1, -1])
def test_unknown_schema_version_is_refused(version: int) -> None:
    with pytest.raises(ValidationError, match=f"schema_version {version} is not supported"):
        IngestRequested.model_validate({"source_uri": "s3://raw-documents/a", "schema_version": version})


def test_unknown_field_is_ignored_and_the_rest_survives_the_wire() -> None:
    event = IngestRequested.model_validate_json('{"source_uri": "s3://raw-documents/a", "from_the_future": [1]}')
    assert not hasattr(event, "from_the_future")
    assert event.schema_version == SCHEMA_VERSION and event.metadata == {}
    assert IngestRequested.model_validate_json(event.model_dump_json()) == event


@pytest.mark.parametrize("span", [{"start": -1, "count": 1}, {"start": 0, "count": 0}])
def test_span_is_not_empty(span: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        ChunkSpan.model_validate(span)


def test_ten_thousand_chunks_fit_a_message() -> None:
    """NATS takes 1 MiB; the claim check's threshold is far below."""
    event = Chunked(doc_id=DOC, version="0" * 16, wanted_seq=1, chunks=[ChunkSpan(start=0, count=10_000)])
    assert len(event.model_dump_json()) < 1024


def test_each_event_has_a_subject_of_its_own() -> None:
    assert len({event.subject for event in EVENTS}) == len(EVENTS)


# ---------------------------------------------------------------- deduplication


def test_message_id_is_equal_for_a_repeat_only() -> None:
    other = UUID(int=1)
    ids = [
        message_id("embed.requested", DOC, 1),
        message_id("embed.completed", DOC, 1),
        message_id("embed.requested", other, 1),
        message_id("embed.requested", DOC, 2),
        message_id("embed.requested", DOC, 1, index=0),
        message_id("embed.requested", DOC, 1, index=1),
        message_id("embed.requested", DOC, 1, attempt=1),
    ]
    assert len(set(ids)) == len(ids)
    assert message_id("embed.requested", DOC, 1, index=1) == message_id("embed.requested", DOC, 1, index=1)
