# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""The settings that roles read, from what each component got."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_data import Overrides, TuningError, load
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_facts import Machine
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_ledger import Ledger
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_postgres import Postgres
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_rows import Row

MANY_CORES = 10**6  # more than any machine has
# Bounds that a component sets itself, in MiB. Postgres' are checked together, in their worst case.
BELOW_LIMIT = (("nats", "gomemlimit_mib"), ("nats", "max_memory_store_mib"), ("extract", "max_rss_mib"))


class Settings:
    """Writes settings; what the inventory says goes before every rule."""

    def __init__(
        self,
        ledger: Ledger,
        machine: Machine,
        overrides: Overrides,
        rows: Mapping[str, Row],
        levels: Mapping[str, int],
    ) -> None:
        self.rows = rows
        self.levels = levels  # that more of one fact alone would lead to
        self.ledger = ledger
        self.machine = machine
        self.overrides = overrides

    def write(self) -> None:
        """All settings but max_file_store_mib, which belongs to the disk."""
        for component, settings in load()["settings"].items():
            for key, value in settings.items():
                self.fixed(component, key, value)
        self.nats()
        self.postgres(self.rows["postgres"])
        self.threads()
        self.extract()
        self.embed()
        for component, key in BELOW_LIMIT:
            self.check_below_limit(component, key)

    def check_below_limit(self, component: str, key: str) -> None:
        """Raises TuningError where an inventory's setting takes more memory than the component has."""
        sized = self.ledger.tree["components"][component]
        value, limit = sized["settings"][key], sized["limit"]["memory_mib"]
        if value > limit:
            raise TuningError(
                f"{setting(component, key)}: {value} MiB is more than the memory limit, {limit} MiB: lower it or raise "
                f"overrides.floor_mib.{component}"
            )

    def put(self, component: str, key: str, value: Any, rule: str, inputs: Mapping[str, Any], binding: str) -> None:
        said = self.overrides.settings.get(component, {})
        if key in said:
            value, rule, inputs, binding = said[key], "the inventory says so", {}, setting(component, key)
        self.ledger.put(f"components.{component}.settings.{key}", value, rule, inputs, binding)

    def fixed(self, component: str, key: str, value: Any) -> None:
        self.put(component, key, value, "fixed, whatever the machine", {}, setting(component, key))

    def nats(self) -> None:
        path = "components.nats.limit.memory_mib"
        limit = self.ledger.tree["components"]["nats"]["limit"]["memory_mib"]
        percent = load()["rules"]["gomemlimit_percent"]
        rule = f"{percent} % of the memory limit"
        self.put("nats", "gomemlimit_mib", limit * percent // 100, rule, {path: limit}, self.ledger.binding(path))

    def postgres(self, row: Row) -> None:
        """Raises TuningError where the inventory's settings need more than the limit."""
        sizing = row.postgres
        if sizing is None:
            raise TypeError("rows() gives this row its sizing")
        path = "components.postgres.limit.memory_mib"
        limit = self.ledger.tree["components"]["postgres"]["limit"]["memory_mib"]
        _check_worst(sizing, limit)
        moved_by_limit = self.ledger.binding(path)
        for key, value in sizing.settings(limit).items():
            if key != "max_connections":
                rule, binding = self._postgres_rule(sizing, limit, key, value)
                inputs = {path: limit, "cores": self.machine.cores}
                self.put("postgres", key, value, rule, inputs, binding or moved_by_limit)

    def _postgres_rule(self, sizing: Postgres, limit: int, key: str, value: int) -> tuple[str, str]:
        """Rule, and binding where it is not the memory limit's."""
        data = load()["postgres"]
        own = setting("postgres", key)
        grows = self._growing_limit(sizing, limit, key, value)
        by_cores = sizing.cores * data["parallel_cores_percent"] // 100
        by_memory = limit // data["parallel_step_mib"]
        parallel = "cores" if by_cores < by_memory else grows
        if max(by_cores, by_memory) <= 1:
            parallel = " and ".join(dict.fromkeys(["cores", *grows.split(" and ")]))
        elif by_cores == by_memory:
            parallel = "cores"
        if key == "shared_buffers_mib":
            return f"{float(sizing.buffers_percent):g} % of the limit", ""
        if key == "effective_cache_size_mib":
            return f"{float(sizing.cache_percent):g} % of the limit", ""
        if key == "work_mem_mib":
            rule = f"{data['work_percent']} % of the limit over all processes, 1 to {data['work_mem_max_mib']}"
            if value == 1:
                return rule, grows
            return rule, own if value == data["work_mem_max_mib"] else ""
        if key == "maintenance_work_mem_mib":
            rule = f"{data['maintenance_percent']} % of the limit, at most {data['maintenance_max_mib']}"
            return rule, own if value == data["maintenance_max_mib"] else ""
        if key == "max_parallel_workers_per_gather":
            rule = f"half of max_parallel_workers, 1 to {data['gather_max']}"
            return rule, own if value in (1, data["gather_max"]) else parallel
        rule = f"{data['parallel_cores_percent']} % of the cores, one per {data['parallel_step_mib']} MiB of the limit"
        if key == "max_worker_processes":
            rule += f", and {data['workers_beside_parallel']}"
        return rule, parallel

    def _growing_limit(self, sizing: Postgres, limit: int, key: str, value: int) -> str:
        """What makes the limit much larger. Shares that grow with memory are requested from what is allocatable."""
        row = self.rows["postgres"]
        if limit == row.ceiling_mib or not row.percent:
            return self.ledger.binding("components.postgres.limit.memory_mib")
        if not self.levels:
            return "memory_mib"
        if key != "work_mem_mib":  # it falls with the number of workers, which are as many as the others allow
            sizing = replace(sizing, cores=MANY_CORES)
        alone = (fact for fact, level in self.levels.items() if sizing.settings(row.limit_mib(level))[key] > value)
        return next(alone, "memory_mib and allocatable_mib")

    def threads(self) -> None:
        most = load()["rules"]["threads_max"]
        cores = self.machine.cores
        threads = max(1, min(most, cores // 2))
        for component in ("embedder", "chat"):
            binding = setting(component, "threads") if threads == most else "cores"
            self.put(component, "threads", threads, f"half of the cores, 1 to {most}", {"cores": cores}, binding)

    def extract(self) -> None:
        path = "components.extract.limit.memory_mib"
        limit = self.ledger.tree["components"]["extract"]["limit"]["memory_mib"]
        percent = load()["rules"]["extract_child_percent"]
        rule = f"{percent} % of the limit: the child ends before the kernel ends both"
        self.put("extract", "max_rss_mib", limit * percent // 100, rule, {path: limit}, self.ledger.binding(path))

    def embed(self) -> None:
        sizes = load()["rules"]["embed_batch"]
        vector = self.machine.vector
        self.put(
            "embed",
            "batch",
            sizes["vector" if vector else "scalar"],
            f"{sizes['vector']} with AVX2 or NEON, else {sizes['scalar']}",
            {"vector": vector},
            setting("embed", "batch") if vector else "has_avx2",
        )


def setting(component: str, key: str) -> str:
    return f"overrides.settings.{component}.{key}"


def _check_worst(sizing: Postgres, limit: int) -> None:
    worst = sizing.worst_mib(limit)
    if worst > limit:
        settings = sizing.settings(limit)
        raise TuningError(
            f"postgres: shared_buffers {settings['shared_buffers_mib']}, {settings['max_connections']} connections and "
            f"{settings['max_worker_processes']} workers with work_mem {settings['work_mem_mib']} and autovacuum with "
            f"{settings['maintenance_work_mem_mib']} may need {worst} MiB, the limit is {limit} MiB: lower "
            f"overrides.settings.postgres or raise overrides.floor_mib.postgres"
        )
