# SPDX-License-Identifier: Apache-2.0
"""The environment, read once at start: every name may also come as `<NAME>_FILE`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..contracts import Pipeline
from ..ports import ExtractLimits


class SettingsError(Exception):
    """A setting is missing or wrong; the message names it, the value and the rule."""


class Environment:
    """Typed access to environment variables; secrets come from files."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = os.environ if values is None else values

    def text(self, name: str, default: str | None = None) -> str:
        if value := self._values.get(name):
            return value
        if path := self._values.get(f"{name}_FILE"):
            try:
                return Path(path).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise SettingsError(f"{name}_FILE {path}: {error.strerror}") from error
        if default is None:
            raise SettingsError(f"{name} is not set: set it, or {name}_FILE to a file that holds it")
        return default

    def whole(self, name: str, default: int, *, least: int = 0) -> int:
        value = self.text(name, str(default))
        try:
            number = int(value)
        except ValueError:
            raise SettingsError(f"{name} is {value!r}: it must be a whole number") from None
        if number < least:
            raise SettingsError(f"{name} is {number}: it must be at least {least}")
        return number

    def path(self, name: str, default: str | None = None) -> Path:
        return Path(self.text(name, default))


@dataclass(frozen=True)
class Settings:
    """What every service reads. Names are those of docs/contracts.md."""

    service: str
    nats_url: str
    subject_prefix: str
    supabase_url: str
    http_host: str
    http_port: int
    work_dir: Path
    environment: Environment

    @classmethod
    def read(cls, service: str, values: Mapping[str, str] | None = None) -> Settings:
        env = Environment(values)
        return cls(
            service=service,
            nats_url=env.text("NATS_URL"),
            subject_prefix=env.text("SUBJECT_PREFIX", ""),
            supabase_url=env.text("SUPABASE_URL"),
            http_host=env.text("HOMELAB_HTTP_HOST", "127.0.0.1"),
            http_port=env.whole("HOMELAB_HTTP_PORT", 0),
            work_dir=env.path("HOMELAB_WORK_DIR", "/tmp"),
            environment=env,
        )

    def pipeline(self, engine: str) -> Pipeline:
        env = self.environment
        return Pipeline(
            engine=engine,
            chunk_size=env.whole("CHUNK_SIZE", 512, least=8),
            chunk_overlap=env.whole("CHUNK_OVERLAP", 128),
            embedding_model=env.text("EMBEDDING_MODEL"),
        )

    def object_store(self) -> dict[str, Any]:
        """Arguments of `adapters.objects.open_store`."""
        env = self.environment
        return {
            "endpoint": env.text("GARAGE_ENDPOINT"),
            "access_key": env.text("GARAGE_ACCESS_KEY", "") or None,
            "secret_key": env.text("GARAGE_SECRET_KEY", "") or None,
        }

    def extract_limits(self) -> ExtractLimits:
        env = self.environment
        standard = ExtractLimits()
        return ExtractLimits(
            max_bytes=env.whole("EXTRACT_MAX_MIB", standard.max_bytes >> 20, least=1) << 20,
            max_pages=env.whole("EXTRACT_MAX_PAGES", standard.max_pages, least=1),
            max_seconds=float(env.whole("EXTRACT_MAX_SECONDS", int(standard.max_seconds), least=1)),
            max_rss_mib=env.whole("EXTRACT_MAX_RSS_MIB", standard.max_rss_mib, least=128),
            page_slice=env.whole("EXTRACT_PAGE_SLICE", standard.page_slice, least=1),
        )
