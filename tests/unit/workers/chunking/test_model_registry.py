# SPDX-License-Identifier: GPL-3.0-or-later
"""The model registry: windows, custom models, and what its errors say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from homelab_workers.adapters.tokenizer import FileTokenizer
from homelab_workers.model_registry import MODELS, chunk_window, embedding_model

OWN = {"dimension": 1024, "max_tokens": 8192, "trained_tokens": 8192}


@pytest.mark.parametrize(
    ("name", "size", "overlap", "expected"),
    [
        ("all-MiniLM-L6-v2", 512, 128, (256, 64)),
        ("all-MiniLM-L6-v2", 200, 50, (200, 50)),
        ("nomic-embed-text-v1.5", 512, 128, (512, 128)),
        ("bge-small-en-v1.5", 1024, 100, (512, 50)),
    ],
)
def test_window_is_what_the_model_learned(name: str, size: int, overlap: int, expected: tuple[int, int]) -> None:
    assert chunk_window(embedding_model(name), size, overlap) == expected


@pytest.mark.parametrize(("size", "overlap"), [(512, 512), (512, -1)])
def test_overlap_out_of_range_is_refused(size: int, overlap: int) -> None:
    with pytest.raises(ValueError, match=f"CHUNK_OVERLAP {overlap} "):
        chunk_window(embedding_model("gte-small"), size, overlap)


def test_unknown_model_names_the_known_ones_and_the_way() -> None:
    with pytest.raises(ValueError, match="MODEL_REGISTRY_FILE") as caught:
        embedding_model("no-such-model")
    assert all(name in str(caught.value) for name in MODELS)


def test_own_model_comes_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "models.json"
    path.write_text(json.dumps({"own": {**OWN, "query_prefix": "query: "}}))
    monkeypatch.setenv("MODEL_REGISTRY_FILE", str(path))
    assert embedding_model("own").query_prefix == "query: "
    assert embedding_model("gte-small").dimension == 384


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({**OWN, "colour": "red"}, "colour unknown"),
        ({"dimension": 3}, "max_tokens, trained_tokens missing"),
        ({**OWN, "dimension": "384"}, "dimension is '384'"),
        ({**OWN, "dimension": True}, "dimension is True"),
        ({**OWN, "dimension": 0}, "dimension is 0"),
        ({**OWN, "trained_tokens": 9000}, "trained_tokens 9000 is over max_tokens 8192"),
        ([], "must be an object"),
    ],
)
def test_wrong_entry_is_named(tmp_path: Path, entry: object, says: str) -> None:
    path = tmp_path / "models.json"
    path.write_text(json.dumps({"own": entry}))
    with pytest.raises(ValueError, match=says) as caught:
        embedding_model("own", registry_file=path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [None, "{not json"])
def test_tokenizer_file_must_be_one(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=f"TOKENIZER_FILE {path}"):
        FileTokenizer(path, embedding_model("gte-small"))
