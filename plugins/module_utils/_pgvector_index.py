# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Which index the vectors should have, and the statements that lead there. No database here."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import isqrt
from typing import NamedTuple

from ansible_collections.homelab.ai.plugins.module_utils._postgres import PostgresError, quote

# Below this an exact search takes under 10 ms, misses nothing, and rows load 60 times faster than into HNSW.
AUTO_ROWS = 20_000
# pgvector README: most dimensions that an index takes.
INDEX_DIMENSIONS = {"vector": 2_000, "halfvec": 4_000}
# What an index that was made without an option has (pgvector README).
DEFAULTS = {"hnsw": {"m": 16, "ef_construction": 64}, "ivfflat": {"lists": 100}}
# Bounds from pgvector's source (hnsw.h, ivfflat.h).
BOUNDS = {"m": (2, 100), "ef_construction": (4, 1_000), "lists": (1, 32_768)}


@dataclass(frozen=True)
class IndexOptions:
    """The module's option `index`."""

    method: str = "auto"
    m: int = 16
    ef_construction: int = 64
    lists: int | None = None  # None: from the number of rows, and any is right in an index that exists


class Index(NamedTuple):
    """A vector index on the table embeddings."""

    name: str
    method: str
    operators: str
    options: dict[str, int]
    valid: bool = True  # False is what an interrupted build leaves
    whole: bool = True  # on the column itself and for all rows

    def __str__(self) -> str:
        options = "".join(f" {name}={value}" for name, value in sorted(self.options.items()))
        flaws = ("" if self.whole else " partial") + ("" if self.valid else " invalid")
        return f"{self.name}: {self.method} {self.operators}{options}{flaws}"


@dataclass
class IndexPlan:
    statements: list[str] = field(default_factory=list)
    after: list[Index] = field(default_factory=list)


def check_index_options(options: IndexOptions) -> None:
    """Raises PostgresError for a value that pgvector would refuse."""
    for name, (least, most) in BOUNDS.items():
        value = getattr(options, name)
        if value is not None and not least <= value <= most:
            raise PostgresError(f"index.{name} is {value} and must be between {least} and {most}")
    if options.ef_construction < 2 * options.m:
        raise PostgresError(
            f"index.ef_construction is {options.ef_construction} and must be at least twice index.m ({options.m}): "
            f"set index.ef_construction: {2 * options.m} or more"
        )


def resolve(options: IndexOptions, vector_type: str, dimension: int, rows: int) -> IndexOptions:
    """`options` with a method other than auto. Raises PostgresError for an index that cannot be built."""
    most = INDEX_DIMENSIONS[vector_type]
    if options.method == "auto":
        return replace(options, method="hnsw" if rows >= AUTO_ROWS and dimension <= most else "none")
    if options.method != "none" and dimension > most:
        fix = "" if vector_type == "halfvec" else f", or vector_type: halfvec (up to {INDEX_DIMENSIONS['halfvec']})"
        raise PostgresError(
            f"index.method is {options.method} and dimension {dimension}: pgvector indexes at most {most} dimensions "
            f"of type {vector_type}. Set index.method: auto or none{fix}"
        )
    return options


def _wanted(options: IndexOptions, vector_type: str, rows: int) -> Index:
    if options.method == "hnsw":
        settings = {"m": options.m, "ef_construction": options.ef_construction}
        name = f"embeddings_hnsw_m{options.m}_ef{options.ef_construction}"
    else:
        # pgvector README: rows / 1000 up to a million rows, the square root above.
        lists = options.lists or max(1, rows // 1000 if rows <= 1_000_000 else isqrt(rows))
        settings, name = {"lists": lists}, f"embeddings_ivfflat_lists{lists}"
    return Index(name, options.method, f"{vector_type}_cosine_ops", settings)


def _fits(index: Index, wanted: Index, options: IndexOptions) -> bool:
    if not (index.valid and index.whole and index[1:3] == wanted[1:3]):
        return False
    any_lists = wanted.method == "ivfflat" and options.lists is None
    return any_lists or {**DEFAULTS[index.method], **index.options} == wanted.options


def plan_index(options: IndexOptions, vector_type: str, rows: int, found: list[Index]) -> IndexPlan:
    """From the indexes `found` to the one of the resolved `options`. Searches can use the old one until the new one
    is there. Raises PostgresError.
    """

    def drop(indexes: list[Index]) -> list[str]:
        return [f"DROP INDEX CONCURRENTLY public.{quote(index.name)}" for index in indexes]

    if options.method == "none":
        return IndexPlan(drop(found))
    wanted = _wanted(options, vector_type, rows)
    kept = next((index for index in found if _fits(index, wanted, options)), None)
    if kept is not None:
        return IndexPlan(drop([index for index in found if index is not kept]), [kept])
    if options.method == "ivfflat" and rows == 0:
        raise PostgresError(
            "index.method is ivfflat and the table embeddings is empty: ivfflat takes its lists from the rows that it "
            "finds, so it would find next to nothing later. Set index.method: auto or hnsw, or ingest documents first"
        )
    first = [index for index in found if not index.valid or index.name == wanted.name]
    settings = ", ".join(f"{name} = {value}" for name, value in wanted.options.items())
    create = (
        f"CREATE INDEX CONCURRENTLY {quote(wanted.name)} ON public.embeddings "
        f"USING {wanted.method} (embedding {wanted.operators}) WITH ({settings})"
    )
    return IndexPlan([*drop(first), create, *drop([index for index in found if index not in first])], [wanted])
