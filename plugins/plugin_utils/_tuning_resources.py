# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Requests, limits and replicas of each component, with the reason for every number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_budget import Budget
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_data import Overrides, load, share
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_facts import Machine
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_fill import Fill, Short
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_ledger import Ledger
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_profile import Profile
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_rows import Row


@dataclass(frozen=True)
class Resources:
    """Writes basis, node, inference and the resources of all components."""

    ledger: Ledger
    machine: Machine
    profile: Profile
    overrides: Overrides
    budget: Budget
    fill: Fill
    ample: Fill  # the same, were all memory allocatable
    preset: str

    def write(self, rows: Sequence[Row]) -> None:
        self._basis()
        self._node()
        for row in rows:
            self._memory(row)
            self._cpu(row)
            if row.burst:
                self._replicas(row)
        for name in self.overrides.without:
            for key in ("min", "max"):
                path = f"components.{name}.replicas.{key}"
                self.ledger.put(path, 0, "switched off", {}, "overrides.without")
        self._inference()

    def moves(self, short: Short) -> str:
        """The facts that end a shortage."""
        given = self.machine.allocatable_mib is not None
        facts = {"hold": "memory_mib", "requests": "allocatable_mib" if given else "memory_mib", "cpu": "cores"}
        return " and ".join(dict.fromkeys(facts[kind] for kind in short))

    def _basis(self) -> None:
        machine = self.machine
        nominal = "nominal_mib" if machine.nominal_given else "memory_mib"
        given = machine.allocatable_mib is not None
        put = self.ledger.put
        put(
            "basis.nominal_mib",
            machine.nominal_mib,
            "as given, else memory_mib rounded up to a size that is sold",
            {nominal: machine.memory_mib},
            nominal,
        )
        put(
            "basis.allocatable_mib",
            self.budget.allocatable_mib,
            "as given, else memory less the host's part",
            {"memory_mib": machine.memory_mib, "reserved_mib": self.budget.reserved_mib},
            "allocatable_mib" if given else "memory_mib",
        )
        put("basis.cores", machine.cores, "as given", {}, "cores")
        self.ledger.tree["basis"]["source"] = f"{machine.environment}, preset {self.preset}"

    def _node(self) -> None:
        rule = load()["reservation"][self.machine.environment]
        given = "k3s_reserved_memory_percent" in self.overrides.percents
        capped = not given and self.budget.reserved_mib == rule["ceiling_mib"]
        self.ledger.put(
            "node.reserved_mib",
            self.budget.reserved_mib,
            f"{rule['base_mib']} + {rule['memory_percent']} % of memory, at most {rule['ceiling_mib']}, or as given",
            {"memory_mib": self.machine.memory_mib},
            "overrides.k3s_reserved_memory_percent" if capped or given else "memory_mib",
        )
        self.ledger.put(
            "node.reserved_mcpu",
            self.budget.reserved_m,
            f"{rule['cpu_percent']} % of the cores, or as given",
            {"cores": self.machine.cores},
            "cores" if self.budget.reserved_m else "overrides.k3s_reserved_cpu_percent",
        )

    def _memory(self, row: Row) -> None:
        level = self.fill.level_mib
        limit = row.limit_mib(level)
        binding = self._memory_binding(row, limit)
        inputs: dict[str, Any] = {"floor_mib": row.floor_mib}
        rule = "the floor"
        if row.percent_key:
            rule = f"{row.percent_key} of the level, from floor to ceiling"
            inputs |= {"level_mib": level, row.percent_key: float(row.percent), "ceiling_mib": row.ceiling_mib}
        base = f"components.{row.name}"
        self.ledger.put(
            f"{base}.request.memory_mib",
            row.request_mib(level),
            f"{float(row.request_percent):g} % of the limit",
            {f"{base}.limit.memory_mib": limit},
            binding,
        )
        self.ledger.put(f"{base}.limit.memory_mib", limit, rule, inputs, binding)

    def _memory_binding(self, row: Row, limit: int) -> str:
        if limit == row.ceiling_mib and limit > row.floor_mib:
            return f"overrides.ceiling_mib.{row.name}"
        if limit == row.floor_mib:
            return f"overrides.floor_mib.{row.name}"
        if not self.fill.level_short:
            return "memory_mib" if self.budget.base_mib == self.machine.memory_mib else "nominal_mib"
        return self.moves(self.fill.level_short)

    def _cpu(self, row: Row) -> None:
        cores = self.machine.cores
        request = row.cpu_m(self.fill.level_m)
        binding = "cores" if request > row.cpu_floor_m else f"overrides.cpu_floor_m.{row.name}"
        base = f"components.{row.name}"
        self.ledger.put(
            f"{base}.request.cpu_m",
            request,
            f"{row.cpu_percent_key or 'cpu_percent'} of the level, at least the floor",
            {"level_m": self.fill.level_m, "percent": float(row.cpu_percent), "floor_m": row.cpu_floor_m},
            binding,
        )
        most, rule, inputs = self._cpu_most(row)
        limit = max(request, most)
        path = f"{base}.limit.cpu_m"
        self.ledger.put(
            path, limit, rule, inputs | {"cores": cores}, self._cpu_binding(row) if limit == most else binding
        )

    def _cpu_binding(self, row: Row) -> str:
        cores, least = self.machine.cores, load()["rules"]["extract_least_cores"]
        if row.name != "extract" or self.machine.vector or cores < least:
            return "cores"
        # Without vector instructions there is one thread, however many cores.
        return "has_avx2" if self._vector_threads() > least else "cores and has_avx2"

    def _vector_threads(self) -> int:
        rule = load()["rules"]["extract_threads"]
        return max(int(rule["least"]), self.machine.cores // int(rule["cores_divisor"]))

    def _cpu_most(self, row: Row) -> tuple[int, str, dict[str, Any]]:
        cores = self.machine.cores
        if row.name != "extract":
            percent = self.profile.percents["cpu_limit_percent"]
            return share(cores * 1000, percent), "cpu_limit_percent of the cores", {"cpu_limit_percent": float(percent)}
        threads = self._vector_threads() if self.machine.vector else 1
        most = min(cores, max(load()["rules"]["extract_least_cores"], threads))
        rule = "a core for each thread: a quarter of the cores with AVX2 or NEON, else 1; at least 2 where there are 2"
        return most * 1000, rule, {"threads": threads}

    def _replicas(self, row: Row) -> None:
        replicas = self.fill.replicas[row.name]
        base = f"components.{row.name}.replicas"
        self.ledger.tree["components"][row.name]["replicas"] = {"min": 1}
        self.ledger.put(
            f"{base}.max",
            replicas,
            "as many as cores allow and memory holds, in the order of the fill",
            {"most": row.max_replicas, "next_in_line": self.fill.waiting},
            self._replicas_binding(row, replicas),
        )
        rule = load()["autoscale"]
        said = self.overrides.hpa_threshold_percent
        cores = rule["cpu_percent"]
        by_cores = cores["percent"] if self.machine.cores >= cores["from_cores"] else cores["else_percent"]
        self.ledger.put(
            f"{base}.cpu_percent",
            by_cores if said is None else said,
            f"{cores['percent']} from {cores['from_cores']} cores, else {cores['else_percent']}",
            {"cores": self.machine.cores},
            "cores" if said is None else "overrides.hpa_threshold_percent",
        )
        memory = rule["memory_percent"]
        said = self.overrides.hpa_memory_threshold_percent
        above = memory["above_mib"]
        by_memory = memory["percent"] if self.machine.nominal_mib > above else memory["else_percent"]
        nominal = "nominal_mib" if self.machine.nominal_given else "memory_mib"
        # No unified memory of 16 GiB carries the components beside the models; nor is nominal memory less than memory.
        own = said is not None or self.machine.unified or (nominal == "nominal_mib" and self.machine.memory_mib > above)
        self.ledger.put(
            f"{base}.memory_percent",
            by_memory if said is None else said,
            f"{memory['percent']} above {above} MiB of nominal memory, else {memory['else_percent']}",
            {"nominal_mib": self.machine.nominal_mib},
            "overrides.hpa_memory_threshold_percent" if own else nominal,
        )

    def _replicas_binding(self, row: Row, replicas: int) -> str:
        if replicas == row.max_replicas:
            rule = load()["components"][row.name]["max_replicas"]
            by_cores = rule["replicas"] != rule["else_replicas"] and row.name not in self.overrides.max_replicas
            return "cores" if by_cores else f"overrides.max_replicas.{row.name}"
        short = self.fill.short[row.name]
        memory = [kind for kind in short if kind != "cpu"]
        # Of unified memory models take so much that shares, which grow with it, never leave any for replicas.
        if memory and self.machine.unified:
            return " and ".join(["overrides.ollama_vram_percent", *(["cores"] if "cpu" in short else [])])
        if not memory:
            return self.moves(short)
        cpu = ("cpu",) if "cpu" in short else ()
        still = self.ample.short.get(row.name, ())
        if self.ample.replicas[row.name] > replicas or set(still) <= {"cpu"}:
            return self.moves(("requests", *cpu))
        # Shares grow with memory too, and are requested from what is allocatable: both have to rise.
        return self.moves(("hold", "requests", *cpu))

    def _inference(self) -> None:
        """What the model server of a GPU may take: weights, KV cache and, in unified memory, the host's cache."""
        percent = self.profile.percents["ollama_vram_percent"]
        if self.machine.unified:
            kind, size, binding = "unified", self.budget.inference_mib, "memory_mib"
        elif self.machine.gpu:
            kind, size, binding = "gpu", share(sum(self.machine.gpu_mib), percent), "gpu.devices"
        else:
            self.ledger.tree["inference"] = {"accelerator": "none"}
            return
        self.ledger.tree["inference"] = {"accelerator": kind}
        self.ledger.put(
            "inference.budget_mib",
            size,
            "ollama_vram_percent of the GPU's memory, or of unified memory",
            {"ollama_vram_percent": float(percent), "gpu.devices": list(self.machine.gpu_mib)},
            binding,
        )
