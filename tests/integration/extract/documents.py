# SPDX-License-Identifier: GPL-3.0-or-later
"""Small documents, written by hand or with the libraries that docling brings."""

from __future__ import annotations

import hashlib
import random
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from io import BytesIO
from pathlib import Path

import docx
import openpyxl
import pptx

PAGE = (612, 792)
FONTS = {"regular": "Helvetica", "bold": "Helvetica-Bold", "mono": "Courier"}


@dataclass(frozen=True)
class Run:
    """Text with its baseline's start in points from the lower left corner."""

    text: str
    x: float
    y: float
    size: float = 10
    font: str = "regular"


# ---------------------------------------------------------------- PDF


def pdf(
    pages: Sequence[Sequence[Run]],
    *,
    outline: Sequence[tuple[str, int]] = (),
    user_password: str | None = None,
    image: bool = False,
) -> bytes:
    """A PDF 1.4. `outline` holds (title, page); with `user_password` (may be empty) it is encrypted, RC4 40 bit."""
    font_ids = {name: 3 + index for index, name in enumerate(FONTS)}
    first = 3 + len(FONTS)
    objects: dict[int, bytes] = {}
    for name, number in font_ids.items():
        objects[number] = f"<< /Type /Font /Subtype /Type1 /BaseFont /{FONTS[name]} >>".encode()
    page_ids = [first + 2 * index for index in range(len(pages))]
    resources = " ".join(f"/{name} {number} 0 R" for name, number in font_ids.items())
    image_id = first + 2 * len(pages)
    if image:
        objects[image_id] = _stream(
            b"\x80", "/Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray /BitsPerComponent 8"
        )
    for number, runs in zip(page_ids, pages, strict=True):
        xobject = f"/XObject << /Im {image_id} 0 R >>" if image else ""
        objects[number] = (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {PAGE[0]} {PAGE[1]}] /Contents {number + 1} 0 R "
            f"/Resources << /Font << {resources} >> {xobject} >> >>"
        ).encode()
        content = b"".join(_show(run) for run in runs)
        if image:
            content += b"q 400 0 0 400 100 200 cm /Im Do Q\n"
        objects[number + 1] = _stream(content)
    outline_id = image_id + 1
    catalog = "<< /Type /Catalog /Pages 2 0 R"
    if outline:
        catalog += f" /Outlines {outline_id} 0 R"
        objects |= _outline(outline, outline_id, page_ids)
    objects[1] = f"{catalog} >>".encode()
    kids = " ".join(f"{number} 0 R" for number in page_ids)
    objects[2] = f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode()
    return _file(objects, user_password)


def _show(run: Run) -> bytes:
    text = run.text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
    return f"BT /{run.font} {run.size} Tf {run.x} {run.y} Td ({text}) Tj ET\n".encode("latin-1")


def _stream(data: bytes, extra: str = "") -> bytes:
    return f"<< {extra} /Length {len(data)} >>\nstream\n".encode() + data + b"\nendstream"


def _outline(entries: Sequence[tuple[str, int]], root: int, page_ids: Sequence[int]) -> dict[int, bytes]:
    numbers = [root + 1 + index for index in range(len(entries))]
    objects = {
        root: f"<< /Type /Outlines /First {numbers[0]} 0 R /Last {numbers[-1]} 0 R /Count {len(entries)} >>".encode()
    }
    for index, (title, page) in enumerate(entries):
        siblings = f" /Prev {numbers[index - 1]} 0 R" if index else ""
        if index + 1 < len(entries):
            siblings += f" /Next {numbers[index + 1]} 0 R"
        target = f"[{page_ids[page - 1]} 0 R /Fit]"
        objects[numbers[index]] = f"<< /Title ({title}) /Parent {root} 0 R{siblings} /Dest {target} >>".encode()
    return objects


def _file(objects: dict[int, bytes], user_password: str | None) -> bytes:
    identity = hashlib.md5(b"homelab").digest()
    trailer_extra, key = "", None
    if user_password is not None:
        key, entry = _encryption(user_password, "owner", identity)
        number = max(objects) + 1
        objects[number] = entry
        trailer_extra = f" /Encrypt {number} 0 R /ID [<{identity.hex()}> <{identity.hex()}>]"
    output = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = {}
    for number in sorted(objects):
        body = objects[number]
        if key is not None and b"\nstream\n" in body:
            head, data = body.split(b"\nstream\n", 1)
            data = data.removesuffix(b"\nendstream")
            body = head + b"\nstream\n" + _rc4(_object_key(key, number), data) + b"\nendstream"
        offsets[number] = len(output)
        output += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    start, size = len(output), max(objects) + 1
    output += f"xref\n0 {size}\n0000000000 65535 f \n".encode()
    for number in range(1, size):
        output += f"{offsets[number]:010} 00000 n \n".encode() if number in offsets else b"0000000000 65535 f \n"
    output += f"trailer\n<< /Size {size} /Root 1 0 R{trailer_extra} >>\nstartxref\n{start}\n%%EOF\n".encode()
    return bytes(output)


_PADDING = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")


