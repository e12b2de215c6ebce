# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Which profile a machine follows, and the shares that it sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_data import Overrides, TuningError, load, one_of
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_facts import Machine

# Shares of one whole: what each sum must not pass, and why.
SUMS = {
    "memory": (
        "postgres_percent",
        "jetstream_percent",
        "oxigraph_percent",
        "litellm_percent",
        "openobserve_percent",
        "headroom_percent",
    ),
    "the disk": ("garage_percent", "jetstream_storage_percent", "postgres_storage_percent"),
    "the hard disk": ("hdd_garage_percent", "hdd_backup_percent"),
}


@dataclass(frozen=True)
class Profile:
    """A profile's name and its shares in percent."""

    name: str
    percents: Mapping[str, Fraction]


def select(machine: Machine, overrides: Overrides) -> Profile:
    """The profile of a machine, with the inventory's shares in it. Raises TuningError for an impossible one."""
    profiles = _profiles(overrides)
    name = overrides.profile or base_name(machine)
    if name not in profiles:
        raise TuningError(f"overrides.profile: {name!r} is unknown, allowed are {', '.join(profiles)}")
    percents = {**_resolve(name, profiles), **overrides.percents}
    _check(name, percents)
    return Profile(name + ("+cpu_optimized" if machine.vector and not machine.gpu else ""), percents)


def base_name(machine: Machine) -> str:
    """By nominal memory and GPU, design/tuning.md: 32 GiB is still `default`, the specification's own example."""
    rule = load()["selection"]
    if machine.nominal_mib < rule["low_memory_below_mib"]:
        return "low_memory"
    if machine.nominal_mib > rule["high_memory_above_mib"]:
        return "high_memory_gpu" if machine.gpu else "high_memory"
    return "gpu_optimized" if machine.gpu else "default"


def _profiles(overrides: Overrides) -> dict[str, Mapping[str, Any]]:
    profiles: dict[str, Mapping[str, Any]] = dict(load()["profiles"])
    for name, changes in overrides.profiles.items():
        profiles[name] = {**profiles.get(name, {"like": "default"}), **changes}
    return profiles


def _resolve(name: str, profiles: Mapping[str, Mapping[str, Any]], seen: tuple[str, ...] = ()) -> dict[str, Fraction]:
    """The shares of a profile over those of the profile that it is like."""
    if name in seen:
        raise TuningError(f"overrides.profiles.{name}.like: a circle, {' -> '.join((*seen, name))}")
    profile = profiles[name]
    shares: dict[str, Fraction] = {}
    if "like" in profile:
        one_of(f"overrides.profiles.{name}.like", profile["like"], profiles)
        shares = _resolve(profile["like"], profiles, (*seen, name))
    return shares | {key: Fraction(str(value)) for key, value in profile.items() if key != "like"}


def _check(name: str, percents: Mapping[str, Fraction]) -> None:
    for whole, keys in SUMS.items():
        _at_most_all(name, f"shares of {whole}", {key: percents[key] for key in keys})
    rule = load()["postgres"]
    _at_most_all(
        name,
        "shares of Postgres' own limit",
        {
            "postgres_shared_buffers_percent": percents["postgres_shared_buffers_percent"],
            "connections": Fraction(rule["work_percent"]),
            "autovacuum": Fraction(rule["maintenance_percent"] * rule["maintenance_processes"]),
        },
    )


def _at_most_all(name: str, what: str, shares: Mapping[str, Fraction]) -> None:
    total = sum(shares.values())
    if total > 100:
        terms = " + ".join(f"{key} {float(share):g}" for key, share in shares.items())
        raise TuningError(f"profile {name}: {what} are {terms} = {float(total):g} %, lower them to 100 % or less")
