# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows the running stack at work: ingests FILES (default: the samples), searches, queries the graph, asks.

Hits and quotes come first: they are what the platform is about. The answer comes last and says which model wrote it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

DEMO = Path(__file__).resolve().parents[1] / "demo"
SECTIONS = """
PREFIX dcterms: <http://purl.org/dc/terms/>
PREFIX : <urn:homelab:vocab#>
SELECT ?document ?section ?page WHERE {
  ?d a :Document ; dcterms:identifier ?document ; dcterms:hasPart ?s .
  ?s dcterms:title ?section ; :index ?n . OPTIONAL { ?s :page ?page }
  FILTER (?document IN (%s))
} ORDER BY ?document ?n LIMIT 12
"""


def homelab(*arguments: str) -> subprocess.CompletedProcess[str]:
    # Where the role links it, whatever the caller's PATH leaves out.
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/bin", str(Path.home() / ".local" / "bin")])
    command = shutil.which("homelab", path=places)
    if command is None:
        sys.exit("the command homelab is neither on PATH nor where the role links it: run ./bootstrap stack first")
    return subprocess.run([command, *arguments], stdout=subprocess.PIPE, text=True, check=False)


def answer_of(*arguments: str, accepted: tuple[int, ...] = (0,)) -> dict:
    done = homelab(*arguments, "--json")
    if done.returncode not in accepted:
        sys.exit(f"homelab {' '.join(arguments)} failed with exit status {done.returncode}")
    return json.loads(done.stdout)


def title(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def quote(text: str, width: int = 300) -> str:
    flat = " ".join(text.split())
    return textwrap.indent(textwrap.fill(flat[:width] + ("…" if len(flat) > width else ""), 110), "     ")


def place(attributes: dict) -> str:
    parts = [attributes["name"]]
    if attributes.get("page") is not None:
        parts.append(f"page {attributes['page']}")
    if attributes.get("heading"):
        parts.append(attributes["heading"])
    return ", ".join(parts)


def search(question: str, hits: int) -> None:
    print(f"\n  {question}")
    found = answer_of("search", question)["data"][:hits]
    if not found:
        print("     nothing found")
    for number, hit in enumerate(found, 1):
        print(f"  [{number}] {place(hit['attributes'])}  (score {hit['score']:.2f})")
        print(quote(hit["content"][0]["text"]))


def graph(names: list[str]) -> list[dict[str, str]]:
    rows = answer_of("graph", SECTIONS % ", ".join(json.dumps(name) for name in names))["results"]["bindings"]
    return [{key: value["value"] for key, value in row.items()} for row in rows]


def main() -> None:
    own = [str(Path(argument).resolve()) for argument in sys.argv[1:]]
    paths = own or [str(DEMO / "documents")]
    title("1. Documents go in")
    ingested = homelab("ingest", *paths)
    print(textwrap.indent(ingested.stdout, "  "), end="")
    if ingested.returncode not in (0, 3):
        sys.exit(ingested.returncode)
    # Exit status 1: one of the documents failed, which the table of the ingest has shown.
    documents = answer_of("status", accepted=(0, 1))["data"]
    if own:
        wanted = {Path(path).name for path in own}
        names = [d["name"] for d in documents if wanted.intersection(Path(d["name"]).parts)]
    else:
        names = [d["name"] for d in documents if d["source_id"].startswith("upload:default/documents/")]
    sections = graph(names)
    if own:
        questions = [f"What is said about {row['section']}?" for row in sections[:2]] or [Path(own[0]).stem]
    else:
        questions = [entry["question"] for entry in json.loads((DEMO / "questions.json").read_text(encoding="utf-8"))]
    title("2. Search: vectors and full text in one statement, each hit with file, page and heading")
    for question in questions[:4]:
        search(question, hits=2)
    title("3. The knowledge graph, by SPARQL: the sections of these documents")
    for row in sections:
        print(f"  {row['document']}: {row['section']}" + (f" (page {row['page']})" if "page" in row else ""))
    title("4. Ask: an answer from the passages, its citations checked against them")
    print(f"  {questions[0]}\n", flush=True)
    print(textwrap.indent(homelab("ask", questions[0]).stdout, "  "))
    title("Next")
    state = "./bootstrap stack"
    print(
        textwrap.indent(
            textwrap.dedent(
                f"""\
                A real model:    {state} -e '{{"local_stack_chat": {{"gguf": "/path/to/model.gguf"}}}}'
                                 (or url and sha256, or base_url, model and api_key_file of an OpenAI-compatible server)
                Your own folder: homelab ingest ~/Documents      then: homelab search …, homelab ask …, homelab status
                Stop:            {state} -e local_stack_state=stopped
                Remove all:      {state} -e local_stack_state=absent -e local_stack_purge_data=true"""
            ),
            "  ",
        )
    )


if __name__ == "__main__":
    main()
