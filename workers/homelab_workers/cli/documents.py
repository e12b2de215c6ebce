# SPDX-License-Identifier: Apache-2.0
"""`homelab status` and `rm`."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from .client import Client
from .exits import DONE, FAILED, CliError
from .output import Output

PAGE = 100


def listing(client: Client, collection: str | None) -> list[dict[str, Any]]:
    """All documents, newest first."""
    found: list[dict[str, Any]] = []
    parameters: dict[str, str | int] = {"limit": PAGE} | ({"collection": collection} if collection else {})
    while True:
        page = client.json("GET", "/v1/documents", params=parameters)
        found += page["data"]
        if not page["has_more"]:
            return found
        parameters["after"] = page["last_id"]


def status(client: Client, output: Output, document: str | None, *, collection: str | None) -> int:
    """One document in full, or all in one line each. 1 when one of them failed."""
    if document is None:
        documents = listing(client, collection)
        if output.as_json:
            output.json({"data": documents})
        else:
            output.table(
                ("id", "state", "chunks", "file", "reason"),
                [(d["id"], d["state"], _chunks(d), d["name"], _reason(d)) for d in documents],
            )
            output.note(f"{len(documents)} documents")
        return FAILED if any(d["state"] == "failed" for d in documents) else DONE
    found = client.json("GET", f"/v1/documents/{resolved(client, document, collection)}")
    if output.as_json:
        output.json(found)
    else:
        for key in ("id", "name", "title", "collection", "source_id", "mime_type", "state", "searchable", "pages"):
            output.line(f"{key:12} {'' if found[key] is None else found[key]}")
        output.line(f"{'chunks':12} {_chunks(found)}")
        for warning in found["warnings"]:
            output.line(f"{'warning':12} {warning.get('code', '')}: {warning.get('message', '')}")
        if found["error"]:
            output.line(f"{'error':12} {_reason(found)}")
    return FAILED if found["state"] == "failed" else DONE


def remove(client: Client, output: Output, documents: list[str], *, collection: str | None) -> int:
    removed = [
        client.json("DELETE", f"/v1/documents/{resolved(client, document, collection)}") for document in documents
    ]
    if output.as_json:
        output.json({"data": removed})
    else:
        for entry in removed:
            output.line(f"{entry['id']}: no longer served; its traces are being removed")
            for reason in entry["degraded"]:
                output.note(f"degraded: {reason}")
    return DONE


def resolved(client: Client, document: str, collection: str | None) -> str:
    """An id as it is, or the id of the one document with this name or source_id."""
    try:
        return str(UUID(document))
    except ValueError:
        pass
    matches = [d["id"] for d in listing(client, collection) if document in (d["name"], d["source_id"])]
    if len(matches) == 1:
        return str(matches[0])
    if not matches:
        raise CliError(f"there is no document {document!r}", fix="`homelab status` lists them")
    raise CliError(f"{document!r} names {len(matches)} documents: {', '.join(matches)}", fix="use the id")


def _chunks(document: dict[str, Any]) -> str:
    total, pending = document["chunks_total"], document["chunks_pending"]
    if total is None:
        return ""
    return f"{total}" if not pending else f"{total - pending}/{total}"


def _reason(document: dict[str, Any]) -> str:
    error = document["error"] or {}
    return " ".join(str(error[key]) for key in ("code", "message", "fix") if error.get(key))
