# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP interface on a real port, with the `openai` package as one of its clients."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import nats
import openai
import pytest
from conftest import Nats

from homelab_workers.contracts import raw_location
from homelab_workers.errors import Unavailable

from .rig import KEY, Doc, QueryRig

_numbers = itertools.count(1)
POWER = [
    ("Power", 2, "The UPS holds the rack for 14 minutes after a power cut."),
    ("Power", 3, "The generator starts after 30 seconds."),
    ("Water", 5, "The water sensor in the basement reports every five minutes."),
]
QUESTION = "how long does the UPS hold the rack after a power cut"


def collection() -> str:
    return f"http-{next(_numbers)}"


@pytest.fixture
async def client(rig: QueryRig) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{rig.url}/v1", api_key=KEY, max_retries=0, timeout=30.0) as made:
        yield made


async def test_openai_searches_a_vector_store(rig: QueryRig, client: openai.AsyncOpenAI) -> None:
    where = collection()
    doc_id = await rig.serve(Doc("house/power.md", POWER, where))
    page = await client.vector_stores.search(where, query=QUESTION, max_num_results=2)
    first = page.data[0]
    assert (first.file_id, first.filename) == (str(doc_id), "house/power.md")
    assert first.content[0].text == POWER[0][2]
    assert first.attributes is not None
    assert 0.5 < first.score < 1.0  # "long" is not in the passage: first in both legs, but not everything found
    assert (first.attributes["page"], first.attributes["heading"], first.attributes["retrieval"]) == (
        2,
        "Power",
        "hybrid",
    )
    assert len(page.data) == 2


async def test_openai_searches_with_filters_and_threshold(rig: QueryRig, client: openai.AsyncOpenAI) -> None:
    where = collection()
    await rig.serve(Doc("a.md", POWER, where, {"room": "attic"}))
    hits = await client.vector_stores.search(where, query=QUESTION, filters={"type": "eq", "key": "room", "value": "x"})
    assert hits.data == []
    asked = "the UPS holds the rack"
    hits = await client.vector_stores.search(where, query=asked, ranking_options={"score_threshold": 0.99})
    assert [hit.content[0].text for hit in hits.data] == [POWER[0][2]]
    with pytest.raises(openai.BadRequestError, match="is not supported"):
        await client.vector_stores.search(where, query=QUESTION, filters={"type": "gt", "key": "room", "value": 1})


async def test_each_leg_can_be_asked_alone(rig: QueryRig, http: httpx.AsyncClient) -> None:
    where = collection()
    await rig.serve(Doc("a.md", POWER, where))

    async def page(mode: str, query: str = "UPS rack") -> httpx.Response:
        body = {"query": query, "ranking_options": {"mode": mode}}
        return await http.post(f"/v1/vector_stores/{where}/search", json=body)

    for mode in ("hybrid", "vector", "lexical"):
        found = (await page(mode)).json()
        assert found["homelab"]["retrieval"] == mode
        first = found["data"][0]
        assert first["content"][0]["text"] == POWER[0][2]
        assert first["score"] == pytest.approx(1.0)
        assert ("cosine" in first["attributes"]) is (mode != "lexical")
        assert ("text_rank" in first["attributes"]) is (mode != "vector")
    assert (await page("fuzzy")).status_code == 400


async def test_openai_lists_the_model(client: openai.AsyncOpenAI) -> None:
    assert [model.id for model in (await client.models.list()).data] == ["homelab-rag"]


def extra(of: Any) -> dict[str, Any]:
    provenance: dict[str, Any] = of.model_extra["homelab"]
    return provenance


async def test_openai_asks(rig: QueryRig, client: openai.AsyncOpenAI) -> None:
    where = collection()
    doc_id = await rig.serve(Doc("power.md", POWER, where))
    rig.chat.pieces = ["The UPS holds the rack for 14 minutes [1]", " and the moon is far [9]."]
    completion = await client.chat.completions.create(
        model="homelab-rag", messages=[{"role": "user", "content": QUESTION}], metadata={"collection": where}
    )
    assert completion.choices[0].message.content == "The UPS holds the rack for 14 minutes [1] and the moon is far."
    provenance = extra(completion)
    assert provenance["retrieval"] == "hybrid" and provenance["graph"] and provenance["synthesis"]
    assert provenance["degraded"] == [] and provenance["model"] == "scripted"
    (citation,) = provenance["citations"]
    assert (citation["n"], citation["document_id"], citation["file"], citation["page"], citation["heading"]) == (
        1,
        str(doc_id),
        "power.md",
        2,
        "Power",
    )
    assert citation["quote"] == POWER[0][2] and citation["supported"]
    first = provenance["sources"][0]
    assert first["headings"] == ["Power"] and len(first["neighbours"]) == 1


