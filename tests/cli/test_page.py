"""Pages in both drawings: nothing is lost, nothing acts, narrow terminals stay readable."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleveragents.cli import plain_page, rich_page
from cleveragents.cli.outline import outline, table_of
from cleveragents.cli.page import Field, Fields, Heading, Paragraph, Source, Table

from .command_line import Screen

if TYPE_CHECKING:
    from cleveragents.cli.page import Page

PAGE: Page = (
    Heading("title"),
    Fields((Field("a label", "a value"), Field("gone", ""), Field("b", "x " * 60))),
    Heading("second"),
    Paragraph("a sentence " * 10, "warn", indent=2),
    Table(("name", "what"), (("one", "1"), ("two", "y" * 50)), ("good", "bad")),
    Table(("empty",), ()),
    Source("--- a\n+++ b\n@@ 1\n-x\n+y\n z\n", "diff"),
    Source("as it is"),
)
EVIL = "a\x1b[2Jb\rc\u202ed\n+fake"


def rich(page: Page, width: int | None = 80, *, screen: bool = False) -> str:
    stream = Screen() if screen else io.StringIO()
    rich_page.draw(page, stream, width)
    return stream.getvalue()


def evil_page() -> Page:
    return (
        Heading(EVIL),
        Paragraph(EVIL),
        Fields((Field(EVIL, EVIL),)),
        Table((EVIL,), ((EVIL,),)),
        Source(EVIL, "diff"),
    )


@pytest.mark.parametrize("width", [40, 80, None])
def test_nothing_of_a_page_is_lost(width: int | None) -> None:
    for text in (plain_page.draw(PAGE, width), rich(PAGE, width)):
        for part in ("title", "a label", "a value", "second", "two", "+y", " z", "as it is"):
            assert part in text
        assert "gone" not in text
        assert text.count("x") >= 60


@pytest.mark.parametrize("width", [40, 80])
def test_lines_fit_the_terminal(width: int) -> None:
    page = tuple(block for block in PAGE if not isinstance(block, Source))
    for text in (plain_page.draw(page, width), rich(page, width)):
        longest = max(len(line.rstrip()) for line in text.splitlines())
        # The one word of 50 letters cannot be made shorter without breaking it.
        assert longest <= max(width, 50 if width == 80 else width)


def test_a_pipe_is_not_wrapped() -> None:
    assert ("x " * 60).rstrip() in plain_page.draw(PAGE, None)


def test_a_table_that_does_not_fit_becomes_labelled_values() -> None:
    page = (Table(("name", "what"), (("one", "w" * 30), ("two", ""))),)
    assert plain_page.draw(page, 30).startswith("- name: one\n  what:")
    assert "- name: one" in rich(page, 30)
    assert "what: " not in rich((Table(("name", "what"), (("two" * 20, ""),)),), 30)


def test_labels_that_leave_no_room_stand_before_their_value() -> None:
    page = (Fields((Field("a very long label of a value", "v"),)),)
    assert plain_page.draw(page, 40) == "a very long label of a value: v\n"
    assert "a very long label of a value: v" in rich(page, 40)


@pytest.mark.parametrize("screen", [False, True])
def test_a_strangers_text_does_nothing(screen: bool) -> None:
    for text in (plain_page.draw(evil_page(), 40), rich(evil_page(), 200, screen=screen)):
        assert "\x1b[2J" not in text
        assert "\r" not in text
        assert "\u202e" not in text
        assert "\\x1b[2J" in text


def test_markup_of_rich_is_just_text() -> None:
    text = rich((Paragraph("[red]x[/red] :smile: [link=file:///]"),), screen=True)
    assert "[red]x[/red] :smile: [link=file:///]" in text


def test_colours_only_on_a_terminal() -> None:
    assert "\x1b[" not in rich(PAGE)
    assert "\x1b[" in rich(PAGE, screen=True)


def test_wide_characters_keep_columns_straight() -> None:
    text = plain_page.draw((Table(("a", "b"), (("漢字", "1"), ("xxxx", "2"))),), None)
    assert text == "a     b\n漢字  1\nxxxx  2\n"
    assert plain_page.columns_of("a\u200db") == 2


@given(st.text(st.characters(codec=None)), st.integers(20, 120))
def test_any_text_can_be_drawn(text: str, width: int) -> None:
    page: Page = (
        Heading(text),
        Paragraph(text),
        Fields((Field(text, text),)),
        Source(text, "diff"),
    )
    for drawn in (plain_page.draw(page, width), rich(page, width)):
        assert "\x1b" not in drawn


def test_an_outline_shows_data_of_any_shape() -> None:
    page = outline(
        {
            "plain_value": 1,
            "nothing": None,
            "yes": True,
            "diff": "+a\n-b\n",
            "rows": [{"a": 1, "b": {"c": 2}}, {"a": 2}],
            "mapping": {"k": ["v", "w"]},
            "list": ["x", {"y": 1}],
            "empty": [],
        }
    )
    text = plain_page.draw(page, 80)
    for part in ("plain value  1", "yes", "+a", '{"c": 2}', "v, w", "x", '{"y": 1}'):
        assert part in text
    assert "nothing" not in text
    assert "empty" not in text


def test_a_table_of_chosen_columns() -> None:
    assert table_of([{"a": 1, "b": 2}], ("b", "c")).rows == (("2", ""),)
