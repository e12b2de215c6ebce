# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the two binary sample documents, byte for byte the same each time.

    pip install reportlab python-docx
    python demo/make_documents.py [FOLDER]     (default: demo/documents)

The other four samples are plain text and are edited by hand. Everything in them is invented: one
home lab in a house called Lindenweg 7, told so that the documents agree with each other.
"""

from __future__ import annotations

import datetime
import io
import sys
import zipfile
from pathlib import Path

import docx
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    NextPageTemplate,
    PageBreak,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)

# ZIP cannot say anything earlier; what matters is that it never changes.
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
WRITTEN = datetime.datetime(2026, 9, 1, 8, 0, tzinfo=datetime.UTC)

BODY = ParagraphStyle("body", fontName="Helvetica", fontSize=10.5, leading=14, spaceAfter=8)
TITLE = ParagraphStyle("title", fontName="Helvetica-Bold", fontSize=20, leading=26, spaceAfter=12)
HEADING = ParagraphStyle("heading", fontName="Helvetica-Bold", fontSize=14, leading=18, spaceBefore=10, spaceAfter=6)


def table(rows: list[list[str]], widths: list[float]) -> Table:
    grid = Table(rows, colWidths=[w * mm for w in widths], hAlign="LEFT")
    grid.setStyle(
        TableStyle(
            [
                ("FONT", (0, 0), (-1, 0), "Helvetica-Bold", 10),
                ("FONT", (0, 1), (-1, -1), "Helvetica", 10),
                ("GRID", (0, 0), (-1, -1), 0.5, colors.grey),
                ("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke),
            ]
        )
    )
    return grid


def handbook_story() -> list[Flowable]:
    def text(*paragraphs: str) -> list[Flowable]:
        return [Paragraph(p, BODY) for p in paragraphs]

    def heading(words: str) -> Flowable:
        return Paragraph(words, HEADING)

    return [
        # page 1
        Paragraph("Handbook of the Lindenweg lab", TITLE),
        heading("Overview"),
        *text(
            "The lab lives in a ventilated cupboard under the stairs of Lindenweg 7. It consists of a desktop, a "
            "small accelerator board, a home automation box and a backup server. Together they draw 148 watts when "
            "nobody uses them.",
            "Mara Vogel looks after the machines, Jonas Vogel after the sensors. Whoever changes something writes it "
            "into this handbook on the same day.",
        ),
        heading("Machines"),
        *text("Every machine is named after a tree. The names are also their host names in the house network."),
        table(
            [
                ["Name", "What it is", "Memory", "Task"],
                ["alder", "desktop, 8 cores", "32 GB", "databases, documents, search"],
                ["birch", "accelerator board", "32 GB", "language model"],
                ["cedar", "home automation box", "4 GB", "sensors, heating, alarms"],
                ["hazel", "backup server", "8 GB", "copies of everything"],
            ],
            [22, 45, 22, 62],
        ),
        PageBreak(),
        # page 2
        heading("Power"),
        *text(
            "All four machines hang on one battery supply, a 900 VA model on the cupboard floor. The UPS holds the "
            "desktop for 11 minutes at full load. The smaller boxes alone would last for more than an hour.",
            "When the battery falls to 35 percent, alder begins to shut down by itself; birch follows one minute "
            "later. The automation box stays on until the battery is empty, because the smoke alarms report to it.",
        ),
        table(
            [
                ["Order", "Machine", "Goes off at", "Returns after"],
                ["1", "alder", "35 percent", "4 minutes"],
                ["2", "birch", "34 percent", "6 minutes"],
                ["3", "hazel", "20 percent", "8 minutes"],
                ["4", "cedar", "empty", "at once"],
            ],
            [18, 32, 38, 38],
        ),
        heading("After an outage"),
        *text(
            "Machines return by themselves in the order of the table. If alder does not come back, press the yellow "
            "button on the cupboard wall: it sends the wake-up packet from cedar.",
            "The supply's battery was changed in May 2025 and is due again in May 2029.",
        ),
        NextPageTemplate("columns"),
        PageBreak(),
        # page 3, two columns
        heading("Network"),
        *text(
            "The house has one router in the hall and one switch in the cupboard. Three virtual networks keep things "
            "apart: number 10 for people's own devices, number 20 for sensors and number 30 for guests.",
            "Sensors cannot reach the internet. Only cedar may talk to them, and only on the ports in the file "
            "inventory.csv.",
            "The guest network's password is changed on the first Monday of each month and hangs on the refrigerator.",
        ),
        heading("Names and addresses"),
        *text(
            "The router answers names that end in lindenweg.internal. Fixed addresses are given by the router, never "
            "set on the machine itself.",
            "The backup server has no name in the guest network on purpose.",
        ),
        heading("Remote access"),
        *text(
            "From outside, the lab is reached through a private tunnel only; no port of the router is open. A lost "
            "telephone is removed from the tunnel's member list within the day.",
            "The tunnel's keys expire after 90 days. Mara renews them on the last Sunday of the quarter.",
            "Visitors who repair something get a key that lives for 6 hours.",
        ),
        NextPageTemplate("plain"),
        PageBreak(),
        # page 4
        heading("Backups"),
        *text(
            "Each night at 02:40 hazel fetches a copy of the databases and of the document store. It keeps 14 daily, "
            "8 weekly and 6 monthly copies. Photographs also go to a disk that lies at Jonas's office.",
            "The copies are encrypted. The passphrase is in a sealed envelope in the kitchen safe, and nowhere else.",
        ),
        heading("Restore drill"),
        *text(
            "Once a quarter we restore one database to a spare machine and compare it. The drill of June 2026 took "
            "37 minutes and found one missing folder, the scanner's inbox, which has been included since.",
        ),
        Spacer(1, 4 * mm),
    ]


def footer(canvas, document) -> None:  # type: ignore[no-untyped-def]  # reportlab ships no types
    canvas.setFont("Helvetica", 8)
    canvas.drawCentredString(A4[0] / 2, 10 * mm, f"Lindenweg lab handbook, page {document.page}")


def handbook_pdf() -> bytes:
    """Four pages; the third has two columns."""
    buffer = io.BytesIO()
    width, height = A4
    margin, gap = 22 * mm, 8 * mm
    inner = width - 2 * margin
    column = (inner - gap) / 2
    tall = height - 2 * margin
    document = BaseDocTemplate(
        buffer, pagesize=A4, title="Handbook of the Lindenweg lab", author="Mara Vogel", invariant=1
    )
    document.addPageTemplates(
        [
            PageTemplate("plain", [Frame(margin, margin, inner, tall)], onPage=footer),
            PageTemplate(
                "columns",
                [
                    # Short columns, so that the text really runs over into the second one.
                    Frame(margin, height - margin - 95 * mm, column, 95 * mm),
                    Frame(margin + column + gap, height - margin - 95 * mm, column, 95 * mm),
                ],
                onPage=footer,
            ),
        ]
    )
    document.build(handbook_story())
    # A NUL in the comment of the first line, where programs look when they ask whether a file is text.
    return buffer.getvalue().replace(b"\x9e ReportLab", b"\x9e\0ReportLab", 1)


def purchases_docx() -> bytes:
    """Headings, paragraphs and one table."""
    document = docx.Document()
    document.core_properties.author = "Mara Vogel"
    document.core_properties.title = "Purchases and warranties"
    for name in ("created", "modified"):
        # python-docx wants naive times and writes them as UTC.
        setattr(document.core_properties, name, WRITTEN.replace(tzinfo=None))

    document.add_heading("Purchases and warranties", level=0)
    document.add_paragraph(
        "What was bought for the lab in Lindenweg 7, from whom, and for how long the seller is liable."
    )
    document.add_heading("Desktop", level=1)
    document.add_paragraph(
        "The desktop alder was bought on 14 March 2025 from Rotdorn Systems for 1,840 euros. Its warranty ends on "
        "14 March 2028. A failed memory module was replaced free of charge in November 2025."
    )
    document.add_heading("Battery supply", level=1)
    document.add_paragraph(
        "The battery supply came second-hand from a dentist's surgery for 60 euros. There is no warranty; a new set of "
        "cells costs 74 euros at Kastanie Electronics."
    )
    document.add_heading("Price list", level=1)
    rows = [
        ("Machine", "Seller", "Price", "Warranty ends"),
        ("alder", "Rotdorn Systems", "1,840 euros", "14 March 2028"),
        ("birch", "Ulme Components", "1,120 euros", "2 December 2026"),
        ("cedar", "Kastanie Electronics", "179 euros", "30 June 2027"),
        ("hazel", "Ulme Components", "410 euros", "19 January 2029"),
    ]
    grid = document.add_table(rows=0, cols=len(rows[0]), style="Table Grid")
    for row in rows:
        for cell, value in zip(grid.add_row().cells, row, strict=True):
            cell.text = value
    document.add_heading("Returns", level=1)
    document.add_paragraph(
        "Ulme Components takes parts back within 45 days if the blue seal is unbroken. Rotdorn Systems wants a "
        "telephone call first; the customer number is 20-7781."
    )
    buffer = io.BytesIO()
    document.save(buffer)
    return with_fixed_times(buffer.getvalue())


def with_fixed_times(archive: bytes) -> bytes:
    """The same ZIP with one constant time stamp on every member."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as source, zipfile.ZipFile(out, "w") as target:
        for member in source.infolist():
            info = zipfile.ZipInfo(member.filename, ZIP_EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o600 << 16
            target.writestr(info, source.read(member))
    return out.getvalue()


DOCUMENTS = {"handbook.pdf": handbook_pdf, "purchases.docx": purchases_docx}


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "documents"
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in DOCUMENTS.items():
        data = make()
        (folder / name).write_bytes(data)
        print(f"{folder / name}: {len(data)} bytes")


if __name__ == "__main__":
    main()
