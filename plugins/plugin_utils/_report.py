# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""The fleet as data, and as one HTML page without any other file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from ansible_collections.homelab.ai.plugins.plugin_utils._plan import bindings, more, size

# Eight colours that keep apart in both schemes and for the colour-blind (Okabe and Ito, 2008); they repeat.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a800", "#7a7a7a")

STYLE = """
:root{color-scheme:light dark;--back:#fff;--fore:#1b1f24;--soft:#59636e;--line:#d1d9e0;--bar:#eef1f4;--warn:#9a6700}
@media(prefers-color-scheme:dark){
:root{--back:#0d1117;--fore:#e6edf3;--soft:#9198a1;--line:#3d444d;--bar:#21262d;--warn:#d29922}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:1rem;font:16px/1.5 system-ui,sans-serif}
body{background:var(--back);color:var(--fore)}
h1{font-size:1.5rem}h2{font-size:1.2rem;margin:0}h3{font-size:1rem;margin:1rem 0 .25rem}
section{border:1px solid var(--line);border-radius:.5rem;padding:1rem;margin:1rem 0}
p{margin:.25rem 0}.soft{color:var(--soft)}.warn{color:var(--warn)}
.bar{display:flex;height:1.6rem;background:var(--bar);border-radius:.25rem;overflow:hidden}
.bar span{min-width:1px;border-right:1px solid var(--back)}
.key{display:flex;flex-wrap:wrap;gap:.1rem 1rem;font-size:.85rem;padding:0;margin:.25rem 0;list-style:none}
.key i{display:inline-block;width:.75rem;height:.75rem;border-radius:.15rem;margin-right:.3rem}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem;width:100%}
th,td{text-align:left;padding:.2rem .6rem .2rem 0;border-bottom:1px solid var(--line);white-space:nowrap}
ul{padding-left:1.2rem}
"""


def fleet(machines: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The report as data: machines in the order of their names, the warnings of each, and all links.

    A machine is `{name, facts?, tuning?, problem?, network?, vm_of?}`: what the audit found, what tuning_profile
    computed or why not, network_profile.json, and the machine that it is a virtual machine on.
    """
    known = sorted(machines, key=lambda machine: str(machine["name"]))
    nominal = {machine["name"]: _nominal(machine) for machine in known}
    entries = []
    for machine in known:
        entry = {key: machine[key] for key in ("name", "facts", "tuning", "problem") if machine.get(key)}
        entry["warnings"] = list(_warnings(machine, nominal))
        entry["links"] = [_link(peer) for peer in (machine.get("network") or {}).get("peers", [])]
        entries.append(entry)
    return {"schema": 1, "machines": entries}


def _nominal(machine: Mapping[str, Any]) -> int:
    return int(((machine.get("facts") or {}).get("homelab") or {}).get("nominal_ram_mb") or 0)


def _warnings(machine: Mapping[str, Any], nominal: Mapping[str, int]) -> Iterable[str]:
    yield from (machine.get("tuning") or {}).get("warnings", [])
    yield from (machine.get("network") or {}).get("warnings", [])
    host = machine.get("vm_of")
    own, around = nominal[machine["name"]], nominal.get(host, 0) if host else 0
    if around and own * 2 <= around:
        half = around // 2 // 1024
        yield (
            f"a virtual machine of {size(own)} on {host}, which has {size(around)}: give it more, with Rancher Desktop "
            f"by `rdctl set --virtual-machine.memory-in-gb {half}`"
        )


def _link(peer: Mapping[str, Any]) -> dict[str, Any]:
    latency, bandwidth = peer.get("latency", {}), peer.get("bandwidth", {})
    return {
        "to": peer["name"],
        "reachable": peer["reachable"],
        "mean_ms": latency.get("mean_ms"),
        "jitter_ms": latency.get("jitter_ms"),
        "loss_percent": latency.get("loss_percent"),
        "mbit_s": bandwidth.get("mbit_s"),
        "path": peer.get("tailnet", {}).get("path"),
    }


def shares(tuning: Mapping[str, Any]) -> dict[str, list[tuple[str, float]]]:
    """Where memory (MiB), cores and disk (GiB) go, as (name, amount) in order; what is left comes last.

    Memory counts what a component may take: its limit, times the largest number of replicas. A part of Postgres' limit
    is page cache, which gives way where all limits together are more than the machine.
    """
    basis, node, components = tuning["basis"], tuning["node"], tuning["components"]
    memory = [("host", float(node["reserved_mib"]))]
    cores = [("host", node["reserved_mcpu"] / 1000)]
    disk = []
    for name, given in components.items():
        most = given.get("replicas", {}).get("max", 1)
        if "limit" in given:
            memory.append((name, float(given["limit"]["memory_mib"] * most)))
            cores.append((name, given["request"]["cpu_m"] * most / 1000))
        if given.get("storage_gib"):
            disk.append((name, float(given["storage_gib"])))
    inference = tuning["inference"]
    if inference.get("accelerator") == "unified" and inference.get("budget_mib"):
        memory.append(("models", float(inference["budget_mib"])))  # in the machine's own memory
    left = basis["nominal_mib"] - sum(amount for _name, amount in memory)
    if left < 0:
        memory = [(name, amount + left if name == "postgres" else amount) for name, amount in memory]
    memory.append(("left", max(0.0, left)))
    cores.append(("left", max(0.0, basis["cores"] - sum(amount for _name, amount in cores))))
    return {"memory": memory, "cores": cores, "disk": disk}


def page(report: Mapping[str, Any]) -> str:
    """The whole HTML document of `fleet`'s result."""
    machines = report["machines"]
    body = [f"<h1>{len(machines)} {'machine' if len(machines) == 1 else 'machines'}</h1>", *map(_section, machines)]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><title>homelab.ai</title>'
        f"<style>{STYLE}</style></head><body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def _section(machine: Mapping[str, Any]) -> str:
    parts = [f"<h2>{escape(machine['name'])}</h2>"]
    facts = machine.get("facts")
    if facts:
        parts.append(f'<p class="soft">{escape(_headline(facts))}</p>')
    if machine.get("problem"):
        parts.append(f'<p class="warn">{escape(machine["problem"])}</p>')
    parts += [f'<p class="warn">⚠ {escape(warning)}</p>' for warning in machine["warnings"]]
    tuning = machine.get("tuning")
    if tuning:
        parts.append(f'<p class="soft">profile {escape(tuning["profile"])}, {escape(tuning["basis"]["source"])}</p>')
        colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(tuning["components"])}
        for title, unit, amounts in (
            ("Memory", size, shares(tuning)["memory"]),
            ("Cores asked for", lambda amount: f"{amount:g}", shares(tuning)["cores"]),
            ("Disk", lambda amount: f"{amount:g} GiB", shares(tuning)["disk"]),
        ):
            parts.append(f"<h3>{title}</h3>{_bar(amounts, unit, colours)}")
        parts.append(f"<h3>What binds</h3><ul>{''.join(_binding_lines(tuning))}</ul>")
    if machine["links"]:
        parts.append(f'<h3>Links</h3><div class="wide">{_links(machine["links"])}</div>')
    return f"<section>{''.join(parts)}</section>"


