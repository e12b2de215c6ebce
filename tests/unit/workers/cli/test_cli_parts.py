# SPDX-License-Identifier: GPL-3.0-or-later
"""Files, configuration and retries of the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from homelab_workers.cli.client import Client
from homelab_workers.cli.config import LOCAL_URL, read_config
from homelab_workers.cli.exits import UNREACHABLE, USAGE, CliError
from homelab_workers.cli.files import sources
from homelab_workers.cli.ingest import SENDS, Ingest
from homelab_workers.cli.output import plain
from homelab_workers.cli.progress import _Silent


def write(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_names_are_relative_to_the_argument(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "docs" / "b.md")
    write(tmp_path / "docs" / "sub" / "a.md")
    write(tmp_path / "docs" / ".hidden" / "x.md")
    write(tmp_path / "docs" / ".DS_Store")
    write(tmp_path / "one.pdf")
    assert [s.name for s in sources([str(tmp_path / "docs"), str(tmp_path / "one.pdf")], None)] == [
        "docs/b.md",
        "docs/sub/a.md",
        "one.pdf",
    ]
    monkeypatch.chdir(tmp_path / "docs")
    assert [s.name for s in sources(["."], None)] == ["docs/b.md", "docs/sub/a.md"]
    assert [s.name for s in sources(["b.md"], "note.md")] == ["note.md"]


def test_a_folder_that_contains_itself_ends(tmp_path: Path) -> None:
    write(tmp_path / "docs" / "a.md")
    (tmp_path / "docs" / "again").symlink_to(tmp_path / "docs")
    os.mkfifo(tmp_path / "docs" / "pipe")
    assert [s.name for s in sources([str(tmp_path / "docs")], None)] == ["docs/a.md"]


def test_two_files_of_one_name_are_an_error(tmp_path: Path) -> None:
    write(tmp_path / "x" / "docs" / "a.md")
    write(tmp_path / "y" / "docs" / "a.md")
    with pytest.raises(CliError) as error:
        sources([str(tmp_path / "x" / "docs"), str(tmp_path / "y" / "docs")], None)
    assert error.value.code == USAGE and "--as" in error.value.fix


def test_configuration_order(tmp_path: Path) -> None:
    key = write(tmp_path / "key", "from-file\n")
    assert read_config({"XDG_CONFIG_HOME": str(tmp_path)}).url == LOCAL_URL
    write(tmp_path / "homelab" / "cli.json", json.dumps({"url": "http://a/", "api_key_file": str(key)}))
    config = read_config({"XDG_CONFIG_HOME": str(tmp_path)})
    assert (config.url, config.api_key, config.admin_key) == ("http://a", "from-file", None)
    config = read_config({"XDG_CONFIG_HOME": str(tmp_path), "HOMELAB_URL": "http://b", "HOMELAB_API_KEY": "direct"})
    assert (config.url, config.api_key) == ("http://b", "direct")


@pytest.mark.parametrize("text", ["{", "[]", '{"url": 1}'])
def test_a_broken_configuration_file_is_named(tmp_path: Path, text: str) -> None:
    file = write(tmp_path / "homelab" / "cli.json", text)
    with pytest.raises(CliError, match=str(file)):
        read_config({"XDG_CONFIG_HOME": str(tmp_path)})


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="nokey"):
        read_config({"XDG_CONFIG_HOME": str(tmp_path), "HOMELAB_API_KEY_FILE": str(tmp_path / "nokey")})


@pytest.mark.parametrize("text", ["a\x1b[31m", "a\x9b31m", "a\r", "a\u202eb", "a\x7f"])
def test_control_characters_are_replaced(text: str) -> None:
    assert plain(text).count("\ufffd") == 1
    assert plain("a\tb\nc é 日本") == "a\tb\nc é 日本"


def ingesting(answers: list[httpx.Response | Exception]) -> tuple[Ingest, list[float]]:
    """An ingest whose service gives these answers; and the seconds that it slept."""

    def answer(request: httpx.Request) -> httpx.Response:
        request.read()
        given = answers.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    client = Client("the query service", "http://test", "key", "HOMELAB_API_KEY")
    client.http = httpx.Client(base_url="http://test", transport=httpx.MockTransport(answer))
    slept: list[float] = []
    return Ingest(client, "default", sleep=slept.append), slept


RECEIPT = {"status": "received", "id": "1", "version": "v"}


def status(state: str, **more: Any) -> httpx.Response:
    version = {"version": "v", "state": state, "warnings": [], "error": None} | more
    return httpx.Response(200, json={"versions": [version]})


def test_a_service_that_restarts_is_waited_for(tmp_path: Path) -> None:
    made, slept = ingesting(
        [
            httpx.ConnectError("refused"),
            httpx.Response(503, json={"error": {"message": "postgres"}}),
            httpx.Response(202, json=RECEIPT),
            status("received"),
            status("embedded"),
            status("graphed"),
        ]
    )
    (outcome,) = made.run(sources([str(write(tmp_path / "a"))], None), wait_until_done=True, progress=_Silent())
    assert outcome.status == "done"
    assert slept[:2] == [2.0, 4.0]


def test_a_service_that_stays_away_is_unreachable(tmp_path: Path) -> None:
    made, _unused = ingesting([httpx.ConnectError("refused")] * SENDS)
    (outcome,) = made.run(sources([str(write(tmp_path / "a"))], None), wait_until_done=True, progress=_Silent())
    assert outcome.status == "failed" and outcome.unreachable


def test_a_newer_upload_ends_the_wait(tmp_path: Path) -> None:
    made, _unused = ingesting([httpx.Response(202, json=RECEIPT), status("superseded")])
    (outcome,) = made.run(sources([str(write(tmp_path / "a"))], None), wait_until_done=True, progress=_Silent())
    assert outcome.status == "superseded"


def test_a_proxy_error_is_unreachable() -> None:
    made, _unused = ingesting([httpx.Response(502, text="bad gateway")])
    with pytest.raises(CliError) as error:
        made.client.json("GET", "/v1/models")
    assert error.value.code == UNREACHABLE and "bad gateway" in error.value.message
