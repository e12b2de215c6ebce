# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""The fleet's report as one HTML page: no script, and nothing from elsewhere."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any

from ansible_collections.homelab.ai.plugins.plugin_utils._plan import (
    bindings,
    models,
    more,
    more_replicas,
    replicas,
    size,
)

# Families of neighbours in a bar. Each colour has 3:1 against both backgrounds, and 4.5:1 under white letters
# (WCAG 2.2, 1.4.3 and 1.4.11); hues after Okabe and Ito (2008), which the colour-blind keep apart.
FAMILIES = {
    "firmware": ("#7d6608", ("firmware",)),
    "host": ("#6a737d", ("host", "system and models")),
    "stores": ("#0072b2", ("nats", "postgres", "oxigraph", "garage", "garage-hdd", "backups")),
    "models": ("#b8500a", ("litellm", "embedder", "chat", "models")),
    "workers": ("#00805f", ("extract", "chunk", "embed", "graph", "enrich", "delete", "reconcile", "query")),
    "operations": ("#a3478a", ("openobserve", "collector", "gateway")),
    "left": ("transparent", ("left",)),
}
FAMILY = {name: family for family, (_colour, names) in FAMILIES.items() for name in names}
LABELLED_PERCENT = 9  # A part as wide as that has room for its name.
OPEN_TABLES = 3  # In a larger fleet the tables of machines are opened by hand.

STYLE = """
:root{color-scheme:light dark;--back:#fff;--fore:#1b1f24;--soft:#59636e;--line:#d1d9e0;--bar:#eef1f4;--warn:#8a5a00;
--bad:#b42318}
@media(prefers-color-scheme:dark){
:root{--back:#0d1117;--fore:#e6edf3;--soft:#9198a1;--line:#3d444d;--bar:#21262d;--warn:#d29922;--bad:#ff7b72}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:1rem;font:16px/1.5 system-ui,sans-serif}
body{background:var(--back);color:var(--fore);overflow-wrap:anywhere}
h1{font-size:1.5rem}h2{font-size:1.2rem;margin:0}h3{font-size:1rem;margin:1rem 0 .25rem}
h3 span{font-weight:400;color:var(--soft)}
section{border:1px solid var(--line);border-radius:.5rem;padding:1rem;margin:1rem 0}
p{margin:.25rem 0}.soft{color:var(--soft)}.warn{color:var(--warn)}.bad{color:var(--bad)}a{color:inherit}
code{background:var(--bar);padding:0 .25rem;border-radius:.2rem}
.bar{display:flex;height:1.7rem;background:var(--bar);border-radius:.25rem;overflow:hidden}
.bar span{min-width:1px;border-right:1px solid var(--back);overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.bar span{font-size:.75rem;line-height:1.7rem;padding-left:.3rem;color:#fff}.bar .thin{padding:0}
.bar .left{color:var(--soft);border:0}
.key{display:flex;flex-wrap:wrap;gap:.1rem 1rem;font-size:.85rem;padding:0;margin:.25rem 0;list-style:none}
.key i{display:inline-block;width:.75rem;height:.75rem;border-radius:.15rem;margin-right:.3rem}
.key .left{border:1px solid var(--soft)}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem;width:100%}
th,td{text-align:left;padding:.2rem .5rem;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child{padding-left:0}th[scope=row]{font-weight:400;white-space:normal;overflow-wrap:break-word;min-width:5.5rem}
.number{text-align:right}
@media(max-width:32rem){body{padding:.5rem}section{padding:.75rem}table{font-size:.8rem}th,td{padding:.2rem .25rem}}
summary{cursor:pointer;margin-top:1rem;font-weight:700}ul{padding-left:1.2rem;margin:.25rem 0}
"""


