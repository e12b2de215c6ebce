# SPDX-License-Identifier: Apache-2.0
"""One document in the child: sniff, check, parse, write the three files."""

from __future__ import annotations

import logging
import re
from io import BytesIO
from pathlib import Path

from docling.backend.abstract_backend import AbstractDocumentBackend, DeclarativeDocumentBackend
from docling.backend.csv_backend import CsvDocumentBackend
from docling.backend.email_backend import EmailDocumentBackend
from docling.backend.html_backend import HTMLDocumentBackend
from docling.backend.md_backend import MarkdownDocumentBackend
from docling.backend.msexcel_backend import MsExcelDocumentBackend
from docling.backend.mspowerpoint_backend import MsPowerpointDocumentBackend
from docling.backend.msword_backend import MsWordDocumentBackend
from docling.datamodel.backend_options import BackendOptions, HTMLBackendOptions
from docling.datamodel.base_models import InputFormat
from docling.datamodel.document import InputDocument
from docling_core.types.doc import DocItemLabel, DoclingDocument

from ...contracts import Structure, Warned
from ...errors import Rejected
from .engine import engine
from .pdf import convert_pdf
from .protocol import FILES, Job
from .sniff import Kind, Sniffed, of_name, sniff
from .structure import scrub, structure_of
from .text import clean

_BACKENDS: dict[Kind, tuple[InputFormat, type[AbstractDocumentBackend], str]] = {
    Kind.DOCX: (InputFormat.DOCX, MsWordDocumentBackend, ".docx"),
    Kind.PPTX: (InputFormat.PPTX, MsPowerpointDocumentBackend, ".pptx"),
    Kind.XLSX: (InputFormat.XLSX, MsExcelDocumentBackend, ".xlsx"),
    Kind.HTML: (InputFormat.HTML, HTMLDocumentBackend, ".html"),
    Kind.MARKDOWN: (InputFormat.MD, MarkdownDocumentBackend, ".md"),
    Kind.CSV: (InputFormat.CSV, CsvDocumentBackend, ".csv"),
    Kind.EML: (InputFormat.EMAIL, EmailDocumentBackend, ".eml"),
}
_OPTIONS: dict[Kind, BackendOptions] = {
    # Text in front of the first heading is text, not page furniture.
    Kind.HTML: HTMLBackendOptions(kind="html", infer_furniture=False, add_title=True),
}
_PARAGRAPHS = re.compile(r"\n[ \t]*\n\s*")

_log = logging.getLogger(__name__)


def convert(job: Job) -> None:
    """Writes FILES into `job.folder`. Raises Rejected, MemoryError."""
    source, folder = Path(job.source), Path(job.folder)
    _check_size(source, job)
    warnings: list[Warned] = []
    if source.stat().st_size == 0:
        kind, document = of_name(job.name, job.mime_type), DoclingDocument(name=job.name)
    else:
        sniffed = sniff(source, job.name, job.mime_type)
        kind = sniffed.kind
        if sniffed.mismatch:
            warnings.append(Warned(code="extension_mismatch", message=sniffed.mismatch))
        document = _parse(source, sniffed, job, warnings)
    structure = structure_of(document, mime_type=kind.value, engine=engine(), warnings=warnings)
    _warn_if_empty(structure, kind, job.name)
    _write(document, structure, folder)


def _check_size(source: Path, job: Job) -> None:
    size = source.stat().st_size
    if size > job.max_bytes:
        raise Rejected(
            "too_large",
            f"{job.name}: it has {size} bytes, allowed are {job.max_bytes}.",
            "split the document, or raise the extractor's max_bytes",
        )


def _parse(source: Path, sniffed: Sniffed, job: Job, warnings: list[Warned]) -> DoclingDocument:
    try:
        if sniffed.kind is Kind.PDF:
            document, found = convert_pdf(source, job.name, max_pages=job.max_pages, page_slice=job.page_slice)
            warnings.extend(found)
        else:
            document = _parse_other(source, sniffed, job)
    except (Rejected, MemoryError):
        raise
    except Exception as error:
        # Parsers raise anything on malformed input; whatever it is, the same bytes will raise it again.
        _log.exception("%s", job.name)
        raise Rejected(
            "damaged",
            f"{job.name}: it cannot be read as {sniffed.kind.value}: {type(error).__name__}: {str(error)[:300]}.",
            "open the document in its own program, save it again and ingest that",
        ) from error
    replaced = scrub(document)
    if replaced or (sniffed.text is not None and clean(sniffed.text) != sniffed.text):
        warnings.append(
            Warned(
                code="replaced_characters",
                message=f"{job.name}: NUL or lone surrogate characters were replaced by U+FFFD",
            )
        )
    return document


def _parse_other(source: Path, sniffed: Sniffed, job: Job) -> DoclingDocument:
    if sniffed.kind is Kind.TEXT:
        assert sniffed.text is not None
        return _plain(clean(sniffed.text), job.name)
    input_format, backend, suffix = _BACKENDS[sniffed.kind]
    if sniffed.text is None or sniffed.kind is Kind.EML:
        # A mail names the encodings of its parts itself.
        data = source.read_bytes()
    else:
        # The byte order mark keeps the parser from believing a charset that the text was in before.
        data = clean(sniffed.text).lstrip("\ufeff").encode("utf-8-sig" if sniffed.kind is Kind.HTML else "utf-8")
    document = InputDocument(
        path_or_stream=BytesIO(data),
        format=input_format,
        backend=backend,
        backend_options=_OPTIONS.get(sniffed.kind),
        filename=(Path(job.name).stem or "document") + suffix,
    )
    if not document.valid:
        rejection = document._rejection
        raise ValueError(rejection.message if rejection is not None else "docling refuses it")
    if document.page_count > job.max_pages:
        raise Rejected(
            "too_many_pages",
            f"{job.name}: it has {document.page_count} slides or sheets, allowed are {job.max_pages}.",
            "split the document, or raise the extractor's max_pages",
        )
    parser = document._backend
    assert isinstance(parser, DeclarativeDocumentBackend)
    try:
        return parser.convert()
    finally:
        parser.unload()


def _plain(text: str, name: str) -> DoclingDocument:
    document = DoclingDocument(name=Path(name).stem or name)
    normal = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    for paragraph in _PARAGRAPHS.split(normal):
        if paragraph.strip():
            document.add_text(DocItemLabel.TEXT, paragraph.strip("\n"))
    return document


def _warn_if_empty(structure: Structure, kind: Kind, name: str) -> None:
    if any(section.blocks for section in structure.sections):
        return
    if kind is Kind.PDF and structure.pages:
        structure.warnings.append(
            Warned(
                code="no_text_layer",
                message=f"{name}: its {structure.pages} pages hold no text, only pictures or nothing. "
                "Fix: run OCR on it (for example `ocrmypdf in.pdf out.pdf`) and ingest the result",
            )
        )
    elif not any(section.heading for section in structure.sections):
        structure.warnings.append(Warned(code="empty", message=f"{name}: the document holds no text"))


def _write(document: DoclingDocument, structure: Structure, folder: Path) -> None:
    contents = (
        document.model_dump_json(by_alias=True, exclude_none=True),
        clean(document.export_to_markdown(image_placeholder="")),
        structure.model_dump_json(),
    )
    for name, content in zip(FILES, contents, strict=True):
        (folder / name).write_text(content, encoding="utf-8")
