# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A second, naive reading of the rules of sizing. It shares no code with the solver, only the table of components."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tests.unit.plugins.tuning.machines import DATA

GIB = 1024  # MiB
POSTGRES = {"low_memory": 30, "default": 40, "gpu_optimized": 40, "high_memory": 45, "high_memory_gpu": 45}
SHARES = {"nats": "5", "oxigraph": "8", "litellm": "3", "openobserve": "5"}
LOW = {"oxigraph": "5", "litellm": "2.5", "openobserve": "4.7"}
SHARE_KEYS = {"nats": "jetstream_percent", "postgres": "postgres_percent", "oxigraph": "oxigraph_percent"}


@dataclass
class Need:
    """Memory that is held and requested, MiB, and processor time that is requested, thousandths of a core."""

    hold: int = 0
    requests: int = 0
    cpu: int = 0

    def fits(self, room: Need) -> bool:
        return self.hold <= room.hold and self.requests <= room.requests and self.cpu <= room.cpu


class Oracle:
    """What the rules say of one machine."""

    def __init__(self, facts: dict[str, Any], preset: str, overrides: dict[str, Any]) -> None:
        self.facts = facts
        self.overrides = overrides
        self.engine = overrides.get("extract_engine", DATA["presets"][preset]["engine"])
        self.names = [
            name for name in DATA["presets"][preset]["components"] if name not in overrides.get("without", [])
        ]
        self.rows = {name: self._row(name) for name in self.names}
        self.nominal = self._nominal()
        self.profile = overrides.get("profile", self._profile())
        self.shares = self._shares()
        self.room = self._room()
        # What shares are of: memory, or 91 % of what was sold where firmware keeps more than is usual.
        self.base = max(facts["memory_mib"], math.ceil(Fraction(self.nominal * 91, 100)))

    def percent(self, key: str, default: int) -> Fraction:
        return Fraction(self.overrides.get(key, default), 100)

    def _nominal(self) -> int:
        memory: int = self.facts["memory_mib"]
        sizes = [
            GIB * size for size in DATA["nominal"]["sizes_gib"] if 91 * GIB * size <= 100 * memory <= 100 * GIB * size
        ]
        nominal: int = self.facts.get("nominal_mib", sizes[0] if sizes else memory)
        return nominal

    def _profile(self) -> str:
        gpu = self.facts.get("gpu", {}).get("present", False)
        if self.nominal < 16 * GIB:
            return "low_memory"
        if self.nominal <= 32 * GIB:
            return "gpu_optimized" if gpu else "default"
        return "high_memory_gpu" if gpu else "high_memory"

    def _shares(self) -> dict[str, Fraction]:
        texts = SHARES | (LOW if self.profile == "low_memory" else {}) | {"postgres": str(POSTGRES[self.profile])}
        shares = {name: Fraction(text) for name, text in texts.items()}
        said = {name: Fraction(self.overrides[key]) for name, key in SHARE_KEYS.items() if key in self.overrides}
        return {name: share / 100 for name, share in (shares | said).items()}

    def _room(self) -> Need:
        """What may be held, requested and computed with."""
        memory, cores = Fraction(self.facts["memory_mib"]), self.facts["cores"]
        reserved = min(4096, (384 if self.facts["environment"] == "local" else 768) + memory / 20)
        if "k3s_reserved_memory_percent" in self.overrides:
            reserved = memory * self.percent("k3s_reserved_memory_percent", 0)
        gpu = self.facts.get("gpu", {})
        unified = gpu.get("is_jetson") or gpu.get("unified")
        inference = memory * self.percent("ollama_vram_percent", 70) if unified else 0
        headroom = memory * self.percent("headroom_percent", 2)
        return Need(
            hold=math.floor(memory - reserved - headroom - inference),
            requests=math.floor(self.facts.get("allocatable_mib", memory - reserved) - inference),
            cpu=math.floor(cores * 1000 * (1 - self.percent("k3s_reserved_cpu_percent", 10))),
        )

    def _row(self, name: str) -> dict[str, Any]:
        """A component's row of the table, with what the inventory says of it."""
        found: dict[str, Any] = DATA["components"][name] | (DATA["engines"][self.engine] if name == "extract" else {})
        keys = ("floor_mib", "ceiling_mib", "cpu_floor_m")
        return found | {key: self.overrides[key][name] for key in keys if name in self.overrides.get(key, {})}

    def limit(self, name: str, level: int) -> int:
        row = self.rows[name]
        wanted: int = max(row["floor_mib"], math.floor(level * self.shares.get(name, 0)))
        return min(wanted, row.get("ceiling_mib", wanted))

    def request(self, name: str, size: int) -> int:
        return math.ceil(Fraction(size * self.rows[name]["request_percent"], 100))

    def hold(self, name: str, size: int) -> int:
        """What of a limit cannot be reclaimed: of Postgres' all but page cache, or its worst case if that is more."""
        if name != "postgres":
            return size
        cache = Fraction(1, 2) - self.percent("postgres_shared_buffers_percent", 25)
        return max(self.postgres_worst(size), math.ceil(size * (1 - cache)))

    def postgres_worst(self, size: int) -> int:
        """Buffers, 80 connections and the workers, with at least one MiB of work_mem each, and four for maintenance."""
        parallel = max(1, min(self.facts["cores"] * 75 // 100, size // 512))
        work = max(1, min(32, size // 512 * 512 * 30 // (100 * (82 + parallel)) - 2))
        buffers = math.floor(size * self.percent("postgres_shared_buffers_percent", 25))
        return buffers + (82 + parallel) * (work + 2) + 4 * max(1, min(1024, size // 20))

    def need(self, level: int) -> Need:
        """What all components take, one of each, where shares are of `level`."""
        total = Need()
        for name in self.names:
            size = self.limit(name, level)
            total.hold += self.hold(name, size)
            total.requests += self.request(name, size)
            total.cpu += self.rows[name]["cpu_floor_m"]
        return total

    def most_replicas(self, name: str) -> int:
        by_cores = 3 if name == "extract" and self.facts["cores"] >= 8 else 2
        said: int = self.overrides.get("max_replicas", {}).get(name, by_cores)
        return said

    def reserved_gib(self) -> int:
        """What of the disk is not shared out: what the inventory says, and of our own rows at most half of the rest."""
        unused = {"images_kubernetes" if self.facts["environment"] == "local" else "images_local"}
        unused |= {"openobserve"} - set(self.names)
        said = self.overrides.get("storage_reserved_gib", {})
        taken = sum(size for name, size in said.items() if name not in unused)
        own = sum(size for name, size in DATA["storage"]["reserved_gib"].items() if name not in {*said, *unused})
        return int(taken + min(own, max(0, self.disk_gib - taken) // 2))

    @property
    def disk_gib(self) -> int:
        total: int = self.facts.get("storage", {}).get("total_gib", 200)
        return total

    def refusals(self) -> Iterator[str]:
        """What an error has to say, for each reason for one."""
        if sum(self.shares.values()) + self.percent("headroom_percent", 2) > 1:
            yield "shares of memory are"
        if Fraction(80, 100) + self.percent("jetstream_storage_percent", 20) > 1:
            yield "shares of the disk are"
        if self.room.hold <= 0:
            yield "leaves nothing"
        least, room = self.need(0), self.room
        if least.hold > room.hold or least.requests > room.requests:
            yield "does not fit"
        if least.cpu > room.cpu:
            yield "processors do not suffice"
        if not self.postgres_holds_its_worst():
            yield "postgres: shared_buffers"
        usable = self.disk_gib - self.reserved_gib()
        if usable < 10:
            yield "at least 10 GiB are needed"
        store = math.floor(usable * self.percent("jetstream_storage_percent", 20)) * GIB * 9 // 10
        streams = DATA["streams_gib"] | self.overrides.get("streams_gib", {})
        if min(streams.values()) * store < sum(streams.values()):
            yield "give JetStream more disk"

    def postgres_holds_its_worst(self) -> bool:
        """Whether the level that gives Postgres the least limit with room for its worst case fits.

        At 25 % buffers the floor is such a limit; an inventory may want more of them.
        """
        size = self.rows["postgres"]["floor_mib"]
        if self.postgres_worst(size) <= size:
            return True
        while self.postgres_worst(size) > size:
            size += 1
        if self.shares["postgres"] == 0:
            return False
        level = math.ceil(size / self.shares["postgres"])
        return level <= self.base and self.need(level).fits(self.room)
