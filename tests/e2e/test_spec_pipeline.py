# SPDX-License-Identifier: GPL-3.0-or-later
"""The specification's Phase 2 end-to-end test (§6), line for line, against the deployed stack."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import nats
import psycopg
from conftest import Stack


async def test_should_ingest_pdf_and_produce_embeddings(stack: Stack, handbook: Path) -> None:
    # await garage.putObject('raw-documents/test.pdf', testPdfBuffer)
    stack.put_object("s3://raw-documents/test.pdf", handbook.read_bytes())
    client = await nats.connect(stack.nats_url("client"), inbox_prefix=b"_INBOX_client")
    try:
        completed = await client.subscribe("kg.upsert.completed")
        await client.flush()
        # await nats.publish('doc.ingest.requested', { source_uri: 's3://raw-documents/test.pdf' })
        await client.jetstream().publish(
            "doc.ingest.requested", json.dumps({"source_uri": "s3://raw-documents/test.pdf"}).encode()
        )
        # await waitForNatsEvent('kg.upsert.completed')
        async with asyncio.timeout(120):
            event = json.loads((await completed.next_msg(timeout=120)).data)
    finally:
        await client.close()
    assert event["triples_count"] > 0
    # const embeddings = await supabase.query('SELECT COUNT(*) FROM embeddings')
    with psycopg.connect(stack.postgres_url("postgres")) as connection:
        (embeddings,) = connection.execute("SELECT COUNT(*) FROM embeddings").fetchone() or (0,)
    assert embeddings > 0
    # const triples = await oxigraph.query('SELECT (COUNT(*) AS ?count) WHERE { ?s ?p ?o }')
    answer = httpx.get(
        f"{stack.oxigraph_url}/query",
        params={"query": "SELECT (COUNT(*) AS ?count) WHERE { ?s ?p ?o }"},
        headers={"Accept": "application/sparql-results+json"},
    )
    triples = int(answer.json()["results"]["bindings"][0]["count"]["value"])
    assert triples > 0