def _headline(facts: Mapping[str, Any]) -> str:
    homelab, gpu, cpu = facts["homelab"], facts.get("gpu", {}), facts.get("cpu", {}).get("cpu", {})
    parts = [
        homelab["zone"],
        f"{homelab['cpu_cores']} x {cpu.get('model') or homelab['architecture']}",
        size(homelab["nominal_ram_mb"] or 0),
        f"{homelab['storage']['total_gib']} GiB {homelab['storage']['class']}",
        f"{gpu.get('gpu_name')}, {size(gpu.get('gpu_vram_mb') or 0)}" if gpu.get("has_gpu") else "no GPU",
        homelab["distribution"],
        homelab["container"] or homelab["hypervisor"] or "",
    ]
    return " · ".join(part for part in parts if part)


def _bar(amounts: list[tuple[str, float]], unit: Any, colours: Mapping[str, str]) -> str:
    total = sum(amount for _name, amount in amounts) or 1.0
    spans, key = [], []
    for name, amount in amounts:
        if not amount:
            continue
        colour = {"host": "#59636e", "left": "transparent"}.get(name, colours.get(name, COLOURS[-1]))
        label = f"{escape(name)} {escape(unit(amount))}"
        spans.append(f'<span style="width:{amount / total * 100:.2f}%;background:{colour}" title="{label}"></span>')
        edge = ";border:1px solid var(--line)" if name == "left" else ""
        key.append(f'<li><i style="background:{colour}{edge}"></i>{label}</li>')
    return f'<div class="bar" role="img" aria-label="shares">{"".join(spans)}</div><ul class="key">{"".join(key)}</ul>'


def _binding_lines(tuning: Mapping[str, Any]) -> Iterable[str]:
    held: dict[str, list[str]] = {}
    moved = bindings(tuning)
    for component in tuning["components"]:
        binding = moved.get(f"components.{component}.limit.memory_mib")
        if binding:
            held.setdefault(more(binding) if not binding.startswith("overrides.floor") else "its floor", []).append(
                component
            )
    for binding, components in held.items():
        yield f"<li>{escape(', '.join(components))}: {escape(binding)}</li>"


def _links(links: list[Mapping[str, Any]]) -> str:
    rows = ["<tr><th>to</th><th>ms</th><th>jitter</th><th>loss</th><th>Mbit/s</th><th>path</th></tr>"]
    for link in links:
        if not link["reachable"]:
            rows.append(f'<tr><td>{escape(link["to"])}</td><td class="warn" colspan="5">no answer</td></tr>')
            continue
        cells = [
            link["to"],
            f"{link['mean_ms']:.2f}",
            f"{link['jitter_ms']:.2f}" if link["jitter_ms"] is not None else "-",
            f"{link['loss_percent']:g} %",
            f"{link['mbit_s']:.0f}" if link["mbit_s"] is not None else "not measured",
            link["path"] or "-",
        ]
        rows.append(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in cells)}</tr>")
    return f"<table>{''.join(rows)}</table>"
