# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.homelab.ai.plugins.module_utils._pgvector_index import (
    AUTO_ROWS,
    Index,
    IndexOptions,
    check_index_options,
    plan_index,
    resolve,
)
from ansible_collections.homelab.ai.plugins.module_utils._postgres import PostgresError

HNSW = IndexOptions("hnsw")
GOOD = Index("embeddings_hnsw_m16_ef64", "hnsw", "vector_cosine_ops", {"m": 16, "ef_construction": 64})
CREATE = (
    'CREATE INDEX CONCURRENTLY "embeddings_hnsw_m16_ef64" ON public.embeddings '
    "USING hnsw (embedding vector_cosine_ops) WITH (m = 16, ef_construction = 64)"
)


def drop(name: str) -> str:
    return f'DROP INDEX CONCURRENTLY public."{name}"'


@pytest.mark.parametrize(
    ("rows", "vector_type", "dimension", "method"),
    [
        (0, "vector", 384, "none"),
        (AUTO_ROWS - 1, "vector", 384, "none"),
        (AUTO_ROWS, "vector", 384, "hnsw"),
        (AUTO_ROWS, "vector", 2000, "hnsw"),
        (AUTO_ROWS, "vector", 2001, "none"),
        (AUTO_ROWS, "halfvec", 4000, "hnsw"),
        (AUTO_ROWS, "halfvec", 4001, "none"),
    ],
)
def test_auto(rows: int, vector_type: str, dimension: int, method: str) -> None:
    assert resolve(IndexOptions(), vector_type, dimension, rows).method == method


@pytest.mark.parametrize(
    ("found", "statements", "after"),
    [
        ([], [CREATE], [GOOD]),
        ([GOOD], [], [GOOD]),
        # pgvector's defaults are not in the catalog of an index that was made without options.
        ([GOOD._replace(name="by_hand", options={})], [], [GOOD._replace(name="by_hand", options={})]),
        # The old one serves until the new one is there.
        ([GOOD._replace(name="old", options={"m": 8})], [CREATE, drop("old")], [GOOD]),
        ([GOOD._replace(name="old", operators="vector_l2_ops")], [CREATE, drop("old")], [GOOD]),
        ([GOOD._replace(name="old", whole=False)], [CREATE, drop("old")], [GOOD]),
        ([Index("old", "ivfflat", "vector_cosine_ops", {"lists": 5})], [CREATE, drop("old")], [GOOD]),
        # A name that is in the way, and what an interrupted build has left, go first.
        ([GOOD._replace(options={"m": 8})], [drop(GOOD.name), CREATE], [GOOD]),
        ([GOOD._replace(valid=False)], [drop(GOOD.name), CREATE], [GOOD]),
        ([GOOD._replace(name="left", valid=False), GOOD], [drop("left")], [GOOD]),
        # One is enough.
        ([GOOD, GOOD._replace(name="second")], [drop("second")], [GOOD]),
    ],
)
def test_from_what_is_found_to_hnsw(found: list[Index], statements: list[str], after: list[Index]) -> None:
    plan = plan_index(HNSW, "vector", 50, found)
    assert (plan.statements, plan.after) == (statements, after)


def test_none_drops_whatever_is_there() -> None:
    plan = plan_index(IndexOptions("none"), "vector", 50, [GOOD, GOOD._replace(name="left", valid=False)])
    assert (plan.statements, plan.after) == ([drop(GOOD.name), drop("left")], [])


def test_operators_follow_the_type() -> None:
    (statement,) = plan_index(HNSW, "halfvec", 0, []).statements
    assert "(embedding halfvec_cosine_ops)" in statement


@pytest.mark.parametrize(("rows", "lists"), [(1, 1), (50_000, 50), (1_000_000, 1000), (4_000_000, 2000)])
def test_lists_follow_the_rows_and_are_then_left_alone(rows: int, lists: int) -> None:
    options = IndexOptions("ivfflat")
    plan = plan_index(options, "vector", rows, [])
    assert plan.statements[0].endswith(f"USING ivfflat (embedding vector_cosine_ops) WITH (lists = {lists})")
    assert plan_index(options, "vector", rows * 10, plan.after).statements == []
    assert plan_index(options, "vector", 0, plan.after).statements == []
    replaced = plan_index(IndexOptions("ivfflat", lists=7), "vector", rows, plan.after)
    assert replaced.statements[1] == drop(plan.after[0].name)


def test_ivfflat_needs_rows() -> None:
    with pytest.raises(PostgresError, match=r"embeddings is empty.*Set index.method: auto or hnsw"):
        plan_index(IndexOptions("ivfflat"), "vector", 0, [GOOD])


@pytest.mark.parametrize(
    ("vector_type", "dimension", "message"),
    [
        ("vector", 2001, r"at most 2000 dimensions of type vector\. .* or vector_type: halfvec \(up to 4000\)"),
        ("halfvec", 4001, "at most 4000 dimensions of type halfvec. Set index.method: auto or none$"),
    ],
)
def test_too_many_dimensions_for_an_index(vector_type: str, dimension: int, message: str) -> None:
    for method in ("hnsw", "ivfflat"):
        with pytest.raises(PostgresError, match=message):
            resolve(IndexOptions(method), vector_type, dimension, 50)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"m": 1}, "index.m is 1 and must be between 2 and 100"),
        ({"ef_construction": 1001}, "index.ef_construction is 1001 and must be between 4 and 1000"),
        ({"lists": 0}, "index.lists is 0 and must be between 1 and 32768"),
        ({"m": 40}, "must be at least twice index.m .*: set index.ef_construction: 80 or more"),
    ],
)
def test_values_that_pgvector_would_refuse(values: dict[str, Any], message: str) -> None:
    with pytest.raises(PostgresError, match=message):
        check_index_options(IndexOptions(**values))


def test_what_the_diff_says_of_an_index() -> None:
    assert str(GOOD._replace(valid=False, whole=False)) == (
        "embeddings_hnsw_m16_ef64: hnsw vector_cosine_ops ef_construction=64 m=16 partial invalid"
    )
