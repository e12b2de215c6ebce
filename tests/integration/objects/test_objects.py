# SPDX-License-Identifier: GPL-3.0-or-later
"""What every object store must do behind the port, so that the workers need not know which one is there."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from homelab_workers.adapters.objects import DirectoryObjects, S3Objects
from homelab_workers.contracts import Location
from homelab_workers.errors import AuthRefused, Unavailable
from tests.garage import NoGarage
from tests.ports import free_port

from .servers import SERVERS, Account

Objects = DirectoryObjects | S3Objects
MORE_THAN_A_PAGE = 1_003  # S3 lists at most 1000 keys in one answer


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Account]]:
    """Starts a server when it is first asked for."""
    running: dict[str, Account] = {}
    with ExitStack() as stack:

        def start(name: str) -> Account:
            if name not in running:
                try:
                    running[name] = stack.enter_context(SERVERS[name](tmp_path_factory.mktemp(name)))
                except NoGarage as reason:
                    pytest.skip(str(reason))
            return running[name]

        yield start


@pytest.fixture(params=SERVERS)
def objects(request: pytest.FixtureRequest, started: Callable[[str], Account]) -> Objects:
    return started(request.param).open()


@pytest.fixture(params=[name for name in SERVERS if name != "directory"])
def server(request: pytest.FixtureRequest, started: Callable[[str], Account]) -> Account:
    """A folder knows no keys and is never away."""
    return started(request.param)


@pytest.fixture
def folder() -> str:
    """The stores live for all tests of this file; each test has its own part of the bucket."""
    return uuid4().hex


async def listed(objects: Objects, prefix: str) -> list[str]:
    return sorted([key async for key in objects.keys("mine", prefix)])


async def test_what_was_put_is_there_until_it_is_replaced_or_deleted(objects: Objects, folder: str) -> None:
    place = Location("mine", f"{folder}/a/document.json")
    assert not await objects.exists(place)
    for content in (b"first", b"the second, longer", b"", os.urandom(100_000)):
        await objects.put(place, content)
        assert await objects.exists(place) and await objects.get(place) == content
    await objects.delete(place)
    assert not await objects.exists(place)
    await objects.delete(place)  # as a stage does that was killed half-way


async def test_what_is_not_there_is_named(objects: Objects, folder: str, tmp_path: Path) -> None:
    place = Location("mine", f"{folder}/nothing")
    for attempt in (objects.get(place), objects.download(place, tmp_path / "nothing")):
        with pytest.raises(FileNotFoundError) as caught:
            await attempt
        assert str(caught.value) == str(place)
    assert await listed(objects, f"{folder}/nothing") == []


async def test_a_file_goes_up_and_down_in_pieces_and_its_digest_is_told(
    objects: Objects, folder: str, tmp_path: Path
) -> None:
    content = os.urandom(12 << 20)  # more than one part of a multipart upload
    (tmp_path / "up").write_bytes(content)
    place = Location("mine", f"{folder}/file.pdf")
    await objects.upload(tmp_path / "up", place)
    assert await objects.download(place, tmp_path / "down") == hashlib.sha256(content).hexdigest()
    assert (tmp_path / "down").read_bytes() == content


async def test_keys_are_listed_below_a_prefix_however_many(objects: Objects, folder: str) -> None:
    wanted = sorted(f"{folder}/many/{number:04}.txt" for number in range(MORE_THAN_A_PAGE))
    for start in range(0, len(wanted), 50):
        await asyncio.gather(*(objects.put(Location("mine", key), b"x") for key in wanted[start : start + 50]))
    await objects.put(Location("mine", f"{folder}/other/1.txt"), b"x")
    assert await listed(objects, f"{folder}/many") == wanted
    assert await listed(objects, f"{folder}/other") == [f"{folder}/other/1.txt"]
    assert await listed(objects, f"{folder}/oth") == []  # a prefix is whole segments: version 1 is not version 10


@pytest.mark.parametrize(
    "name",
    [
        *("Grüße aus Köln.txt", "50% + 1 = #2?.md", "50%25.md", "a b  c", "日本語 😀", "'quoted' & \"doubled\""),
        *(
            "[x] {y} <z>; ~home*(1)!.txt",
            "pipe|caret^grave`.txt",
            "." + "n" * 199,
        ),  # SeaweedFS lists a backslash as a slash
    ],
)
async def test_names_of_all_kinds_come_back_as_they_were(objects: Objects, folder: str, name: str) -> None:
    place = Location("mine", f"{folder}/{name}")
    await objects.put(place, name.encode())
    assert await objects.get(place) == name.encode()
    assert await listed(objects, folder) == [place.key]
    await objects.delete(place)
    assert await listed(objects, folder) == []


async def first_key(objects: Objects, place: Location) -> None:
    async for _key in objects.keys(place.bucket, place.key):
        break


CALLS: dict[str, Callable[[Objects, Location, Path], Awaitable[object]]] = {
    "put": lambda objects, place, _file: objects.put(place, b"x"),
    "get": lambda objects, place, _file: objects.get(place),
    "upload": lambda objects, place, file: objects.upload(file, place),
    "download": lambda objects, place, file: objects.download(place, file),
    "exists": lambda objects, place, _file: objects.exists(place),
    "delete": lambda objects, place, _file: objects.delete(place),
    "keys": lambda objects, place, _file: first_key(objects, place),
}


@pytest.mark.parametrize("call", CALLS)
async def test_a_foreign_bucket_is_refused_and_named(server: Account, folder: str, call: str, tmp_path: Path) -> None:
    place, file = Location("theirs", f"{folder}/x"), tmp_path / "file"
    file.write_bytes(b"x")
    with pytest.raises(AuthRefused) as caught:
        await CALLS[call](server.open(), place, file)
    assert str(place) in str(caught.value)


async def test_a_wrong_secret_is_refused_and_the_object_named(server: Account, folder: str) -> None:
    place = Location("mine", f"{folder}/x")
    objects = server.open(secret="0" * len(server.secret))
    for attempt in (objects.put(place, b"x"), objects.get(place)):
        with pytest.raises(AuthRefused) as caught:
            await attempt
        assert str(place) in str(caught.value)


@pytest.mark.parametrize("call", CALLS)
async def test_a_server_that_is_away_is_called_away(folder: str, call: str, tmp_path: Path) -> None:
    """And soon: the loop tries again with a growing delay, and what waits here holds a message and says nothing."""
    place, file = Location("mine", f"{folder}/x"), tmp_path / "file"
    file.write_bytes(b"x")
    away = Account(f"http://127.0.0.1:{free_port()}", "GK" + "0" * 24, "0" * 64)
    async with asyncio.timeout(60):
        with pytest.raises(Unavailable) as caught:
            await CALLS[call](away.open(), place, file)
    assert str(place) in str(caught.value)


@pytest.mark.parametrize("key", ["", "../escape", "a//b", "a/../b", "a\0b", "/absolute"])
async def test_keys_that_not_every_store_takes_are_refused_by_all(objects: Objects, key: str) -> None:
    with pytest.raises(ValueError, match="an object key may not"):
        await objects.put(Location("mine", key), b"x")
