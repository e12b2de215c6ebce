# SPDX-License-Identifier: Apache-2.0
"""The gate in front of the triple store, which has no authentication and fetches any URL for SERVICE or LOAD.

pyoxigraph, the same parser as the server's, decides. It exposes no syntax tree, so two properties
of it are used (pinned by tests/unit/workers/query/test_sparql.py):

* A substitution of a variable that the query does not project is refused after parsing and before
  evaluation: the query is parsed and nothing runs, however expensive it would be.
* SERVICE is found by parsing twice. Where the letters occur in a string, comment, IRI, variable or
  prefixed name, the query still parses with all of them respelled; where they are the keyword it
  does not. A tokeniser of our own would disagree with the server's parser sooner or later:
  `FILTER(?a<?b)SERVICE?x#>` is an IRI in the one and a SERVICE clause in the other.
"""

from __future__ import annotations

import re
import secrets
from typing import Literal

import pyoxigraph

from ..errors import Rejected

MAX_QUERY_BYTES = 64 * 1024
Form = Literal["SELECT", "ASK", "CONSTRUCT", "DESCRIBE"]

_SERVICE = re.compile("servi(c)e", re.IGNORECASE)
_ESCAPE = re.compile(r"\\u([0-9A-Fa-f]{4})|\\U([0-9A-Fa-f]{8})")
_PROLOGUE = re.compile(
    r"(?:\s+|#[^\n\r]*|BASE\b[^<]*<[^>]*>|PREFIX\b[^<]*<[^>]*>|VERSION\s*(?:\"[^\"]*\"|'[^']*'))*"
    r"(SELECT|ASK|CONSTRUCT|DESCRIBE)",
    re.IGNORECASE,
)
_FIX = "send one SELECT, ASK, CONSTRUCT or DESCRIBE query; the graph is written by ingestion alone"


def check(query: str) -> Form:
    """The query's form when it only reads, and only this store. Raises Rejected naming the rule it breaks."""
    if not query.strip():
        raise Rejected("empty_query", "the SPARQL query is empty.", _FIX)
    size = len(query.encode("utf-8", "surrogatepass"))
    if size > MAX_QUERY_BYTES:
        raise Rejected("query_too_large", f"the SPARQL query has {size} bytes of {MAX_QUERY_BYTES}.", "shorten it")
    if "\0" in query or any(0xD800 <= ord(c) <= 0xDFFF for c in query):
        raise Rejected("malformed_query", "the SPARQL query holds NUL or lone surrogates.", "remove them")
    if problem := _syntax_error(query):
        raise Rejected("malformed_query", f"the SPARQL query cannot be read: {problem}.", _FIX)
    if _hides_service(query) or _syntax_error(_SERVICE.sub(_respelled, query)):
        raise Rejected(
            "service_refused",
            "SERVICE is refused: the triple store would fetch any address for it.",
            "query the graphs of this store only",
        )
    form = _PROLOGUE.match(query)
    if form is None:
        raise Rejected("malformed_query", "the SPARQL query's form is not clear.", _FIX)
    return form.group(1).upper()  # type: ignore[return-value]  # the pattern admits the four forms only


def _syntax_error(query: str) -> str | None:
    """What the parser says, None when it accepts. Never evaluates."""
    probe = pyoxigraph.Variable(f"parse_only_{secrets.token_hex(16)}")
    try:
        pyoxigraph.Store().query(query, substitutions={probe: pyoxigraph.Literal("")})
    except SyntaxError as error:
        return str(error)
    except RuntimeError as error:
        if probe.value in str(error):
            return None
        raise
    raise RuntimeError("pyoxigraph evaluated a query with an unknown substitution: the parse-only guard is broken")


def _respelled(found: re.Match[str]) -> str:
    return found[0][:-2] + ("x" if found[1] == "c" else "X") + found[0][-1]


def _hides_service(query: str) -> bool:
    """Nobody needs `\\u` escapes to write this word, so whoever does is refused wherever it stands."""
    plain = _ESCAPE.sub(lambda m: chr(int(m[1] or m[2], 16)) if int(m[1] or m[2], 16) < 0x80 else "?", query)
    return len(_SERVICE.findall(plain)) > len(_SERVICE.findall(query))
