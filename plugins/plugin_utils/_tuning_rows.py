# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""The components of a preset, with what an inventory says of them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_data import (
    Overrides,
    TuningError,
    load,
    one_of,
    share,
    share_up,
)
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_facts import Machine
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_postgres import Postgres
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_profile import Profile


@dataclass(frozen=True)
class Row:
    """A component: MiB, thousandths of a core, shares in percent. A share is of a level that all components have."""

    name: str
    floor_mib: int
    request_percent: Fraction
    cpu_floor_m: int
    percent: Fraction = Fraction(0)
    percent_key: str = ""
    ceiling_mib: int | None = None
    cpu_percent: Fraction = Fraction(0)
    cpu_percent_key: str = ""
    burst: bool = False
    max_replicas: int = 1
    postgres: Postgres | None = None

    def limit_mib(self, level: int) -> int:
        """The share of a level, between floor and ceiling."""
        wanted = max(self.floor_mib, share(level, self.percent))
        return wanted if self.ceiling_mib is None else min(self.ceiling_mib, wanted)

    def request_mib(self, level: int) -> int:
        return share_up(self.limit_mib(level), self.request_percent)

    def hold_mib(self, level: int) -> int:
        """What of the limit cannot be reclaimed."""
        limit = self.limit_mib(level)
        return limit if self.postgres is None else self.postgres.hold_mib(limit)

    def cpu_m(self, level: int) -> int:
        return max(self.cpu_floor_m, share(level, self.cpu_percent))


def rows(machine: Machine, profile: Profile, preset: str, overrides: Overrides) -> list[Row]:
    """What takes memory on this machine. Raises TuningError."""
    one_of("preset", preset, load()["presets"])
    return [
        _row(name, machine, profile, preset, overrides)
        for name in load()["presets"][preset]["components"]
        if name not in overrides.without
    ]


def engine(preset: str, overrides: Overrides) -> str:
    """How documents are read: their text layer, or with models of their layout."""
    return overrides.extract_engine or str(load()["presets"][preset]["engine"])


def _row(name: str, machine: Machine, profile: Profile, preset: str, overrides: Overrides) -> Row:
    data: dict[str, Any] = load()["components"][name]
    if name == "extract":
        data = data | load()["engines"][engine(preset, overrides)]
    key = data.get("percent", "")
    floor = overrides.floor_mib.get(name, data["floor_mib"])
    ceiling = overrides.ceiling_mib.get(name, data.get("ceiling_mib"))
    if ceiling is not None and ceiling < floor:
        raise TuningError(f"overrides.ceiling_mib.{name}: {ceiling} MiB is below the floor, {floor} MiB: raise it")
    cpu = data.get("cpu_percent", 0)
    return Row(
        name=name,
        floor_mib=floor,
        request_percent=Fraction(data["request_percent"]),
        cpu_floor_m=overrides.cpu_floor_m.get(name, data["cpu_floor_m"]),
        percent=profile.percents[key] if key else Fraction(0),
        percent_key=key,
        ceiling_mib=ceiling,
        cpu_percent=profile.percents[cpu] if isinstance(cpu, str) else Fraction(cpu),
        cpu_percent_key=cpu if isinstance(cpu, str) else "",
        burst=data.get("burst", False),
        max_replicas=_max_replicas(name, data, machine, overrides),
        postgres=_postgres(machine, profile, overrides) if name == "postgres" else None,
    )


def _max_replicas(name: str, data: dict[str, Any], machine: Machine, overrides: Overrides) -> int:
    if "max_replicas" not in data:
        return 1
    rule = data["max_replicas"]
    by_cores = rule["replicas"] if machine.cores >= rule["from_cores"] else rule["else_replicas"]
    return int(overrides.max_replicas.get(name, by_cores))


def _postgres(machine: Machine, profile: Profile, overrides: Overrides) -> Postgres:
    return Postgres(
        cores=machine.cores,
        buffers_percent=profile.percents["postgres_shared_buffers_percent"],
        cache_percent=profile.percents["postgres_effective_cache_percent"],
        fixed=overrides.settings.get("postgres", {}),
    )
