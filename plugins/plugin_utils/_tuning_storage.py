# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Who gets how much of the disk (GiB), and how large the streams may grow (bytes)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_data import Overrides, TuningError, load, share
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_facts import Machine
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_ledger import Ledger
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_profile import Profile

SHARES = {
    "garage": "garage_percent",
    "nats": "jetstream_storage_percent",
    "postgres": "postgres_storage_percent",
}
HDD_SHARES = {"garage-hdd": "hdd_garage_percent", "backups": "hdd_backup_percent"}
MIB = 1024 * 1024


def share_out(ledger: Ledger, machine: Machine, profile: Profile, overrides: Overrides, chosen: frozenset[str]) -> None:
    """Write the sizes of volumes and streams. Raises TuningError for a disk that is too small."""
    rule = load()["storage"]
    total = rule["default_gib"] if machine.storage_gib is None else machine.storage_gib
    table = reservations(machine, overrides, chosen)
    # On a small disk our own rows give way. What an inventory says is taken as it is.
    said = sum(size for name, size in table.items() if name in overrides.storage_reserved_gib)
    own = sum(table.values()) - said
    most = max(0, total - said) * rule["reserved_max_percent"] // 100
    reserved = said + min(own, most)
    usable = total - reserved
    if usable < rule["least_usable_gib"]:
        raise TuningError(
            f"facts.storage.total_gib: {total} GiB - {reserved} GiB reserved leaves {usable} GiB, at least "
            f"{rule['least_usable_gib']} GiB are needed: use a larger disk or lower overrides.storage_reserved_gib"
        )
    disk = {"storage.total_gib": total, "reserved_gib": reserved, "usable_gib": usable}
    for component, key in SHARES.items():
        _volume(ledger, component, key, profile, disk)
    for component in ("oxigraph", "openobserve"):
        if component in table:
            row = table[component]
            scaled = row if component in overrides.storage_reserved_gib else min(row, row * most // own)
            ledger.put(
                f"components.{component}.storage_gib",
                scaled,
                "its row of the reservation table, rows that nobody set scaled down to half of a small disk",
                {"storage.total_gib": total, "row_gib": row, "table_gib": own, "said_gib": said},
                "storage.total_gib" if scaled < row else f"overrides.storage_reserved_gib.{component}",
            )
    if machine.hdd_gib:
        disk = {"storage.hdd_gib": machine.hdd_gib, "usable_gib": machine.hdd_gib}
        for component, key in HDD_SHARES.items():
            _volume(ledger, component, key, profile, disk)
    _streams(ledger, overrides)


def reservations(machine: Machine, overrides: Overrides, chosen: frozenset[str]) -> dict[str, int]:
    """What is taken off the disk before it is shared out: never free space, which changes from run to run."""
    table = {**load()["storage"]["reserved_gib"], **overrides.storage_reserved_gib}
    other = "images_kubernetes" if machine.environment == "local" else "images_local"
    return {name: size for name, size in table.items() if name != other and (name != "openobserve" or name in chosen)}


def _volume(ledger: Ledger, component: str, key: str, profile: Profile, inputs: Mapping[str, Any]) -> None:
    size = share(inputs["usable_gib"], profile.percents[key])
    ledger.put(
        f"components.{component}.storage_gib",
        size,
        f"{key} of the usable disk",
        {**inputs, key: float(profile.percents[key])},
        next(iter(inputs)),
    )


def _streams(ledger: Ledger, overrides: Overrides) -> None:
    """Streams at the specification's sizes, scaled down together where the store is smaller."""
    volume = ledger.tree["components"]["nats"]["storage_gib"]
    percent = load()["rules"]["file_store_percent"]
    fixed = overrides.settings.get("nats", {})
    store = fixed.get("max_file_store_mib", volume * 1024 * percent // 100)
    if store > volume * 1024 * percent // 100:
        raise TuningError(
            f"overrides.settings.nats.max_file_store_mib: {store} MiB is more than {percent} % of the volume of "
            f"{volume} GiB, raise jetstream_storage_percent"
        )
    disk = "overrides.settings.nats.max_file_store_mib" if fixed.get("max_file_store_mib") else "storage.total_gib"
    ledger.put(
        "components.nats.settings.max_file_store_mib",
        store,
        f"{percent} % of the volume",
        {"volume_gib": volume},
        disk,
    )
    ceilings = {**load()["streams_gib"], **overrides.streams_gib}
    wanted = int(sum(ceilings.values()) * 1024)
    for name, ceiling in ceilings.items():
        most = int(ceiling * 1024)
        size = min(most, most * store // wanted)
        if size == 0:
            raise TuningError(
                f"stream {name}: less than 1 MiB of a file store of {store} MiB, give JetStream more disk"
            )
        ledger.put(
            f"streams.{name}",
            size * MIB,
            "its ceiling, all streams scaled down to what the file store holds",
            {"max_file_store_mib": store, "ceiling_mib": most, "all_ceilings_mib": wanted},
            disk if size < most else f"overrides.streams_gib.{name}",
        )
