# SPDX-License-Identifier: Apache-2.0
"""Objects in a directory or in S3 (Garage), behind one port.

obstore does the work. What it leaves out is added here: the directory store does not fsync, and
its errors name no bucket. Keys are content-addressed or versioned, so no conditional put is needed
(Garage would ignore it).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlparse

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, S3Store

from ..contracts import Location, check_key
from ..errors import AuthRefused, Unavailable

_PIECE = 1 << 20
_DETAILS = "\n\nDebug source"
# obstore has no type of its own for a refused listing or deletion, only these lines of what went wrong.
_REFUSED = re.compile(r'^ +(?:status: 40[13]|code: "AccessDenied"),$', re.MULTILINE)


def open_store(
    endpoint: str, *, access_key: str | None = None, secret_key: str | None = None, region: str = "garage"
) -> DirectoryObjects | S3Objects:
    """`file:///path` selects the directory store, `http(s)://host:port` an S3 server.

    Raises ValueError for anything else, or when S3 lacks its keys.
    """
    url = urlparse(endpoint)
    if url.scheme == "file" and url.path:
        return DirectoryObjects(Path(unquote(url.path)))
    if url.scheme in ("http", "https"):
        if not access_key or not secret_key:
            raise ValueError("GARAGE_ENDPOINT is an S3 server, so GARAGE_ACCESS_KEY and GARAGE_SECRET_KEY must be set")
        return S3Objects(endpoint, access_key, secret_key, region)
    raise ValueError(f"GARAGE_ENDPOINT {endpoint!r}: use file:///directory or http(s)://host:port")


class _Objects(ABC):
    """What both stores share: one obstore store per bucket, and one vocabulary of errors."""

    def __init__(self) -> None:
        self._stores: dict[str, LocalStore | S3Store] = {}

    @abstractmethod
    def _open(self, bucket: str) -> LocalStore | S3Store: ...

    def _store(self, location: Location) -> LocalStore | S3Store:
        check_key(location.key)
        return self._bucket(location.bucket)

    def _bucket(self, bucket: str) -> LocalStore | S3Store:
        if bucket not in self._stores:
            self._stores[bucket] = self._open(bucket)
        return self._stores[bucket]

    async def get(self, location: Location) -> bytes:
        store = self._store(location)
        try:
            result = await obstore.get_async(store, location.key)
            return bytes(await result.bytes_async())
        except (BaseError, OSError) as error:
            raise _translated(error, location) from error

    async def download(self, location: Location, path: Path) -> str:
        store = self._store(location)
        digest = hashlib.sha256()
        try:
            result = await obstore.get_async(store, location.key)
            with path.open("wb") as file:
                async for piece in result.stream(min_chunk_size=_PIECE):
                    digest.update(piece)
                    file.write(piece)
        except (BaseError, OSError) as error:
            raise _translated(error, location) from error
        return digest.hexdigest()

    async def put(self, location: Location, data: bytes) -> None:
        await self._put(location, data)

    async def upload(self, path: Path, location: Location) -> None:
        await self._put(location, path)

    async def _put(self, location: Location, source: bytes | Path) -> None:
        store = self._store(location)
        try:
            await obstore.put_async(store, location.key, source)
        except (BaseError, OSError) as error:
            raise _translated(error, location) from error

    async def exists(self, location: Location) -> bool:
        store = self._store(location)
        try:
            await obstore.head_async(store, location.key)
        except FileNotFoundError:
            return False
        except (BaseError, OSError) as error:
            raise _translated(error, location) from error
        return True

    async def delete(self, location: Location) -> None:
        store = self._store(location)
        try:
            await obstore.delete_async(store, location.key)
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise _translated(error, location) from error

    async def keys(self, bucket: str, prefix: str = "") -> AsyncIterator[str]:
        store = self._bucket(bucket)
        try:
            async for page in obstore.list(store, prefix or None):
                for entry in page:
                    yield entry["path"]
        except (BaseError, OSError) as error:
            raise _translated(error, Location(bucket, prefix)) from error


class DirectoryObjects(_Objects):
    """Buckets are folders. A put is on disk (file and folder fsynced) when it returns."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root

    def _open(self, bucket: str) -> LocalStore:
        return LocalStore(self.root / bucket, mkdir=True)

    async def written_before(self, bucket: str, moment: datetime) -> AsyncIterator[str]:
        """Keys of objects whose last write is older; `moment` is aware."""
        try:
            async for page in obstore.list(self._bucket(bucket)):
                for entry in page:
                    if entry["last_modified"] < moment:
                        yield entry["path"]
        except (BaseError, OSError) as error:
            raise _translated(error, Location(bucket, "")) from error

    async def _put(self, location: Location, source: bytes | Path) -> None:
        await super()._put(location, source)
        await asyncio.to_thread(_fsync, self.root, self.root / location.bucket / location.key)


class S3Objects(_Objects):
    """Path-style S3; the server's own durability applies (Garage: data_fsync and metadata_fsync)."""

    def __init__(self, endpoint: str, access_key: str, secret_key: str, region: str) -> None:
        super().__init__()
        self._options = (endpoint, access_key, secret_key, region)

    def _open(self, bucket: str) -> S3Store:
        endpoint, access_key, secret_key, region = self._options
        return S3Store(
            bucket,
            endpoint=endpoint,
            access_key_id=access_key,
            secret_access_key=secret_key,
            region=region,
            virtual_hosted_style_request=False,
            client_options={"allow_http": endpoint.startswith("http://"), "timeout": "60s"},
            # The consumer loop tries again, and says why; obstore alone would be silent for three minutes.
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=20)},
        )


def _fsync(root: Path, path: Path) -> None:
    for place in (path, *path.relative_to(root).parents):
        descriptor = os.open(place if place.is_absolute() else root / place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _translated(error: Exception, location: Location) -> Exception:
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(str(location))
    text = str(error)
    message = f"{location}: {text.partition(_DETAILS)[0]}"
    if isinstance(error, (PermissionDeniedError, UnauthenticatedError)) or _REFUSED.search(text):
        return AuthRefused("objects", message)
    return Unavailable("objects", message)
