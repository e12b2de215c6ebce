# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sizing bench puts on a stack: a corpus goes in while others search and ask, then all of it is removed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import cycle
from pathlib import Path
from typing import Any

import docx
import httpx

from tests.corpus.corpus import Passage, build
from tests.manual import bash_manual, python_pages

MODEL = "homelab-rag"
DONE = "graphed"
LETTERS = 20
PASSAGES_OF_A_LETTER = 5
LEAST_CHATS = 40
"""The chat server keeps prompts of ended conversations until its cache is full. So many fill it where each brings long
passages; a question that nothing answers never comes to the model."""
TOPICS = """
variables, arrays, functions, aliases, job control, redirections, here documents, globbing, history, completion,
prompts, arithmetic, conditionals, loops, signals, traps, exit status, quoting, pipelines, the readline library,
startup files, POSIX mode, coprocesses, command substitution
"""


class LoadFailed(Exception):
    """The stack refused something; what was measured does not count."""


@dataclass(frozen=True)
class Load:
    """Documents by name, and what is asked meanwhile."""

    name: str
    documents: Mapping[str, bytes]
    questions: Sequence[str]


def load(name: str, folder: Path) -> Load:
    """`manual` is what floors are fitted on, `mixed` and `pages` share no document with it. Raises NoManual."""
    if name == "pages":
        documents = {f"{path.parent.name}-{path.name}": path.read_bytes() for path in python_pages(folder)}
        titles = [document.partition("-")[2].removesuffix(".html") for document in documents]
        return Load(name, documents, [f"What does the Python documentation say about {title}?" for title in titles])
    reference = bash_manual(folder)
    if name == "manual":
        questions = [f"How do {topic.strip()} work and what options are there?" for topic in TOPICS.split(",")]
        return Load(name, {reference.name: reference.read_bytes()}, questions)
    corpus = build()
    documents = dict(corpus.documents)
    documents["bash.pdf"] = reference.with_name("bash.pdf").read_bytes()
    for number in range(LETTERS):
        first = number * PASSAGES_OF_A_LETTER
        documents[f"letter-{number:02}.docx"] = letter(corpus.passages[first : first + PASSAGES_OF_A_LETTER])
    return Load(name, documents, [question.question for question in corpus.questions])


def letter(passages: Sequence[Passage]) -> bytes:
    """A DOCX with a heading and a paragraph of each."""
    document = docx.Document()
    for passage in passages:
        document.add_heading(passage.heading)
        document.add_paragraph(passage.text)
    saved = BytesIO()
    document.save(saved)
    return saved.getvalue()


class Client:
    """A user of the stack, over HTTP."""

    def __init__(self, url: str, key: str, collection: str) -> None:
        self.collection = collection
        self._http = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=300, trust_env=False
        )

    def call(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        response = self._http.request(method, path, **more)
        if response.is_error:
            raise LoadFailed(f"{method} {path}: HTTP {response.status_code} {response.text[:300]}")
        answer: dict[str, Any] = response.json() if response.content else {}
        return answer

    def upload(self, name: str, content: bytes) -> str:
        where = {"collection": self.collection, "source_id": f"{self.collection}:{name}"}
        return str(self.call("POST", "/v1/documents", files={"file": (name, content)}, data=where)["id"])

    def document(self, doc_id: str) -> dict[str, Any]:
        return self.call("GET", f"/v1/documents/{doc_id}")

    def remove(self, doc_id: str) -> None:
        self.call("DELETE", f"/v1/documents/{doc_id}")

    def gone(self, doc_id: str) -> bool:
        return self._http.get(f"/v1/documents/{doc_id}").status_code == 404

    def search(self, question: str) -> None:
        self.call("POST", f"/v1/vector_stores/{self.collection}/search", json={"query": question})

    def chat(self, question: str) -> None:
        messages = [{"role": "user", "content": question}]
        body = {"model": MODEL, "messages": messages, "metadata": {"collection": self.collection}, "max_tokens": 16}
        self.call("POST", "/v1/chat/completions", json=body)


class Repeated:
    """Asks one question after the other in a thread until it is stopped, at least `least` of them."""

    def __init__(self, ask: Callable[[str], None], questions: Sequence[str], least: int) -> None:
        self.asked = 0
        self._ask, self._questions, self._least = ask, questions, least
        self._stop = threading.Event()
        self._failed: LoadFailed | httpx.HTTPError | None = None
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            for question in cycle(self._questions):
                if self._stop.is_set() and self.asked >= self._least:
                    return
                self._ask(question)
                self.asked += 1
        except (LoadFailed, httpx.HTTPError) as error:
            self._failed = error

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """Waits for the last answer. Raises LoadFailed."""
        self._stop.set()
        self._thread.join()
        if self._failed is not None:
            raise LoadFailed(f"after {self.asked} questions: {self._failed}") from self._failed


def put_on(
    make: Callable[[str], Client], load: Load, *, seconds: float, look: Callable[[], dict[str, int]]
) -> dict[str, int]:
    """The corpus goes in twice: alone, then while it is searched and asked about. `make` is given a collection.

    What `look` sees when everything is in is part of the answer.
    """
    alone, beside = make("bench-sizing-alone"), make("bench-sizing-beside")
    ids = _sent(alone, load)
    chunks = _until_done(alone, ids, time.monotonic() + seconds)
    asking = [
        Repeated(make(alone.collection).search, load.questions, least=1),
        Repeated(make(alone.collection).chat, load.questions, least=LEAST_CHATS),
    ]
    for each in asking:
        each.start()
    try:
        second = _sent(beside, load)
        _until_done(beside, second, time.monotonic() + seconds)
    finally:
        for each in asking:
            each.finish()
    seen = look()
    _remove(alone, [*ids, *second], time.monotonic() + seconds)
    searches, chats = (each.asked for each in asking)
    return {
        "documents": len(ids),
        "bytes": sum(map(len, load.documents.values())),
        "chunks": sum(chunks),
        "chunks_of_largest": max(chunks),
        "searches": searches,
        "chats": chats,
        **seen,
    }


def _sent(client: Client, load: Load) -> list[str]:
    return [client.upload(name, content) for name, content in load.documents.items()]


def _remove(client: Client, ids: Sequence[str], deadline: float) -> None:
    for doc_id in ids:
        client.remove(doc_id)
    while not all(client.gone(doc_id) for doc_id in ids):
        if time.monotonic() > deadline:
            raise LoadFailed("documents are still being deleted: see the log of the delete service")
        time.sleep(1)


def _until_done(client: Client, ids: Sequence[str], deadline: float) -> list[int]:
    chunks = []
    for doc_id in ids:
        while (document := client.document(doc_id))["state"] != DONE:
            if document["state"] == "failed":
                raise LoadFailed(f"{document['name']}: {document['error']}")
            if time.monotonic() > deadline:
                raise LoadFailed(f"document {doc_id} is still {document['state']}: give more --seconds")
            time.sleep(0.5)
        chunks.append(int(document["chunks_total"]))
    return chunks
