# SPDX-License-Identifier: Apache-2.0
"""`homelab dlq` and `put`: what operators ask of the reconciler."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .client import Client
from .exits import DONE, USAGE, CliError
from .output import Output


def dlq_list(client: Client, output: Output, *, limit: int) -> int:
    letters: list[dict[str, Any]] = []
    before: int | None = None
    while len(letters) < limit:
        parameters = {"limit": min(limit - len(letters), 100)} | ({} if before is None else {"before": before})
        page = client.json("GET", "/admin/dlq", params=parameters)
        letters += page["data"]
        before = page["next_before"]
        if before is None:
            break
    if output.as_json:
        output.json({"data": letters})
        return DONE
    output.table(
        ("seq", "stage", "reason", "document", "deliveries", "first seen", "message"),
        [
            (
                letter["sequence"],
                letter.get("stage"),
                letter.get("reason"),
                letter.get("doc_id"),
                letter.get("deliveries"),
                letter.get("first_seen"),
                letter.get("message"),
            )
            for letter in letters
        ],
    )
    output.note(f"{len(letters)} dead letters")
    return DONE


def dlq_show(client: Client, output: Output, sequence: int) -> int:
    output.json(client.json("GET", f"/admin/dlq/{sequence}"))
    return DONE


def dlq_replay(client: Client, output: Output, sequences: list[int]) -> int:
    return _each(client, output, sequences, "POST", "/replay", "replayed")


def dlq_drop(client: Client, output: Output, sequences: list[int]) -> int:
    return _each(client, output, sequences, "DELETE", "", "dropped")


def _each(client: Client, output: Output, sequences: list[int], method: str, suffix: str, done: str) -> int:
    results = []
    for sequence in sequences:
        results.append(client.json(method, f"/admin/dlq/{sequence}{suffix}"))
        if not output.as_json:
            output.line(f"{sequence}: {done}")
    if output.as_json:
        output.json({"data": results})
    return DONE


def put(client: Client, output: Output, uri: str, path: Path) -> int:
    try:
        with path.open("rb") as file:
            result = client.json("PUT", "/admin/objects", params={"uri": uri}, content=file)
    except OSError as error:
        raise CliError(f"{path}: {error.strerror}", fix="name a file that you may read", code=USAGE) from error
    if output.as_json:
        output.json(result)
    else:
        output.line(f"{result['uri']}: {result['bytes']} bytes")
    return DONE
