# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""What Postgres does with its memory limit (MiB).

Worst case, as in https://www.postgresql.org/docs/current/runtime-config-resource.html: shared buffers, work_mem in
every process that serves a query, maintenance_work_mem in three autovacuum workers and one index build.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_data import load, share, share_up


@dataclass(frozen=True)
class Postgres:
    """The rules of one machine; `fixed` are settings that the inventory sets."""

    cores: int
    buffers_percent: Fraction
    cache_percent: Fraction
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def settings(self, limit_mib: int) -> dict[str, int]:
        """All settings for a limit. More memory never makes one smaller."""
        rule = load()["postgres"]
        connections = self.fixed.get("max_connections", load()["settings"]["postgres"]["max_connections"])
        parallel = self.fixed.get("max_parallel_workers", self.parallel(limit_mib))
        workers = self.fixed.get("max_worker_processes", parallel + rule["workers_beside_parallel"])
        # Whole steps: the number of processes rises with them, and work_mem must not fall when it does.
        stepped = limit_mib // rule["parallel_step_mib"] * rule["parallel_step_mib"]
        work = stepped * rule["work_percent"] // (100 * (connections + workers)) - rule["backend_mib"]
        maintenance = limit_mib * rule["maintenance_percent"] // 100
        return {
            "max_connections": connections,
            "shared_buffers_mib": max(1, share(limit_mib, self.buffers_percent)),
            "effective_cache_size_mib": max(1, share(limit_mib, self.cache_percent)),
            "work_mem_mib": max(1, min(rule["work_mem_max_mib"], work)),
            "maintenance_work_mem_mib": max(1, min(rule["maintenance_max_mib"], maintenance)),
            "max_worker_processes": workers,
            "max_parallel_workers": parallel,
            "max_parallel_workers_per_gather": max(1, min(rule["gather_max"], parallel // 2)),
            **self.fixed,
        }

    def parallel(self, limit_mib: int) -> int:
        """Parallel workers: a share of the cores, each with a step of memory behind it."""
        rule = load()["postgres"]
        by_cores: int = self.cores * rule["parallel_cores_percent"] // 100
        by_memory: int = limit_mib // rule["parallel_step_mib"]
        return max(1, min(by_cores, by_memory))

    def worst_mib(self, limit_mib: int) -> int:
        """What all processes hold when every one of them is at its bound."""
        rule: dict[str, int] = load()["postgres"]
        settings = self.settings(limit_mib)
        processes = settings["max_connections"] + settings["max_worker_processes"]
        return (
            settings["shared_buffers_mib"]
            + processes * (settings["work_mem_mib"] + rule["backend_mib"])
            + rule["maintenance_processes"] * settings["maintenance_work_mem_mib"]
        )

    def hold_mib(self, limit_mib: int) -> int:
        """What cannot be reclaimed. The rest of the limit is page cache.

        Below the caps of work_mem and maintenance_work_mem these are the shares they are made of; counting the shares
        keeps the sum smooth where work_mem, in whole MiB, would make it jump.
        """
        rule: dict[str, int] = load()["postgres"]
        maintenance = rule["maintenance_percent"] * rule["maintenance_processes"]
        held = self.buffers_percent + rule["work_percent"] + maintenance
        return max(self.worst_mib(limit_mib), share_up(limit_mib, held))
