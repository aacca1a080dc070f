"""A stranger's text does nothing to a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleveragents.cli.neutral import neutralise

HOSTILE = [
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x9b31m",
    "a\rb",
    "a\x08b",
    "\u202eevil",
    "\u2066x\u2069",
    "\u200b",
    "\ufeff",
    "\u2028",
    "\U000e0041",
    "\udc80",
    "\x7f",
    "\x00",
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("lines", [False, True])
def test_spells_out_what_a_terminal_acts_on(text: str, lines: bool) -> None:
    shown = neutralise(text, lines=lines)
    assert shown.isprintable()
    assert "\\" in shown


@pytest.mark.parametrize(
    "text", ["plain", "äöü", "漢字", "a\u00a0b", "नमस्ते", "👩\u200d💻", "a\u3000b"]
)
def test_still_shows_what_people_write(text: str) -> None:
    assert neutralise(text) == text


def test_one_value_cannot_pretend_to_be_two_lines() -> None:
    assert neutralise("ok\nagents: approved") == "ok\\nagents: approved"
    assert neutralise("a\n\tb\r", lines=True) == "a\n\tb\\r"


@given(st.text(st.characters(codec=None)))
def test_no_control_or_format_character_is_left(text: str) -> None:
    shown = neutralise(text)
    kinds = {unicodedata.category(c) for c in shown} - {"Zs"}
    assert not kinds & {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert {c for c in shown if unicodedata.category(c) == "Cf"} <= {"\u200c", "\u200d"}
    assert neutralise(shown) == shown
