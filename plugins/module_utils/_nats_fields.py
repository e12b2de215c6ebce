# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Fields of the server's configuration: how an option is written, compared and shown.

Options carry the names that the server uses on the wire, so that `nats stream info --json` and a task read alike.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterable
from typing import Any, Callable, NamedTuple

from ansible_collections.homelab.ai.plugins.module_utils._nats import NatsError

# Keys that the server adds to metadata by itself: never compared, always kept.
SERVER_METADATA = "_nats."

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "w": 604_800_000_000_000,
}
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)")


def parse_duration(value: str | int | float) -> int:
    """Nanoseconds of `7d`, `1h30m`, `500ms` or a plain number of seconds. Raises ValueError."""
    text = str(value).strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return round(float(text) * _UNITS["s"])
    parts = re.findall(r"(\d+)(ns|us|ms|[smhdw])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration: write seconds or units such as 90s, 1h30m or 7d")
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def format_duration(nanoseconds: int) -> str:
    """The shortest text that `parse_duration` reads back as the same number."""
    if nanoseconds == 0:
        return "0s"
    text = ""
    for unit in ("d", "h", "m", "s", "ms", "us", "ns"):
        count, nanoseconds = divmod(nanoseconds, _UNITS[unit])
        text += f"{count}{unit}" if count else ""
    return text


def canonical_time(value: str) -> str:
    """An RFC 3339 time in UTC with no more digits than needed; empty stays empty. Raises ValueError."""
    text = value.strip()
    if not text:
        return ""
    match = _TIME.fullmatch(text)
    try:
        if match is None:
            raise ValueError("no RFC 3339 time")
        date, clock, fraction, zone = match.groups()
        zone = "+00:00" if zone in "Zz" else zone
        moment = datetime.datetime.fromisoformat(f"{date}T{clock}{zone}").astimezone(datetime.timezone.utc)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{text!r} is not a time: write date, time and zone such as 2026-01-31T08:00:00Z "
            "or 2026-01-31T09:00:00+01:00"
        ) from error
    digits = (fraction or "").rstrip("0")
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{digits}" if digits else "") + "Z"


def _same(value: Any) -> Any:
    return value


class Field(NamedTuple):
    """One option and the field of the server's configuration that it sets.

    `read` turns the wire value into the one that is compared and shown in diffs, `write` turns it
    back (None leaves the field out), `wanted` turns the option into the compared one and may raise
    ValueError. `absent` is what a missing field means on the wire.
    """

    option: str
    absent: Any = None
    wanted: Callable[[Any], Any] = _same
    read: Callable[[Any], Any] = _same
    write: Callable[[Any], Any] = _same


def flag_field(option: str) -> Field:
    return Field(option, absent=False)


def duration_field(option: str) -> Field:
    def wanted(value: Any) -> str:
        return format_duration(parse_duration(value))

    return Field(option, absent=0, wanted=wanted, read=format_duration, write=parse_duration)


def durations_field(option: str) -> Field:
    """A list of durations, in the order in which they are used."""

    def wanted(values: list[Any]) -> list[str]:
        return [format_duration(parse_duration(value)) for value in values]

    def read(values: list[int] | None) -> list[str]:
        return [format_duration(value) for value in values or []]

    def write(values: list[str]) -> list[int]:
        return [parse_duration(value) for value in values]

    return Field(option, wanted=wanted, read=read, write=write)


def time_field(option: str) -> Field:
    def write(value: str) -> str | None:
        return value or None

    return Field(option, absent="", wanted=canonical_time, read=canonical_time, write=write)


def limit_field(option: str) -> Field:
    """0 and -1 both mean "no limit"; the server reports -1."""

    def unlimited(value: int) -> int:
        return -1 if value == 0 else value

    return Field(option, absent=-1, wanted=unlimited, read=unlimited)


def set_field(option: str) -> Field:
    """A list whose order means nothing."""

    def unordered(values: list[str] | None) -> list[str]:
        return sorted(values or [])

    return Field(option, wanted=unordered, read=unordered)


