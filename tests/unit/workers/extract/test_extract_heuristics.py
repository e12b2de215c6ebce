# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines to labelled blocks; no PDF is involved. A page is 600 x 800 points, text is 10 points high."""

from __future__ import annotations

import pytest

from homelab_workers.adapters.docling.heuristic_pdf import (
    Block,
    Line,
    OutlineEntry,
    PdfPage,
    Word,
    layout,
    styled,
    without_running_lines,
)


def line(text: str, top: float, left: float = 100, size: float = 10, *, bold: bool = False, mono: bool = False) -> Line:
    return Line(text, left, top, left + len(text) * size / 2, top + size, size, bold=bold, mono=mono)


def page(*lines: Line, number: int = 1) -> PdfPage:
    return PdfPage(number, 600, 800, list(lines))


def labelled(pages: list[PdfPage], outline: tuple[OutlineEntry, ...] = ()) -> list[tuple[str, int, str]]:
    return [(b.label, b.level, b.text) for blocks in layout(pages, outline) for b in blocks]


BODY = [line(f"body text that goes on for a while, number {index},", 300 + 12 * index) for index in range(6)]


def test_lines_with_small_gaps_are_a_paragraph() -> None:
    text = labelled(
        [page(line("first line of words", 100), line("second line of it", 112), line("apart from it", 140))]
    )
    assert [item[2] for item in text] == ["first line of words second line of it", "apart from it"]


def test_hyphen_at_the_end_of_a_line() -> None:
    assert labelled([page(line("some mainte-", 100), line("nance of it", 112))])[0][2] == "some maintenance of it"
    assert labelled([page(line("the Anglo-", 100), line("Saxon one", 112))])[0][2] == "the Anglo- Saxon one"


def test_indent_starts_a_paragraph() -> None:
    lines = [line("first paragraph of it", 100), line("    second paragraph here", 112, left=115)]
    assert len(labelled([page(*lines)])) == 2


def test_columns_are_not_joined() -> None:
    lines = [line(f"left {index} column text", 100 + 12 * index, 50) for index in range(3)]
    lines += [line(f"right {index} column text", 100 + 12 * index, 320) for index in range(3)]
    assert [item[2].split()[0] for item in labelled([page(*lines)])] == ["left", "right"]


def test_bullet_that_stands_alone_belongs_to_the_text_beside_it() -> None:
    lines = [line("\u2022", 100, 90), line("an item of a list", 100, 110), line("and its second line", 112, 110)]
    assert labelled([page(*lines)]) == [("list_item", 1, "an item of a list and its second line")]


def test_code_keeps_lines_and_indent() -> None:
    lines = [line("if x:", 100, 100, mono=True), line("run()", 112, 120, mono=True)]
    assert labelled([page(*BODY, *lines)])[0] == ("code", 1, "if x:\n    run()")


@pytest.mark.parametrize(
    ("heading", "is_heading"),
    [
        (line("Large words", 250, size=14), True),
        (line("Slightly large", 250, size=11), False),
        (line("3.1 Numbered and bold", 250, bold=True), True),
        (line("Bold Words", 250, bold=True), True),
        (line("bold small words", 250, bold=True), False),
        (line("Contents . . . . . . . 12", 250, size=14), False),
        (line("7", 250, size=14), False),
        (line("words " * 30, 250, size=14), False),
    ],
)
def test_what_is_a_heading(heading: Line, is_heading: bool) -> None:
    first = labelled([page(heading, *BODY), page(line("Other", 250, size=16), *BODY, number=2)])[0]
    assert (first[0] == "heading") is is_heading


def test_levels_follow_numbers_then_sizes() -> None:
    pages = [
        page(line("Preface", 100, size=18), *BODY),
        page(line("1 One", 100, size=18), line("1.1 Part", 150, size=14), line("Aside", 200, size=14), *BODY, number=2),
    ]
    headings = [(level, text) for label, level, text in labelled(pages) if label == "heading"]
    assert headings == [(1, "Preface"), (1, "1 One"), (2, "1.1 Part"), (2, "Aside")]


def test_outline_wins() -> None:
    outline = (OutlineEntry("Quiet words", 3, 1),)
    assert labelled([page(line("2 quiet  WORDS", 200), *BODY)], outline)[0] == ("heading", 3, "2 quiet  WORDS")
    other_page = (OutlineEntry("Quiet words", 3, 2),)
    assert labelled([page(line("quiet words", 200), *BODY)], other_page)[0][0] == "text"


def test_title_is_the_one_largest_line_of_the_first_page() -> None:
    title = line("The Title", 100, size=24)
    assert labelled([page(title, line("Part", 150, size=14), *BODY)])[0] == ("title", 1, "The Title")
    again = page(line("Just as large", 100, size=24), *BODY, number=2)
    assert labelled([page(title, *BODY), again])[0][0] == "heading"


def test_running_lines_go_only_where_they_repeat_in_the_margins() -> None:
    pages = [
        page(
            line(f"Chapter {number}", 20),
            line("unique words" if number == 2 else "other" * number, 40),
            line("repeated body", 400),
            line(f"page {number} of 4", 780),
            number=number,
        )
        for number in range(1, 5)
    ]
    kept = [[item.text for item in page.lines] for page in without_running_lines(pages)]
    assert kept == [["other" * n if n != 2 else "unique words", "repeated body"] for n in range(1, 5)]


def test_leaders_are_shortened() -> None:
    assert labelled([page(line("Quoting . . . . . . . . . . 7", 300))])[0][2] == "Quoting \u2026 7"


def test_style_comes_from_the_words() -> None:
    plain = line("Note this is prose", 100)
    words = [Word(110, 105, 14, "/AB+Helvetica-Bold", 4), Word(150, 105, 10, "/AB+Helvetica", 12)]
    result = styled(plain, words)
    assert (result.size, result.bold, result.mono) == (10, False, False)
    assert styled(plain, words[:1]).bold
    assert styled(plain, [Word(1, 1, 9, "/XY+CMTT10", 9)]).mono
    assert styled(plain, []) == plain


def test_block_geometry() -> None:
    block = Block(1, [line("ab", 10, 50), line("abcd", 22, 40)])
    assert (block.left, block.top, block.right, block.bottom) == (40, 10, 60, 32)