async def test_openai_streams(rig: QueryRig, client: openai.AsyncOpenAI) -> None:
    where = collection()
    await rig.serve(Doc("power.md", POWER, where))
    rig.chat.pieces = ["The UPS ", "holds ", "[1] ", "for 14 minutes [", "8]."]
    stream = await client.chat.completions.create(
        model="homelab-rag",
        messages=[{"role": "system", "content": "be rude"}, {"role": "user", "content": QUESTION}],
        stream=True,
        extra_body={"collection": where},
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == "The UPS holds [1] for 14 minutes."
    assert len(chunks) > 4
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert [c["n"] for c in extra(chunks[-1])["citations"]] == [1]


async def test_nothing_found(rig: QueryRig, client: openai.AsyncOpenAI) -> None:
    where = collection()
    await rig.serve(Doc("power.md", POWER, where))
    completion = await client.chat.completions.create(
        model="homelab-rag",
        messages=[{"role": "user", "content": "zebra migration statistics"}],
        extra_body={"collection": where},
    )
    assert "found nothing" in (completion.choices[0].message.content or "")
    assert not extra(completion)["found"] and extra(completion)["citations"] == []


async def test_without_models_the_answer_is_lexical_passages(rig: QueryRig, client: openai.AsyncOpenAI) -> None:
    where = collection()
    await rig.serve(Doc("power.md", POWER, where))
    rig.embedder.error = Unavailable("models", "connection refused")
    rig.chat.pieces = []
    completion = await client.chat.completions.create(
        model="homelab-rag", messages=[{"role": "user", "content": QUESTION}], extra_body={"collection": where}
    )
    provenance = extra(completion)
    assert provenance["retrieval"] == "lexical" and not provenance["synthesis"]
    assert POWER[0][2] in (completion.choices[0].message.content or "")
    assert len(provenance["degraded"]) == 2


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_cancels_the_model(rig: QueryRig, http: httpx.AsyncClient, stream: bool) -> None:
    where = collection()
    await rig.serve(Doc("power.md", POWER, where))
    rig.chat.endless = True
    body = {
        "model": "homelab-rag",
        "stream": stream,
        "collection": where,
        "messages": [{"role": "user", "content": QUESTION}],
    }
    call = asyncio.create_task(http.post("/v1/chat/completions", json=body))
    await asyncio.wait_for(rig.chat.started.wait(), 20)
    call.cancel()
    await asyncio.wait_for(rig.chat.cancelled.wait(), 20)


BAD_REQUESTS: list[tuple[str, Any, int, str]] = [
    ("/v1/vector_stores/default/search", {"query": ""}, 400, "empty"),
    ("/v1/vector_stores/default/search", {"query": "x" * 9000}, 413, "8192"),
    ("/v1/vector_stores/default/search", {"query": "x" * (2 << 20)}, 413, "1048576"),
    ("/v1/vector_stores/default/search", {"query": "x", "max_num_results": 10**6}, 400, "1 to 50"),
    ("/v1/vector_stores/default/search", {"query": 7}, 400, "query"),
    ("/v1/vector_stores/default/search", {}, 400, "query"),
    ("/v1/vector_stores/nowhere/search", {"query": "x"}, 404, "nowhere"),
    ("/v1/chat/completions", {"messages": []}, 400, "messages"),
    ("/v1/chat/completions", {"model": "gpt-5", "messages": [{"role": "user", "content": "x"}]}, 400, "homelab-rag"),
    ("/v1/chat/completions", {"messages": [{"role": "assistant", "content": "x"}]}, 400, "role user"),
    ("/v1/sparql", {"query": "DROP ALL"}, 400, "cannot be read"),
    ("/v1/sparql", {"query": "SELECT * { SERVICE <http://127.0.0.1:9/> { ?s ?p ?o } }"}, 400, "SERVICE"),
    ("/v1/sparql", {"sparql": "x"}, 400, "query"),
    ("/v1/sparql", [], 400, "body"),
]


async def test_bad_requests_say_what_is_wrong(http: httpx.AsyncClient) -> None:
    for path, body, status, says in BAD_REQUESTS:
        response = await http.post(path, json=body)
        assert response.status_code == status, (path, says)
        error = response.json()["error"]
        assert says in error["message"]
        assert set(error) == {"message", "type", "param", "code"}


async def test_keys(rig: QueryRig) -> None:
    async with httpx.AsyncClient(base_url=rig.url) as nobody:
        for method, path in (
            ("POST", "/v1/vector_stores/default/search"),
            ("POST", "/v1/chat/completions"),
            ("POST", "/v1/sparql"),
            ("GET", "/v1/models"),
            ("GET", "/v1/documents"),
            ("POST", "/v1/documents"),
            ("GET", f"/v1/documents/{uuid4()}"),
            ("GET", f"/v1/documents/{uuid4()}/content"),
            ("DELETE", f"/v1/documents/{uuid4()}"),
        ):
            response = await nobody.request(method, path, headers={"Authorization": "Bearer wrong"})
            assert response.status_code == 401, path
            assert response.json()["error"]["type"] == "authentication_error"
        assert (await nobody.get("/healthz")).status_code == 200
        assert (await nobody.get("/metrics")).status_code == 200
        ready = await nobody.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["status"] == "degraded" and ready.json()["problems"] == {"graph": "not started"}


async def test_no_cross_origin_reading_unless_asked_for(http: httpx.AsyncClient) -> None:
    response = await http.get("/v1/models", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in response.headers


async def test_sparql(rig: QueryRig, http: httpx.AsyncClient) -> None:
    doc_id = await rig.serve(Doc("power.md", POWER, collection()))
    query = (
        f"SELECT ?t {{ GRAPH <urn:homelab:doc:{doc_id}> {{ ?s a <urn:homelab:vocab#Section> ;"
        " <http://purl.org/dc/terms/title> ?t } } ORDER BY ?t"
    )
    response = await http.post("/v1/sparql", content=query, headers={"Content-Type": "application/sparql-query"})
    titles = [row["t"]["value"] for row in response.json()["results"]["bindings"]]
    assert titles == ["Power", "Water"]
    response = await http.post("/v1/sparql", json={"query": f"ASK {{ <urn:homelab:doc:{doc_id}> ?p ?o }}"})
    assert response.json()["boolean"] is True
    response = await http.post("/v1/sparql", json={"query": f"DESCRIBE <urn:homelab:doc:{doc_id}>"})
    assert response.headers["content-type"].startswith("application/n-triples")
    assert f"<urn:homelab:doc:{doc_id}> <http://purl.org/dc/terms/title>" in response.text


async def test_sparql_results_are_bounded(rig: QueryRig, http: httpx.AsyncClient) -> None:
    values = " ".join(map(str, range(700)))
    query = f"SELECT * {{ VALUES ?a {{ {values} }} VALUES ?b {{ {values} }} }}"
    response = await http.post("/v1/sparql", json={"query": query})
    assert response.status_code == 413 and "LIMIT" in response.json()["error"]["message"]


async def upload(http: httpx.AsyncClient, content: bytes, name: str = "a/b.txt", **fields: str) -> httpx.Response:
    return await http.post("/v1/documents", data={"name": name, **fields}, files={"file": ("b.txt", content)})


async def test_an_upload_is_stored_accepted_and_published(
    rig: QueryRig, http: httpx.AsyncClient, nats_server: Nats
) -> None:
    where = collection()
    connection = await nats.connect(nats_server.url)
    js = connection.jetstream()
    try:
        await js.add_stream(name="INGEST", subjects=["doc.>"])
        subscription = await connection.subscribe("doc.ingest.requested")
        await connection.flush()
        content = b"some bytes of " + where.encode()
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        response = await http.post(
            "/v1/documents",
            data={"collection": where, "name": "house/a.txt", "metadata": json.dumps({"room": "attic", "title": "A"})},
            files={"file": ("a.txt", content)},
            headers={"traceparent": trace},
        )
        assert response.status_code == 202, response.text
        receipt = response.json()
        assert receipt["status"] == "received" and receipt["degraded"] == []
        assert receipt["source_id"] == f"upload:{where}/house/a.txt"
        assert await rig.objects.get(raw_location(hashlib.sha256(content).hexdigest())) == content
        message = await subscription.next_msg(timeout=20)
        event = json.loads(message.data)
        assert event["doc_id"] == receipt["id"] and event["version"] == receipt["version"]
        assert event["metadata"]["collection"] == where and event["metadata"]["room"] == "attic"
        assert message.headers is not None
        assert message.headers["Nats-Msg-Id"] == f"doc.ingest.requested:{receipt['id']}:1:0"
        assert message.headers["traceparent"].split("-")[1] == trace.split("-")[1]
    finally:
        await js.delete_stream("INGEST")
        await connection.close()
    status = (await http.get(f"/v1/documents/{receipt['id']}")).json()
    assert (status["state"], status["name"], status["searchable"]) == ("received", "house/a.txt", False)
    assert list((rig.deps.settings.work_dir).iterdir()) == []


async def test_without_a_stream_the_upload_is_kept_for_the_reconciler(rig: QueryRig, http: httpx.AsyncClient) -> None:
    response = await upload(http, b"kept", collection=collection())
    assert response.status_code == 202
    assert "starts later" in response.json()["degraded"][0]


async def test_the_same_bytes_again_are_unchanged(rig: QueryRig, http: httpx.AsyncClient) -> None:
    where = collection()
    doc = Doc("same.txt", POWER, where)
    doc_id = await rig.serve(doc)
    response = await upload(http, json.dumps(doc.chunks).encode(), "same.txt", collection=where)
    assert response.status_code == 200
    assert (response.json()["status"], response.json()["id"]) == ("unchanged", str(doc_id))


async def test_two_names_one_object(rig: QueryRig, http: httpx.AsyncClient) -> None:
    where = collection()
    content = f"twice {where}".encode()
    ids = {(await upload(http, content, name, collection=where)).json()["id"] for name in ("one.txt", "two.txt")}
    assert len(ids) == 2
    sha = hashlib.sha256(content).hexdigest()
    assert [key async for key in rig.objects.keys("raw-documents", sha[:2]) if key.endswith(sha)] == [
        f"{sha[:2]}/{sha}"
    ]


async def test_the_limit_holds_and_nothing_is_left_behind(rig: QueryRig, http: httpx.AsyncClient) -> None:
    response = await upload(http, b"x" * ((1 << 20) + 1), collection=collection())
    assert response.status_code == 413 and "1048576" in response.json()["error"]["message"]
    assert list(rig.deps.settings.work_dir.iterdir()) == []


BAD_FIELDS: list[tuple[dict[str, str], str]] = [
    ({"collection": "../x"}, "collection"),
    ({"metadata": "{"}, "JSON"),
    ({"metadata": "[1]"}, "list"),
    ({"metadata": '{"a": "\\ud800"}'}, "surrogates"),
    ({"metadata": '{"a": "\\u0000"}'}, "NUL"),
    ({"name": "a\x01b"}, "control"),
    ({"name": "x" * 2000}, "1024"),
    ({"title": "x" * 70_000}, "65536"),
]


async def test_bad_fields(http: httpx.AsyncClient, rig: QueryRig) -> None:
    for fields, says in BAD_FIELDS:
        response = await http.post("/v1/documents", data=fields, files={"file": ("b.txt", b"x")})
        assert response.status_code in (400, 413), response.text
        assert says in response.json()["error"]["message"]
    assert list(rig.deps.settings.work_dir.iterdir()) == []


async def test_bad_forms(http: httpx.AsyncClient, rig: QueryRig) -> None:
    assert (await http.post("/v1/documents", json={})).status_code == 415
    assert (await http.post("/v1/documents", data={"name": "x"}, files={"other": ("b.txt", b"x")})).status_code == 400
    head = {"Content-Type": "multipart/form-data; boundary=x"}
    for body in (b"", b"garbage", b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhalf'):
        response = await http.post("/v1/documents", content=body, headers=head)
        assert response.status_code == 400, body
    assert list(rig.deps.settings.work_dir.iterdir()) == []


async def test_documents_are_listed_in_pages(rig: QueryRig, http: httpx.AsyncClient) -> None:
    where = collection()
    ids = [str(await rig.serve(Doc(f"{n}.txt", [("A", 1, f"text {n}")], where), graph=False)) for n in range(5)]
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = (await http.get("/v1/documents", params={"collection": where, "limit": "2", **after})).json()
        seen += [document["id"] for document in page["data"]]
        if not page["has_more"]:
            break
        after = {"after": page["last_id"]}
    assert seen == ids[::-1]
    assert (await http.get("/v1/documents", params={"limit": 1000})).status_code == 400


async def test_status_tells_a_failure_and_its_warnings(rig: QueryRig, http: httpx.AsyncClient) -> None:
    doc_id = await rig.serve(Doc("power.md", POWER, collection()))
    (version,) = [row[0] for row in rig.sql("SELECT version FROM document_versions WHERE document_id = %s", doc_id)]
    async with rig.owner.unit(doc_id) as unit:
        await unit.fail(doc_id, version, code="encrypted", message="power.md is encrypted", fix="none", stage="extract")
    status = (await http.get(f"/v1/documents/{doc_id}")).json()
    assert status["state"] == "failed" and status["error"]["code"] == "encrypted"
    assert status["versions"][0]["chunks_total"] == 3


async def test_content_is_downloaded_by_a_signed_link(rig: QueryRig, http: httpx.AsyncClient) -> None:
    content = b"<script>alert(1)</script>" + uuid4().bytes
    doc_id = (await upload(http, content, 'x/evil "name".html', collection=collection())).json()["id"]
    redirect = await http.get(f"/v1/documents/{doc_id}/content")
    assert redirect.status_code == 302
    link = redirect.headers["location"]
    async with httpx.AsyncClient(base_url=rig.url) as nobody:
        response = await nobody.get(link)
        assert response.content == content
        assert response.headers["content-disposition"].startswith("attachment")
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["content-type"] == "application/octet-stream"
        for bad in (
            link[:-1] + ("0" if link[-1] != "0" else "1"),
            link.replace("expires=", "expires=9"),
            link.split("?")[0],
        ):
            assert (await nobody.get(bad)).status_code in (400, 403), bad
    # The file goes after the last byte was sent, which is when the client has it.
    async with asyncio.timeout(30):
        while list(rig.deps.settings.work_dir.iterdir()):
            await asyncio.sleep(0.05)


async def test_delete(rig: QueryRig, http: httpx.AsyncClient) -> None:
    where = collection()
    doc_id = await rig.serve(Doc("power.md", POWER, where))
    response = await http.delete(f"/v1/documents/{doc_id}")
    assert response.status_code == 202
    hits = (await http.post(f"/v1/vector_stores/{where}/search", json={"query": QUESTION})).json()["data"]
    assert hits == []
    assert (await http.get(f"/v1/documents/{doc_id}")).json()["state"] == "deleting"
    assert (await http.get(f"/v1/documents/{doc_id}/content")).status_code == 404
    assert (await http.delete(f"/v1/documents/{doc_id}")).status_code == 202
    async with rig.owner.unit(doc_id) as unit:
        dead, served = await unit.condemned(doc_id)
        assert len(dead) == 1 and not served
        await unit.remove(doc_id, [version for version, _unused in dead])
    assert (await http.get(f"/v1/documents/{doc_id}")).status_code == 404
    assert (await http.delete(f"/v1/documents/{doc_id}")).status_code == 404
    assert (await http.delete(f"/v1/documents/{UUID(int=5)}")).status_code == 404


async def test_a_dead_catalog_is_503_with_retry_after(rig: QueryRig, http: httpx.AsyncClient) -> None:
    await rig.catalog.pool.close()
    response = await http.post("/v1/vector_stores/default/search", json={"query": "x"})
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
