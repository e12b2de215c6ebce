# SPDX-License-Identifier: GPL-3.0-or-later
"""A small collection of documents with exact gold, made anew from one seed.

    python tests/corpus/corpus.py FOLDER [--seed N]     writes documents/ and gold.json

Three kinds of passage and question:

- paraphrase (facts.yml): question and passage share no content word; only the vector leg can connect them.
- code (codes.yml): families of near-identical passages that differ in one code; only the lexical leg can pick the one.
- unanswerable: `topic` (unanswerable.yml) and `unknown_code` (codes of the families that no document holds).

Every kind is split into a `fit` and a `test` half with different questions and different gold documents: what is fitted
(the score floor) is fitted on one and judged on the other. Documents are Markdown, HTML and one PDF per half, whose
gold also has a page. About 200 passages of 40 words, so that one thread embeds them in less than a minute.
"""

from __future__ import annotations

import argparse
import html
import json
import random
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

HERE = Path(__file__).parent
SEED = 20261125
FAMILY_SIZE = 20
CODE_QUESTIONS_PER_FAMILY_AND_HALF = 5
UNKNOWN_CODES_PER_FAMILY_AND_HALF = 1
PDF_PAGES = 8
HTML_PER_HALF = 10

Kind = Literal["paraphrase", "code", "topic", "unknown_code"]
Half = Literal["fit", "test"]
HALVES: tuple[Half, Half] = ("fit", "test")
ANSWERABLE: tuple[Kind, ...] = ("paraphrase", "code")


@dataclass(frozen=True)
class Question:
    """`document`, `heading` and `fact` are None where nothing answers; `page` is None outside the PDFs."""

    id: str
    kind: Kind
    half: Half
    question: str
    document: str | None = None
    heading: str | None = None
    page: int | None = None
    fact: str | None = None


@dataclass(frozen=True)
class Passage:
    """One section of one document: what becomes one chunk."""

    document: str
    heading: str
    text: str


