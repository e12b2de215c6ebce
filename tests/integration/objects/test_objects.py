# SPDX-License-Identifier: GPL-3.0-or-later
"""What every object store must do behind the port, so that the workers need not know which one is there."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from conftest import free_port

from homelab_workers.adapters.objects import DirectoryObjects, S3Objects
from homelab_workers.contracts import Location
from homelab_workers.errors import AuthRefused, Unavailable
from tests.garage import NoGarage

from .servers import SERVERS, Account

Objects = DirectoryObjects | S3Objects
MORE_THAN_A_PAGE = 1_003  # S3 lists at most 1000 keys in one answer


@pytest.fixture(scope="module", params=SERVERS)
def account(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    try:
        with SERVERS[request.param](tmp_path_factory.mktemp(request.param)) as found:
            yield found
    except NoGarage as reason:
        pytest.skip(str(reason))


@pytest.fixture
def objects(account: Account) -> Objects:
    return account.open()


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


@pytest.mark.parametrize(
    "name", ["Grüße aus Köln.txt", "50% + 1 = #2?.md", "a b  c", "日本語", "'quoted' & \"doubled\""]
)
async def test_names_of_all_kinds_come_back_as_they_were(objects: Objects, folder: str, name: str) -> None:
    place = Location("mine", f"{folder}/{name}")
    await objects.put(place, name.encode())
    assert await objects.get(place) == name.encode()
    assert await listed(objects, folder) == [place.key]


async def test_a_foreign_bucket_and_a_wrong_secret_are_refused_and_named(account: Account, folder: str) -> None:
    if not account.key:
        pytest.skip("a folder knows no keys: the rights of its files are the service user's")
    foreign, own = Location("theirs", f"{folder}/x"), Location("mine", f"{folder}/x")
    for objects, place in ((account.open(), foreign), (account.open(secret="0" * len(account.secret)), own)):
        for attempt in (objects.put(place, b"x"), objects.get(place)):
            with pytest.raises(AuthRefused) as caught:
                await attempt
            assert str(place) in str(caught.value)


async def test_a_server_that_is_away_is_soon_called_away(account: Account, folder: str) -> None:
    if not account.key:
        pytest.skip("a folder is never away")
    objects = account.open(endpoint=f"http://127.0.0.1:{free_port()}")
    started = time.monotonic()
    with pytest.raises(Unavailable, match="mine"):
        await objects.get(Location("mine", f"{folder}/x"))
    # The loop tries again with a growing delay; what waits here holds a message and says nothing.
    assert time.monotonic() - started < 60
