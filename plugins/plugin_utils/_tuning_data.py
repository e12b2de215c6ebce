# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""The numbers that tuning starts from (data/tuning_profiles.json), and what an inventory may say instead."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

DATA_FILE = Path(__file__).with_name("data") / "tuning_profiles.json"
SCHEMA_FILE = Path(__file__).with_name("data") / "homelab_tuning.schema.json"
RESERVATION = ("k3s_reserved_memory_percent", "k3s_reserved_cpu_percent")
SETTINGS_FROM_ZERO = (
    "max_memory_store_mib",
    "max_worker_processes",
    "max_parallel_workers",
    "max_parallel_workers_per_gather",
)


class TuningError(ValueError):
    """Facts, overrides or a machine that cannot be tuned; the message names the key, the rule and the fix."""


@cache
def load() -> dict[str, Any]:
    """The data file. Callers do not change it."""
    data: dict[str, Any] = json.loads(DATA_FILE.read_text(encoding="utf-8"))
    return data


@cache
def settings_keys() -> dict[str, list[str]]:
    """By component, the settings that roles read, as the schema has them."""
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    components = schema["properties"]["components"]["properties"]
    return {name: list(spec["properties"]["settings"]["properties"]) for name, spec in components.items()}


@dataclass(frozen=True)
class Overrides:
    """What an inventory says instead of the data file."""

    profile: str | None = None
    profiles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    extract_engine: str | None = None
    hpa_threshold_percent: int | None = None
    hpa_memory_threshold_percent: int | None = None
    without: tuple[str, ...] = ()
    floor_mib: Mapping[str, int] = field(default_factory=dict)
    ceiling_mib: Mapping[str, int] = field(default_factory=dict)
    cpu_floor_m: Mapping[str, int] = field(default_factory=dict)
    max_replicas: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    streams_gib: Mapping[str, int] = field(default_factory=dict)
    storage_reserved_gib: Mapping[str, int] = field(default_factory=dict)
    percents: Mapping[str, Fraction] = field(default_factory=dict)


def one_of(path: str, key: Any, allowed: Collection[Any]) -> None:
    """Raise unless `key` is one of those."""
    if key not in tuple(allowed):  # not by hash: an inventory may give anything
        raise TuningError(f"{path}: {key!r} is unknown, allowed are {', '.join(map(str, allowed))}")


def mapping(path: str, value: Any) -> Mapping[str, Any]:
    """A dictionary, or TuningError."""
    if not isinstance(value, Mapping):
        raise TuningError(f"{path}: {value!r} is no dictionary")
    return value


def whole(path: str, value: Any, least: int = 0) -> int:
    """An integer of at least `least`, or TuningError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise TuningError(f"{path}: {value!r} is no whole number of at least {least}")
    return value


def percent(path: str, value: Any) -> Fraction:
    """A share from 0 to 100, exact, or TuningError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 100:
        raise TuningError(f"{path}: {value!r} is no percentage from 0 to 100")
    return Fraction(str(value))


def share(amount: int, percent: Fraction) -> int:
    """A percentage of `amount`, rounded down."""
    return amount * percent.numerator // (100 * percent.denominator)


def share_up(amount: int, percent: Fraction) -> int:
    """A percentage of `amount`, rounded up."""
    return -(-amount * percent.numerator // (100 * percent.denominator))


def read_overrides(given: Any) -> Overrides:
    """Check an inventory's overrides key by key."""
    data = load()
    aliases: dict[str, str] = data["aliases"]
    percents = tuple(data["profiles"]["default"]) + tuple(aliases) + RESERVATION
    known: dict[str, Any] = {}
    shares: dict[str, Fraction] = {}
    for key, value in mapping("overrides", given).items():
        path = f"overrides.{key}"
        if key in percents:
            name = aliases.get(key, key)
            if name in shares:
                raise TuningError(f"{path}: another name of {name}, which is given too; leave one out")
            shares[name] = percent(path, value)
        else:
            one_of("overrides", key, (*_READERS, *percents))
            known[key] = _READERS[key](path, value)
    return Overrides(percents=shares, **known)


def _profile_name(path: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TuningError(f"{path}: {value!r} is no name of a profile")
    return value


def _profiles(path: str, value: Any) -> Mapping[str, Mapping[str, Any]]:
    allowed = ("like", *load()["profiles"]["default"])
    for name, profile in mapping(path, value).items():
        _profile_name(path, name)
        for key, number in mapping(f"{path}.{name}", profile).items():
            one_of(f"{path}.{name}", key, allowed)
            if key != "like":
                percent(f"{path}.{name}.{key}", number)
    return dict(value)


def _engine(path: str, value: Any) -> str:
    one_of(path, value, load()["engines"])
    return str(value)


def _threshold(path: str, value: Any) -> int:
    if whole(path, value, 1) > 100:
        raise TuningError(f"{path}: {value} is more than 100 %")
    return int(value)


def _without(path: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        raise TuningError(f"{path}: {value!r} is no list of components")
    for name in value:
        one_of(path, name, optional_components())
    return tuple(dict.fromkeys(value))


def optional_components() -> list[str]:
    """Components that may be switched off."""
    return [name for name, row in load()["components"].items() if row.get("optional")]


def _numbers(allowed: Callable[[], Collection[str]]) -> Callable[[str, Any], dict[str, int]]:
    """A reader of whole numbers from 1 up, by one of the allowed names."""

    def read(path: str, value: Any) -> dict[str, int]:
        for name, number in mapping(path, value).items():
            one_of(path, name, allowed())
            whole(f"{path}.{name}", number, 1)
        return dict(value)

    return read


def _settings(path: str, value: Any) -> Mapping[str, Mapping[str, Any]]:
    for component, settings in mapping(path, value).items():
        one_of(path, component, settings_keys())
        for key, number in mapping(f"{path}.{component}", settings).items():
            one_of(f"{path}.{component}", key, settings_keys()[component])
            if key == "quantisation":
                one_of(f"{path}.{component}.{key}", number, ("f16", "q8_0"))
            else:
                whole(f"{path}.{component}.{key}", number, 0 if key in SETTINGS_FROM_ZERO else 1)
    return dict(value)


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "profile": _profile_name,
    "profiles": _profiles,
    "extract_engine": _engine,
    "hpa_threshold_percent": _threshold,
    "hpa_memory_threshold_percent": _threshold,
    "without": _without,
    "floor_mib": _numbers(lambda: load()["components"]),
    "ceiling_mib": _numbers(lambda: [name for name, row in load()["components"].items() if "percent" in row]),
    "cpu_floor_m": _numbers(lambda: load()["components"]),
    "max_replicas": _numbers(lambda: load()["burst_order"]),
    "streams_gib": _numbers(lambda: load()["streams_gib"]),
    "storage_reserved_gib": _numbers(lambda: load()["storage"]["reserved_gib"]),
    "settings": _settings,
}
