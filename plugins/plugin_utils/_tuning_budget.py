# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""What a machine can give out: memory, and processor time in thousandths of a core (m)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_data import Overrides, TuningError, load
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_facts import Machine
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_profile import Profile


@dataclass(frozen=True)
class Budget:
    """physical = reserved + headroom + inference + hold. Requests are counted against what is allocatable."""

    reserved_mib: int
    headroom_mib: int
    inference_mib: int  # of unified memory, for the model server of the GPU
    hold_mib: int
    allocatable_mib: int
    requests_mib: int
    base_mib: int  # what memory shares are shares of
    reserved_m: int
    requests_m: int

    @property
    def physical_mib(self) -> int:
        return self.reserved_mib + self.headroom_mib + self.inference_mib + self.hold_mib


def budget(machine: Machine, profile: Profile, overrides: Overrides) -> Budget:
    """The budget of a machine.

    The parts are subtracted exactly and rounded once: rounding each could take 1 MiB from a larger machine that a
    smaller one has.
    """
    rule = load()["reservation"][machine.environment]
    memory = machine.memory_mib
    percent = overrides.percents.get("k3s_reserved_memory_percent")
    if percent is None:
        wanted = rule["base_mib"] + Fraction(memory * rule["memory_percent"], 100)
        reserved = min(wanted, Fraction(rule["ceiling_mib"]))
    else:
        reserved = memory * percent / 100
    headroom = memory * profile.percents["headroom_percent"] / 100
    given = machine.allocatable_mib
    inference = Fraction(0)
    if machine.unified:
        inference = memory * profile.percents["ollama_vram_percent"] / 100
    hold = max(0, floor(memory - reserved - headroom - inference))
    cpu = overrides.percents.get("k3s_reserved_cpu_percent", Fraction(rule["cpu_percent"]))
    reserved_m = ceil(machine.cores * 1000 * cpu / 100)
    nominal_share = Fraction(load()["nominal"]["least_percent"], 100)
    found = Budget(
        reserved_mib=floor(reserved),
        headroom_mib=max(0, memory - floor(reserved) - floor(inference) - hold),
        inference_mib=floor(inference),
        hold_mib=hold,
        allocatable_mib=max(1, floor(memory - reserved)) if given is None else given,
        requests_mib=max(0, floor((memory - reserved if given is None else given) - inference)),
        # Of memory, not of nominal_mib: that rises in steps, and a step would take replicas away. Only where
        # firmware keeps more than usual (graphics memory) does what the machine was sold with count.
        base_mib=max(memory, ceil(machine.nominal_mib * nominal_share)),
        reserved_m=reserved_m,
        requests_m=machine.cores * 1000 - reserved_m,
    )
    if hold == 0:
        raise TuningError(
            f"memory_mib {memory} - host {found.reserved_mib} - headroom {floor(headroom)} - inference "
            f"{found.inference_mib} leaves nothing: use a larger machine"
        )
    return found