def metadata_field() -> Field:
    def own(value: dict[str, Any] | None) -> dict[str, str]:
        return {key: str(text) for key, text in (value or {}).items() if not key.startswith(SERVER_METADATA)}

    return Field("metadata", absent={}, wanted=own, read=own)


def object_field(option: str, fields: tuple[Field, ...], required: tuple[str, ...] = ()) -> Field:
    """An object of its own fields, shown without those that have their default. An empty one is none."""

    def short(values: dict[str, Any]) -> dict[str, Any]:
        nothing = read_fields(fields, {})
        return {name: value for name, value in values.items() if value != nothing[name]}

    def wanted(value: dict[str, Any]) -> dict[str, Any]:
        result = short(wanted_fields(fields, value))
        for name in required:
            if result and name not in result:
                raise ValueError(f"{name} is missing: give it, or an empty {option} for none")
        return result

    def read(value: dict[str, Any] | None) -> dict[str, Any]:
        return short(read_fields(fields, value or {}))

    def write(value: dict[str, Any]) -> dict[str, Any] | None:
        return write_fields(fields, {}, value) or None

    return Field(option, wanted=wanted, read=read, write=write)


def objects_field(option: str, fields: tuple[Field, ...], required: tuple[str, ...]) -> Field:
    """A list of objects whose order means nothing."""
    one = object_field(option, fields, required)

    def wanted(values: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return sorted((one.wanted(value) for value in values), key=_sortable)

    def read(values: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
        return sorted((one.read(value) for value in values or []), key=_sortable)

    def write(values: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
        return [one.write(value) or {} for value in values] or None

    return Field(option, wanted=wanted, read=read, write=write)


def _sortable(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def read_fields(fields: Iterable[Field], config: dict[str, Any]) -> dict[str, Any]:
    """What the server has, by option name."""
    return {field.option: field.read(config.get(field.option, field.absent)) for field in fields}


def wanted_fields(fields: Iterable[Field], params: dict[str, Any]) -> dict[str, Any]:
    """What the task asks for, by option name; options that are not set are left out. Raises NatsError."""
    result = {}
    for field in fields:
        value = params.get(field.option)
        if value is None:
            continue
        try:
            result[field.option] = field.wanted(value)
        except (ValueError, NatsError) as error:
            raise NatsError(f"{field.option}: {error}") from error
    return result


def write_fields(fields: Iterable[Field], config: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """The wire configuration with `wanted` laid over it. What is equal or not managed stays to the letter."""
    result = dict(config)
    for field in fields:
        if field.option not in wanted:
            continue
        if field.option in config and field.read(config[field.option]) == wanted[field.option]:
            continue
        value = field.write(wanted[field.option])
        if field.option == "metadata":
            server = {k: v for k, v in (config.get("metadata") or {}).items() if k.startswith(SERVER_METADATA)}
            value = dict(value, **server)
        result.pop(field.option, None)
        if value is not None:
            result[field.option] = value
    return result


def shown(value: Any) -> str:
    """A value as a task would write it."""
    return value if isinstance(value, str) and value else json.dumps(value)


def refuse_change(what: str, option: str, before: dict[str, Any], after: dict[str, Any], fix: str) -> None:
    """Stop when `option` would change although the server cannot change it in place."""
    if before[option] != after[option]:
        raise NatsError(
            f"{what} has {option} {shown(before[option])} and {shown(after[option])} is wanted, "
            f"but the server cannot change {option} in place: {fix}"
        )


def refuse_conflict(what: str, wanted: dict[str, Any], kept: dict[str, Any], version: str) -> None:
    """Stop when the server keeps another value than the task asks for, which would differ in every run."""
    for option, value in kept.items():
        if option in wanted and wanted[option] != value:
            raise NatsError(
                f"{what} gets {option} {shown(value)} although {shown(wanted[option])} is wanted: nats-server "
                f"{version} derives it from other settings, or is too old for it. "
                f"Ask for {shown(value)}, leave {option} out, or upgrade the server"
            )