@dataclass(frozen=True)
class Corpus:
    documents: dict[str, bytes]
    passages: list[Passage]
    questions: list[Question]

    def write(self, folder: Path) -> None:
        (folder / "documents").mkdir(parents=True, exist_ok=True)
        for name, content in self.documents.items():
            (folder / "documents" / name).write_bytes(content)
        gold = [asdict(question) for question in self.questions]
        (folder / "gold.json").write_text(json.dumps(gold, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def build(seed: int = SEED) -> Corpus:
    """The same seed gives the same bytes."""
    rng = random.Random(seed)
    corpus = Corpus({}, [], [])
    _paraphrases(corpus, rng)
    _codes(corpus, rng)
    topics = _load("unanswerable.yml")
    rng.shuffle(topics)
    for number, topic in enumerate(topics):
        corpus.questions.append(Question(f"topic-{number}", "topic", HALVES[number % 2], topic))
    return corpus


def _load(name: str) -> list[Any]:
    loaded: list[Any] = yaml.safe_load((HERE / name).read_text(encoding="utf-8"))
    return loaded


def _paraphrases(corpus: Corpus, rng: random.Random) -> None:
    facts = _load("facts.yml")
    rng.shuffle(facts)
    middle = len(facts) // 2
    for half, mine in zip(HALVES, (facts[:middle], facts[middle:]), strict=True):
        pages = []
        for number, fact in enumerate(mine):
            heading, text = fact["heading"], " ".join(fact["text"].split())
            name, page = f"{_slug(heading)}.md", None
            if number < PDF_PAGES:
                name, page = f"house-book-{half}.pdf", number + 1
                pages.append((heading, text))
            elif number < PDF_PAGES + HTML_PER_HALF:
                name = f"{_slug(heading)}.html"
                corpus.documents[name] = _html(heading, text)
            else:
                corpus.documents[name] = _markdown(heading, text)
            corpus.passages.append(Passage(name, heading, text))
            corpus.questions.append(
                Question(
                    f"paraphrase-{_slug(heading)}",
                    "paraphrase",
                    half,
                    fact["question"],
                    name,
                    heading,
                    page,
                    fact["fact"],
                )
            )
        corpus.documents[f"house-book-{half}.pdf"] = pdf(pages)


def _codes(corpus: Corpus, rng: random.Random) -> None:
    wanted = {half: (CODE_QUESTIONS_PER_FAMILY_AND_HALF, UNKNOWN_CODES_PER_FAMILY_AND_HALF) for half in HALVES}
    for family in _load("codes.yml"):
        spare = sum(unknown for _unused, unknown in wanted.values())
        codes = _distinct_codes(family, FAMILY_SIZE + spare, rng)
        held, unknown = codes[:FAMILY_SIZE], codes[FAMILY_SIZE:]
        values = rng.sample(range(11, 99), FAMILY_SIZE)
        gold: list[tuple[str, str, str]] = []
        for code, value in zip(held, values, strict=True):
            text = " ".join(family["text"].format(code=code, value=value).split())
            # The name tells nothing: it must not be what finds the passage.
            name = f"{_slug(family['heading'])}-{len(gold) + 1:02}.md"
            corpus.documents[name] = _markdown(family["heading"], text)
            corpus.passages.append(Passage(name, family["heading"], text))
            gold.append((code, name, family["value"].format(n=value)))
        rng.shuffle(gold)
        for half, (asked, missing) in wanted.items():
            for number in range(asked):
                code, name, fact = gold.pop()
                wording = family["questions"][number % len(family["questions"])]
                corpus.questions.append(
                    Question(
                        f"code-{name}", "code", half, wording.format(code=code), name, family["heading"], None, fact
                    )
                )
            for _unused in range(missing):
                code = unknown.pop()
                wording = family["questions"][0].format(code=code)
                corpus.questions.append(Question(f"unknown-{code}", "unknown_code", half, wording))


def _distinct_codes(family: dict[str, Any], count: int, rng: random.Random) -> list[str]:
    codes: dict[str, None] = {}
    while len(codes) < count:
        code = "".join(
            rng.choice(family["digits"]) if c == "d" else rng.choice(family["letters"]) if c == "L" else c
            for c in family["code"]
        )
        codes[code] = None
    return list(codes)


def _slug(words: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def _markdown(heading: str, text: str) -> bytes:
    return f"# {heading}\n\n{text}\n".encode()


def _html(heading: str, text: str) -> bytes:
    title, body = html.escape(heading), html.escape(text)
    page = f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>\n'
    return f"{page}<body><h1>{title}</h1>\n<p>{body}</p></body></html>\n".encode()


def pdf(pages: list[tuple[str, str]]) -> bytes:
    """One heading and one paragraph per A4 page, in Helvetica with WinAnsi encoding (ISO 32000-1, annex D)."""
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        font,
    ]
    for number, (heading, text) in enumerate(pages):
        lines = [f"BT /F1 18 Tf 72 760 Td ({_escaped(heading)}) Tj ET"]
        for row, line in enumerate(_wrapped(text, 80)):
            lines.append(f"BT /F1 11 Tf 72 {730 - 15 * row} Td ({_escaped(line)}) Tj ET")
        stream = "\n".join(lines).encode("cp1252")
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {5 + 2 * number} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>".encode()
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
    out, offsets = bytearray(b"%PDF-1.4\n"), []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def _escaped(text: str) -> str:
    return re.sub(r"([\\()])", r"\\\1", text)


def _wrapped(text: str, width: int) -> list[str]:
    lines, current = [], ""
    for word in text.split():
        if current and len(current) + 1 + len(word) > width:
            lines.append(current)
            current = word
        else:
            current = f"{current} {word}".strip()
    return [*lines, current]


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the retrieval corpus and its gold.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    corpus = build(arguments.seed)
    corpus.write(arguments.folder)
    print(f"{len(corpus.documents)} documents, {len(corpus.passages)} passages, {len(corpus.questions)} questions")


if __name__ == "__main__":
    main()