def _encryption(user: str, owner: str, identity: bytes) -> tuple[bytes, bytes]:
    """Standard security handler, revision 2 (ISO 32000 7.6.3)."""
    padded_user = (user.encode() + _PADDING)[:32]
    padded_owner = (owner.encode() + _PADDING)[:32]
    owner_value = _rc4(hashlib.md5(padded_owner).digest()[:5], padded_user)
    permissions = -64
    seed = padded_user + owner_value + permissions.to_bytes(4, "little", signed=True) + identity
    key = hashlib.md5(seed).digest()[:5]
    entry = (
        f"<< /Filter /Standard /V 1 /R 2 /O <{owner_value.hex()}> /U <{_rc4(key, _PADDING).hex()}> /P {permissions} >>"
    )
    return key, entry.encode()


def _object_key(key: bytes, number: int) -> bytes:
    return hashlib.md5(key + number.to_bytes(3, "little") + b"\x00\x00").digest()[:10]


def _rc4(key: bytes, data: bytes) -> bytes:
    state, j = list(range(256)), 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    i = j = 0
    output = bytearray()
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        output.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(output)


def manual_pages(count: int) -> list[list[Run]]:
    """Pages with a running header, a numbered heading, two paragraphs, a list and code; page 1 has a title."""
    pages = []
    for number in range(1, count + 1):
        runs = [
            Run("Handbook of Pumps", 72, 760, 8),
            Run(str(number), 300, 30, 8),
            Run(f"{number} Valve {number}", 72, 650, 14, "bold"),
            Run(f"Paragraph one of page {number} tells how the valve is main-", 72, 620),
            Run("tained every year by the crew.", 72, 608),
            Run(f"Paragraph two of page {number} is another matter.", 72, 570),
            Run("1. open the lid", 90, 540),
            Run("2. close the lid", 90, 520),
            Run(f"valvectl --check {number}", 90, 490, 10, "mono"),
            Run(f"  --verbose {number}", 90, 478, 10, "mono"),
        ]
        if number == 1:
            runs.append(Run("The Pump Handbook", 150, 700, 24, "bold"))
        pages.append(runs)
    return pages


def two_columns() -> list[Run]:
    left = [Run(f"Left column line {index} goes on and on and on", 72, 640 - 12 * index) for index in range(10)]
    right = [Run(f"Right column line {index} goes on and on and on", 320, 640 - 12 * index) for index in range(10)]
    return [run for pair in zip(left, right, strict=True) for run in pair]


# ---------------------------------------------------------------- office


def docx_bytes() -> bytes:
    document = docx.Document()
    document.add_heading("Boiler report", 0)
    document.add_paragraph("What was found.")
    document.add_heading("Findings", 1)
    paragraph = document.add_paragraph("The gasket is ")
    paragraph.add_run("worn").bold = True
    paragraph.add_run(", replace it.")
    document.add_paragraph("order a gasket", style="List Bullet")
    document.add_heading("Costs", 2)
    table = document.add_table(2, 2)
    for row, texts in enumerate((("part", "price"), ("gasket", "12.50"))):
        for column, text in enumerate(texts):
            table.cell(row, column).text = text
    return _saved(document)


def pptx_bytes() -> bytes:
    presentation = pptx.Presentation()
    for number in (1, 2):
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = f"Slide {number}"
        slide.placeholders[1].text = f"point {number}"
    return _saved(presentation)


def xlsx_bytes() -> bytes:
    workbook = openpyxl.Workbook()
    workbook.active.title = "Stock"
    workbook.active.append(["part", "count"])
    workbook.active.append(["bolt", 30])
    orders = workbook.create_sheet("Orders")
    orders.append(["order", "part"])
    orders.append([7, "nut"])
    return _saved(workbook)


def _saved(document: object) -> bytes:
    buffer = BytesIO()
    document.save(buffer)  # type: ignore[attr-defined]  # three libraries, one method
    return buffer.getvalue()


def zip_bytes(members: dict[str, bytes]) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def bomb_docx() -> bytes:
    """Some 50 KB that unpack to 50 MB of XML."""
    body = b"<w:p><w:r><w:t>" + b"A" * 50_000_000 + b"</w:t></w:r></w:p>"
    members = {"[Content_Types].xml": b"<Types/>", "word/document.xml": body}
    return zip_bytes(members)


# ---------------------------------------------------------------- text


MARKDOWN = """Before all.

# Guide

Use `foo`, **bold** and *slanted* text.

## Install `x` now

- one
- two

| key | value |
|-----|-------|
| a   | 1     |

```sh
ls -l
```
"""

HTML = """<!doctype html><html><head><title>Page</title></head><body><p>Before.</p><h1>Main</h1>
<p>Hello <b>bold</b>, world.</p><h2>Sub</h2><ul><li>first</li></ul>
<table><tr><th>k</th><th>v</th></tr><tr><td>a</td><td>1</td></tr></table></body></html>"""

CSV = 'name,count\nbolt,3\nnut,"4,5"\n'


def eml_bytes() -> bytes:
    message = EmailMessage()
    message["From"] = "Ada <ada@example.org>"
    message["To"] = "bob@example.org"
    message["Subject"] = "Pump order"
    message["Date"] = "Mon, 01 Jan 2024 10:00:00 +0000"
    message.set_content("First paragraph.\n\nSecond paragraph.\n")
    return message.as_bytes()


def noise(size: int = 20_000) -> bytes:
    return random.Random(7).randbytes(size)


def write(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path
