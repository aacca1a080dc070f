"""``--format yaml`` reads back to the value that was written."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from cleveragents.cli.yaml_text import to_yaml

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=8), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@given(VALUES)
@example({"diff": "--- a\n+++ b\n \n+  x\n", "n": [{"t": "\n\nx\n\n\n"}, ["  a\nb"]]})
@example({"a": [[], {}, [[]], [{"b": []}], {"c": {"d": "no"}}]})
@example({"no": "yes", "~": "null", "1": "1.0", "x": "2026-01-01", "a: b": "- c", "": ""})
@example([1e16, 1e-07, 2.5, -0.0, 1e300])
@example("\x85\u2028\ufeff\x00")
@example({"t": "a\tb\nc"})
def test_round_trip(value: object) -> None:
    assert yaml.safe_load(to_yaml(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": {"b": 1}}, "a:\n  b: 1\n"),
        ({"a": [{"b": 1, "c": "x"}]}, "a:\n  - b: 1\n    c: x\n"),
        ({"d": "x\ny\n"}, "d: |2\n  x\n  y\n"),
        ({"d": "x\ny"}, "d: |2-\n  x\n  y\n"),
        ([], "[]\n"),
        ({"w": ("a", "b")}, "w:\n  - a\n  - b\n"),
    ],
)
def test_is_pleasant_to_read(value: object, text: str) -> None:
    assert to_yaml(value) == text


def test_nothing_that_a_terminal_acts_on() -> None:
    assert "\x1b" not in to_yaml({"\x1b[2J": "\x1b[31m\nx"})
