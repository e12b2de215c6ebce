# SPDX-License-Identifier: Apache-2.0
"""`homelab search`, `ask` and `graph`."""

from __future__ import annotations

from typing import Any

from .client import Client, events
from .exits import DONE, FAILED, CliError
from .output import Output

MODEL = "homelab-rag"


def search(client: Client, output: Output, query: str, *, collection: str, limit: int, mode: str) -> int:
    body = {"query": query, "max_num_results": limit, "ranking_options": {"mode": mode}}
    page = client.json("POST", f"/v1/vector_stores/{collection}/search", json=body)
    if output.as_json:
        output.json(page)
        return DONE
    for number, hit in enumerate(page["data"], 1):
        attributes = hit["attributes"]
        place = _place(hit["filename"], attributes.get("page"), attributes.get("heading"))
        output.line(f"{number}. {place}  (score {hit['score']:.3f})", style="bold")
        output.line(f"   {' '.join(hit['content'][0]['text'].split())[:300]}")
    if not page["data"]:
        output.line(f"nothing found in collection {collection}")
    elif not page["homelab"]["found"]:
        output.note("none of these is near to the question")
    _degraded(output, page["homelab"])
    return DONE


def ask(client: Client, output: Output, question: str, *, collection: str) -> int:
    body = {
        "model": MODEL,
        "stream": not output.as_json,
        "messages": [{"role": "user", "content": question}],
        "metadata": {"collection": collection},
    }
    if output.as_json:
        output.json(client.json("POST", "/v1/chat/completions", json=body))
        return DONE
    provenance: dict[str, Any] | None = None
    with client.reached(), client.http.stream("POST", "/v1/chat/completions", json=body) as response:
        client.accepted(response)
        for event in events(response):
            if "error" in event:
                output.line()
                raise CliError(str(event["error"].get("message", "the answer broke off")), code=FAILED)
            output.piece(event["choices"][0]["delta"].get("content") or "")
            provenance = event.get("homelab", provenance)
    output.line()
    if provenance is None:
        raise CliError("the answer broke off before its sources came", fix="ask again", code=FAILED)
    _sources(output, provenance)
    return DONE


def _sources(output: Output, provenance: dict[str, Any]) -> None:
    if provenance["citations"]:
        output.line("\nCitations:", style="bold")
        for c in provenance["citations"]:
            remark = "  (found by its words; the model cited nothing there)" if c["attributed"] else ""
            if not c["supported"]:
                remark = "  (the passage does not support what was said)"
            output.line(f"[{c['n']}] {_place(c['file'], c['page'], c['heading'])}{remark}")
            output.line(f"    \u201c{c['quote']}\u201d")
    elif provenance["sources"]:
        output.line("\nThe answer cites nothing. It was written from:", style="bold")
        for s in provenance["sources"]:
            output.line(f"[{s['n']}] {_place(s['file'], s['page'], s['heading'])}")
    output.line(f"\nmodel: {provenance['model']}, retrieval: {provenance['retrieval']}")
    _degraded(output, provenance)


def graph(client: Client, output: Output, query: str) -> int:
    response = client.send(
        "POST", "/v1/sparql", content=query.encode(), headers={"Content-Type": "application/sparql-query"}
    )
    if "json" not in response.headers.get("content-type", ""):
        if output.as_json:
            output.json({"n_triples": response.text})
        else:
            output.line(response.text.rstrip("\n"))
        return DONE
    result = response.json()
    if output.as_json:
        output.json(result)
    elif "boolean" in result:
        output.line("yes" if result["boolean"] else "no")
    else:
        names = result["head"]["vars"]
        rows = result["results"]["bindings"]
        output.table(names, [[row[n]["value"] if n in row else None for n in names] for row in rows])
        output.note(f"{len(rows)} rows")
    return DONE


def _place(file: str, page: int | None, heading: str | None) -> str:
    return file + (f", page {page}" if page is not None else "") + (f", {heading}" if heading else "")


def _degraded(output: Output, provenance: dict[str, Any]) -> None:
    for reason in provenance["degraded"]:
        output.note(f"degraded: {reason}")
