# SPDX-License-Identifier: GPL-3.0-or-later
"""A document's life through HTTP: ingest, edit, repeat, share, delete; and every kind of bad input."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import httpx
import psycopg
import pytest
from conftest import Stack


def count(stack: Stack, statement: str, *parameters: object) -> int:
    with psycopg.connect(stack.postgres_url("postgres")) as connection:
        row = connection.execute(statement, parameters).fetchone()
    assert row is not None
    return int(row[0])


def test_an_edited_file_is_one_document_and_its_old_text_is_gone(stack: Stack) -> None:
    first = stack.ingest("edited.md", b"# Boiler\nThe boiler engineer is Agatha Quillfeather.\n", "life")
    edited = stack.ingest("edited.md", b"# Boiler\nThe boiler engineer is Bertram Nightingale.\n", "life")
    assert first["id"] == edited["id"] and first["version"] != edited["version"]
    texts = [hit["content"][0]["text"] for hit in stack.search("Who is the boiler engineer?", "life")]
    assert any("Nightingale" in text for text in texts)
    assert not any("Quillfeather" in text for text in stack.all_texts())


def test_the_same_bytes_twice_are_a_no_op_that_says_so(stack: Stack) -> None:
    stack.ingest("same.md", b"# Same\nThese bytes do not change.\n", "life")
    before = count(stack, "SELECT count(*) FROM embeddings")
    again = stack.upload("same.md", b"# Same\nThese bytes do not change.\n", "life")
    assert again["status"] == "unchanged"
    assert count(stack, "SELECT count(*) FROM embeddings") == before


def test_the_same_bytes_under_two_names_are_two_documents_and_one_object(stack: Stack) -> None:
    content = b"# Twin\nTwo names share this text about pelicans.\n"
    one = stack.ingest("twin-one.md", content, "life")
    two = stack.ingest("twin-two.md", content, "life")
    assert one["id"] != two["id"]
    shared = count(
        stack,
        "SELECT count(DISTINCT source_uri) FROM document_versions WHERE document_id = ANY(%s::uuid[])",
        [one["id"], two["id"]],
    )
    assert shared == 1
    raw = stack.raw_object(content)
    assert raw.exists()
    stack.delete(one["id"])
    assert raw.exists(), "the other document still refers to it"
    stack.delete(two["id"])
    assert not raw.exists(), "it goes with the last"


def test_a_deleted_document_is_not_found_anywhere(stack: Stack) -> None:
    done = stack.ingest("gone.md", b"# Gone\nThe wombat sleeps in the attic.\n", "life")
    stack.delete(done["id"])
    assert not any("wombat" in text for text in stack.all_texts())
    assert not any(
        "wombat" in hit["content"][0]["text"] for hit in stack.search("Where does the wombat sleep?", "life")
    )
    assert stack.triples_of(done["id"]) == 0


def test_an_edited_file_that_became_empty_serves_nothing(stack: Stack) -> None:
    done = stack.ingest("emptied.md", b"# Full\nThe ferret keeps the spare key.\n", "life")
    emptied = stack.ingest("emptied.md", b"", "life")
    assert emptied["id"] == done["id"]
    assert not any("ferret" in text for text in stack.all_texts())


def _zip_bomb() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", b"\0" * (600 << 20))
    return data.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("truncated.pdf", b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog", "truncated"),
        ("bomb.docx", _zip_bomb(), "bomb"),
        ("noise.txt", bytes(range(256)) * 40, "unsupported_type"),
    ],
)
def test_a_broken_file_fails_with_file_reason_and_fix(stack: Stack, name: str, content: bytes, code: str) -> None:
    accepted = stack.upload(name, content, "bad")
    document = stack.finished(accepted["id"])
    assert document["state"] == "failed"
    error = document["error"]
    assert error["code"] == code and name in error["message"] and error["fix"]


def test_encrypted_and_image_only_pdfs(stack: Stack, encrypted_pdf: bytes, image_pdf: bytes) -> None:
    failed = stack.finished(stack.upload("locked.pdf", encrypted_pdf, "bad")["id"])
    assert failed["state"] == "failed" and failed["error"]["code"] == "encrypted"
    scanned = stack.finished(stack.upload("scan.pdf", image_pdf, "bad")["id"])
    assert scanned["state"] == "graphed" and scanned["warnings"][0]["code"] == "no_text_layer"


def test_odd_but_readable_files_are_done_with_a_warning(stack: Stack, handbook: Path) -> None:
    disguised = stack.finished(stack.upload("picture.txt", handbook.read_bytes(), "bad")["id"])
    assert disguised["state"] == "graphed" and disguised["warnings"][0]["code"] == "extension_mismatch"
    text = b"# Odd\nnul \x00 and lone \xed\xa0\x80 surrogate, then a walrus.\n"
    odd = stack.finished(stack.upload("odd.md", text, "bad")["id"])
    assert odd["state"] == "graphed" and odd["warnings"]
    assert any("walrus" in hit["content"][0]["text"] for hit in stack.search("walrus", "bad"))


def test_an_upload_without_a_key_is_refused(stack: Stack) -> None:
    response = httpx.post(f"{stack.url}/v1/documents", files={"file": ("a.md", b"x")})
    assert response.status_code == 401