def page(report: Mapping[str, Any]) -> str:
    """The whole HTML document of `_report.fleet`'s result."""
    machines = report["machines"]
    title = f"{len(machines)} {'machine' if len(machines) == 1 else 'machines'}"
    body = [f"<h1>{title}</h1>"]
    if len(machines) > 1:
        body.append(_overview(machines))
    if not machines:
        body.append('<p class="soft">The inventory has none, or --limit left none.</p>')
    zones = {machine["name"]: machine["zone"] for machine in machines}
    body += [
        _section(number, machine, zones, len(machines) <= OPEN_TABLES) for number, machine in enumerate(machines, 1)
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><title>{title} · homelab.ai</title>'
        f"<style>{STYLE}</style></head><body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def _overview(machines: Iterable[Mapping[str, Any]]) -> str:
    rows = []
    for number, machine in enumerate(machines, 1):
        hardware = (machine.get("facts") or {}).get("homelab", {})
        tuning, warnings = machine.get("tuning"), len(machine["warnings"])
        profile = f"<td>{escape(tuning['profile'])}</td>" if tuning else '<td class="bad">none</td>'
        rows.append(
            f'<tr><th scope="row"><a href="#machine-{number}">{escape(machine["name"])}</a></th>'
            f"<td>{escape(machine['zone'] or '-')}</td>"
            f'<td class="number">{size(hardware["nominal_ram_mb"] or 0) if hardware else "-"}</td>'
            f'<td class="number">{escape(str(hardware["cpu_cores"])) if hardware else "-"}</td>'
            f'<td class="number{" warn" if warnings else ""}">{warnings or "-"}</td>{profile}</tr>'
        )
    heads = _heads("machine", "zone", "#memory", "#cores", "#warnings", "profile")
    return _scrolled("All machines", f"<table>{heads}{''.join(rows)}</table>")


def _section(number: int, machine: Mapping[str, Any], zones: Mapping[str, str], opened: bool) -> str:
    parts = [f'<h2 id="machine-{number}">{escape(machine["name"])}</h2>']
    facts, tuning = machine.get("facts"), machine.get("tuning")
    if facts:
        parts.append(f'<p class="soft">{escape(_headline(machine))}</p>')
    if machine.get("problem"):
        parts.append(f'<p class="bad">{escape(machine["problem"])}</p>')
    parts += [f'<p class="warn">⚠ {_with_commands(warning)}</p>' for warning in machine["warnings"]]
    if tuning:
        parts.append(f'<p class="soft">profile {escape(tuning["profile"])}, {escape(tuning["basis"]["source"])}</p>')
        parts += _bars(machine)
        parts.append(f"<h3>What binds</h3><ul>{''.join(_binding_lines(tuning))}</ul>")
        parts.append(_folded("Each component", machine["name"], _components(tuning), opened))
    if machine["links"]:
        parts.append(_folded("Links", machine["name"], _links(machine["links"], zones), opened))
    return f"<section>{''.join(parts)}</section>"


def _headline(machine: Mapping[str, Any]) -> str:
    facts = machine["facts"]
    homelab, cpu = facts["homelab"], facts.get("cpu", {}).get("cpu", {})
    virtual = f"virtual, on {machine['vm_of']}" if machine.get("vm_of") else ""
    parts = [
        machine["zone"],
        f"{homelab['cpu_cores']} x {cpu.get('model') or homelab['architecture']}",
        size(homelab["nominal_ram_mb"] or 0),
        f"{homelab['storage']['total_gib']} GiB {homelab['storage']['class']}",
        *_gpus(facts.get("gpu", {})),
        homelab["distribution"],
        virtual or homelab["container"] or homelab["hypervisor"] or "",
    ]
    return " · ".join(part for part in parts if part)


def _gpus(gpu: Mapping[str, Any]) -> list[str]:
    """Each kind of graphics processor with how many there are."""
    if not gpu.get("has_gpu"):
        return ["no GPU"]
    one = {"name": gpu.get("gpu_name"), "memory_mib": gpu.get("gpu_vram_mb")}
    devices = gpu.get("gpu", {}).get("devices") or [one]
    kinds = Counter((device["name"] or "GPU", device["memory_mib"] or 0) for device in devices)
    return [f"{f'{count} x ' if count > 1 else ''}{name}, {size(memory)}" for (name, memory), count in kinds.items()]


def _with_commands(text: str) -> str:
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _bars(machine: Mapping[str, Any]) -> Iterable[str]:
    found, tuning = machine["shares"], machine["tuning"]
    for what, title, unit in (
        ("memory", "Memory", size),
        ("cores", "Cores asked for", lambda amount: f"{amount:.2f}".rstrip("0").rstrip(".")),
        ("disk", "Disk", lambda amount: f"{amount:g} GiB"),
        ("hard_disk", "Hard disk", lambda amount: f"{amount:g} GiB"),
    ):
        if what in found:
            whole = unit(sum(found[what].values()))
            yield f"<h3>{title} <span>{whole}</span></h3>{_bar(title, found[what], unit)}"
        if what == "memory":
            asked = tuning["components"].get("postgres", {}).get("limit", {}).get("memory_mib", 0)
            over = asked - found["memory"].get("postgres", 0)
            if over > 0:
                yield f'<p class="soft">Postgres may use {size(over)} more of what others leave free, as page cache</p>'
            if sentence := models(tuning):
                yield f'<p class="soft">{sentence[0].upper()}{escape(sentence[1:])}</p>'


def _bar(title: str, amounts: Mapping[str, float], unit: Callable[[float], str]) -> str:
    """A stacked bar of all parts, and below it what each family takes, also for those who do not see the bar."""
    total = sum(amounts.values()) or 1.0
    families: dict[str, float] = {}
    ordered = sorted(amounts.items(), key=lambda item: list(FAMILIES).index(FAMILY.get(item[0], "workers")))
    spans = []
    for name, amount in ordered:
        if amount <= 0:
            continue
        family = FAMILY.get(name, "workers")
        families[family] = families.get(family, 0.0) + amount
        percent = amount / total * 100
        wide = percent >= LABELLED_PERCENT
        kind = _class(" ".join(word for word, holds in (("left", family == "left"), ("thin", not wide)) if holds))
        spans.append(
            f'<span{kind} style="width:{percent:.2f}%;background:{FAMILIES[family][0]}" '
            f'title="{escape(name)} {escape(unit(amount))}">{escape(name) if wide else ""}</span>'
        )
    key = "".join(
        f'<li><i{_class("left" if family == "left" else "")} style="background:{FAMILIES[family][0]}"></i>'
        f"{family} {escape(unit(amount))}</li>"
        for family, amount in families.items()
    )
    drawn = f'<div class="bar" role="img" aria-label="{title}, summed up below">{"".join(spans)}</div>'
    return f'{drawn}<ul class="key">{key}</ul>'


def _binding_lines(tuning: Mapping[str, Any]) -> Iterable[str]:
    held: dict[str, list[str]] = {}
    moved = bindings(tuning)
    for component in tuning["components"]:
        binding = moved.get(f"components.{component}.limit.memory_mib")
        if binding:
            held.setdefault(more(binding), []).append(component)
    floors = held.pop("floor_mib", [])
    for what, components in held.items():
        yield f"<li>{escape(', '.join(components))} would get more by <b>{escape(_named(what))}</b></li>"
    for what, components in more_replicas(tuning).items():
        yield f"<li>another {escape(', '.join(components))} by <b>{escape(_named(what))}</b></li>"
    if floors:
        yield f"<li>{escape(', '.join(floors))}: the same on every machine, unless <b>{_named('floor_mib')}</b></li>"


def _named(what: str) -> str:
    return f"homelab_tuning_overrides: {what}" if "_" in what else what


def _components(tuning: Mapping[str, Any]) -> str:
    moved, rows = bindings(tuning), []
    for name, given in tuning["components"].items():
        number, limit, disk = replicas(given), given.get("limit"), given.get("storage_gib")
        held = moved.get(f"components.{name}.{'limit.memory_mib' if limit else 'storage_gib'}", "")
        memory = f"{f'{number} x ' if number > 1 else ''}{size(limit['memory_mib'])}" if limit else "-"
        cells = [
            memory,
            f"{f'{number} x ' if number > 1 else ''}{given['request']['cpu_m'] / 1000:g}" if limit else "-",
            f"{disk:g} GiB" if disk else "-",
        ]
        numbers = "".join(f'<td class="number">{escape(cell)}</td>' for cell in cells)
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{numbers}<td>{escape(more(held) or "-")}</td></tr>')
    heads = _heads("component", "#memory", "#cores", "#disk", "more by")
    return f"<table>{heads}{''.join(rows)}</table>"


def _links(links: list[Mapping[str, Any]], zones: Mapping[str, str]) -> str:
    rows = [_heads("to", "#ms", "#jitter", "#loss", "#Mbit/s", "path")]
    for link in links:
        zone = zones.get(link["to"])
        to = f'<th scope="row">{escape(link["to"])}{f" ({escape(zone)})" if zone else ""}</th>'
        if not link["reachable"]:
            rows.append(f'<tr>{to}<td class="bad" colspan="5">no answer</td></tr>')
            continue
        path = link["path"] if link["path"] not in (None, "none") else "-"
        numbers = [
            _number(link["mean_ms"], "{:.2f}"),
            _number(link["jitter_ms"], "{:.2f}"),
            _number(link["loss_percent"], "{:g} %"),
            _number(link["mbit_s"], "{:.0f}"),
        ]
        cells = "".join(f'<td class="number">{number}</td>' for number in numbers)
        rows.append(f"<tr>{to}{cells}<td{_class('warn' if 'relay' in path else '')}>{escape(path)}</td></tr>")
    return f"<table>{''.join(rows)}</table>"


def _number(value: float | None, form: str) -> str:
    return "not measured" if value is None else form.format(value)


def _heads(*names: str) -> str:
    """The first row of a table; `#` stands before the name of a column of numbers."""
    cells = (f'<th scope="col"{_class("number" if name[0] == "#" else "")}>{name.lstrip("#")}</th>' for name in names)
    return f"<tr>{''.join(cells)}</tr>"


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def _folded(title: str, machine: str, table: str, opened: bool) -> str:
    is_open = " open" if opened else ""
    return f"<details{is_open}><summary>{title}</summary>{_scrolled(f'{title} of {machine}', table)}</details>"


def _scrolled(label: str, table: str) -> str:
    """A table that may be wider than the page: the keyboard reaches what is out of sight."""
    return f'<div class="wide" role="region" tabindex="0" aria-label="{escape(label)}">{table}</div>'
