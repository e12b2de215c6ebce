# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/tuning.svg: where the memory of each golden machine goes, as one stacked bar a machine.

`python -m tests.unit.plugins.tuning.picture` draws it anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.homelab.ai.plugins.plugin_utils._plan import size
from ansible_collections.homelab.ai.plugins.plugin_utils._report import shares
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning import tune
from ansible_collections.homelab.ai.plugins.plugin_utils._tuning_data import TuningError

from tests.unit.plugins.tuning import golden

FILE = Path(__file__).resolve().parents[4] / "docs" / "tuning.svg"
WIDTH, MARGIN, LINE, BAR = 860, 10, 18, 24
CHARACTER = 7.2  # pixels that a character of this size takes at most, on average

# Colours of a piece, which the colour-blind keep apart too (Okabe and Ito, 2008), and of the words in it. What is left
# is drawn as an empty frame.
PIECES = {
    "firmware": ("#7d6608", "#fff"),
    "host": ("#59636e", "#fff"),
    "postgres": ("#0072b2", "#fff"),
    "nats": ("#e69f00", "#000"),
    "oxigraph": ("#009e73", "#000"),
    "litellm": ("#cc79a7", "#000"),
    "models": ("#56b4e9", "#000"),
    "extract": ("#d55e00", "#000"),
    "workers": ("#b8a800", "#000"),
    "others": ("#b5bcc4", "#000"),
}
# Components that would be too thin alone.
TOGETHER = {
    "models": ("embedder", "chat"),
    "workers": ("chunk", "embed", "graph", "enrich", "delete", "reconcile"),
    "others": ("garage", "query", "openobserve", "collector", "gateway"),
}
PIECE_OF = {component: piece for piece, components in TOGETHER.items() for component in components}
STYLE = """
text{font:12px system-ui,sans-serif;fill:#1b1f24}.name{font-weight:600}.left{fill:none;stroke:#8c959f}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}}
""" + "".join(f".{piece}{{fill:{fill}}}.in-{piece}{{fill:{words}}}\n" for piece, (fill, words) in PIECES.items())


def svg() -> str:
    """The whole file."""
    rows: list[str] = []
    top = MARGIN
    for name in golden.MACHINES:
        lines, height = _machine(name)
        rows += [f'<g transform="translate({MARGIN},{top})">', *lines, "</g>"]
        top += height
    title = "Where the memory of each machine goes"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" role="img" aria-label="{title}">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n" + "\n".join(rows) + "\n</svg>\n"
    )


def pieces(tuning: Mapping[str, Any]) -> dict[str, float]:
    """MiB of each piece of a machine's memory, in the order of drawing; what is left comes last."""
    found = dict.fromkeys((*PIECES, "left"), 0.0)
    for component, amount in shares(tuning)["memory"]:
        found[PIECE_OF.get(component, component)] += amount
    return {piece: amount for piece, amount in found.items() if amount}


def _machine(name: str) -> tuple[list[str], int]:
    """A machine's lines, from its own origin, and the height that they take."""
    facts, preset, overrides = golden.MACHINES[name]
    lines = [f'<text class="name" y="12">{name}: {facts["memory_mib"]} MiB, preset {preset}</text>']
    try:
        amounts = pieces(tune(facts, preset, overrides))
    except TuningError:
        return [*lines, '<text y="30">refused: its floors do not fit (see the table)</text>'], 50
    scale = (WIDTH - 2 * MARGIN) / sum(amounts.values())
    x, below = 0.0, []
    for piece, amount in amounts.items():
        label, width = f"{piece} {size(amount)}", amount * scale
        lines.append(_box(piece, x, LINE, width, BAR))
        if _width(label) + 8 < width:
            lines.append(f'<text class="in-{piece}" x="{x + 5:.1f}" y="{LINE + 16}">{label}</text>')
        else:
            below.append((piece, label))
        x += width
    keys, bottom = _key(below)
    return lines + keys, bottom


def _key(entries: list[tuple[str, str]]) -> tuple[list[str], int]:
    """The labels that found no room in the bar, each after its colour, on as many lines as they need."""
    lines, x, y = [], 0.0, LINE + BAR + 4
    for piece, label in entries:
        if x + 16 + _width(label) > WIDTH - 2 * MARGIN:
            x, y = 0.0, y + LINE
        lines += [_box(piece, x, y + 3, 10, 10), f'<text x="{x + 15:.1f}" y="{y + 12}">{label}</text>']
        x += 22 + _width(label)
    return lines, y + LINE + 12


def _box(piece: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{piece}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{height}"/>'


def _width(label: str) -> float:
    return len(label) * CHARACTER


if __name__ == "__main__":
    FILE.write_text(svg(), encoding="utf-8")
