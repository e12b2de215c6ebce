# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from homelab_workers.adapters.docling import archive
from homelab_workers.adapters.docling.archive import check_archive
from homelab_workers.errors import Rejected


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    def build(**members: bytes) -> Path:
        path = tmp_path / "a.docx"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, data in members.items():
                file.writestr(name, data)
        return path

    return build


def code(path: Path) -> str:
    with pytest.raises(Rejected) as caught:
        check_archive(path, "a.docx")
    assert caught.value.message.startswith("a.docx: ")
    return caught.value.code


def test_good_archive_gives_its_names(make: Callable[..., Path]) -> None:
    assert check_archive(make(**{"word/document.xml": b"x", "b": b"y"}), "a.docx") == ["word/document.xml", "b"]


def test_small_repetitive_member_is_fine(make: Callable[..., Path]) -> None:
    assert check_archive(make(a=b"\x00" * 500_000), "a.docx") == ["a"]


def test_ratio(make: Callable[..., Path]) -> None:
    assert code(make(a=b"\x00" * 5_000_000)) == "bomb"


def test_total(make: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", 100)
    assert check_archive(make(a=b"x" * 50, b=b"y" * 50), "a.docx") == ["a", "b"]
    assert code(make(a=b"x" * 50, b=b"y" * 51)) == "bomb"


def test_member_count(make: Callable[..., Path]) -> None:
    assert code(make(**{f"m{index}": b"" for index in range(archive.MAX_MEMBERS + 1)})) == "bomb"


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/passwd", "..\\evil", "C:/evil"])
def test_names_that_point_out(make: Callable[..., Path], name: str) -> None:
    assert code(make(**{name: b"x"})) == "bomb"


def test_encrypted_member(make: Callable[..., Path]) -> None:
    path = make(a=b"secret")
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x03\x04") + 6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert code(path) == "encrypted"


def test_cut_and_damaged(make: Callable[..., Path]) -> None:
    path = make(a=bytes(range(256)) * 40)
    data = path.read_bytes()
    path.write_bytes(data[:-30])
    assert code(path) == "truncated"
    path.write_bytes(data[:60] + b"\xff" * 20 + data[80:])
    assert code(path) == "truncated"
