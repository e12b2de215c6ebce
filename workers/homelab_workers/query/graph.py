# SPDX-License-Identifier: Apache-2.0
"""What the knowledge graph knows about the chunks that were found: document, headings above, neighbours."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from .ports import GraphReader

_CHUNK = "urn:homelab:chunk:"
MAX_BYTES = 1 << 20

_QUERY = """
PREFIX dcterms: <http://purl.org/dc/terms/>
PREFIX : <urn:homelab:vocab#>
SELECT ?chunk ?title ?level ?neighbour ?index WHERE {{
  VALUES ?chunk {{ {chunks} }}
  {{ ?chunk dcterms:isPartOf+ ?part . ?part dcterms:title ?title . OPTIONAL {{ ?part :level ?level }} }}
  UNION
  {{ ?chunk dcterms:isPartOf ?section ; :index ?own .
    ?neighbour dcterms:isPartOf ?section ; :index ?index .
    FILTER(?index = ?own - 1 || ?index = ?own + 1) }}
}}
"""


@dataclass(slots=True)
class Context:
    document: str | None = None
    headings: list[str] = field(default_factory=list)
    """Of the sections around the chunk, outermost first."""
    neighbours: list[UUID] = field(default_factory=list)
    """Chunks before and behind it in the same section, in reading order."""


async def context_of(graph: GraphReader, chunks: Sequence[UUID], *, seconds: float) -> dict[UUID, Context]:
    """Raises Unavailable("graph") within `seconds`. Chunks whose graph is not written yet are missing."""
    query = _QUERY.format(chunks=" ".join(f"<{_CHUNK}{chunk}>" for chunk in chunks))
    body = await graph.read(query, accept="application/sparql-results+json", seconds=seconds, max_bytes=MAX_BYTES)
    rows: list[Mapping[str, Any]] = json.loads(body)["results"]["bindings"]
    found: dict[UUID, Context] = {}
    headings: dict[UUID, dict[int, str]] = {}
    neighbours: dict[UUID, dict[int, UUID]] = {}
    for row in rows:
        chunk = _chunk(row["chunk"]["value"])
        context = found.setdefault(chunk, Context())
        if "neighbour" in row:
            neighbours.setdefault(chunk, {})[int(row["index"]["value"])] = _chunk(row["neighbour"]["value"])
        elif "level" in row:
            headings.setdefault(chunk, {})[int(row["level"]["value"])] = row["title"]["value"]
        else:
            context.document = row["title"]["value"]
    for chunk, context in found.items():
        context.headings = [title for _unused, title in sorted(headings.get(chunk, {}).items())]
        context.neighbours = [other for _unused, other in sorted(neighbours.get(chunk, {}).items())]
    return found


def _chunk(iri: str) -> UUID:
    return UUID(iri.removeprefix(_CHUNK))
