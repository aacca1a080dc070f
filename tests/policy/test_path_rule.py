"""Which paths the read and write entries admit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleveragents.errors import ConfigurationError
from cleveragents.policy.path_rule import EVERYWHERE, PathRules, normalise_entry
from cleveragents.terms.resource import normalise_path

from . import generated as g

entry_lists = st.lists(g.path_entries, max_size=4)


@pytest.mark.parametrize(
    ("raw", "normal"),
    [
        (".", "."),
        ("./", "."),
        ("/workspace", "."),
        ("docs/", "docs/"),
        ("docs", "docs"),
        ("./docs//api/", "docs/api/"),
        ("docs/.", "docs/"),
        ("docs/x/..", "docs/"),
        ("a/../README.md", "README.md"),
        ("/workspace/docs/", "docs/"),
        (".github/", ".github/"),
        ("app/[id].tsx", "app/[id].tsx"),
        ("größe/", "größe/"),
    ],
)
def test_an_entry_has_one_spelling(raw: str, normal: str) -> None:
    assert normalise_entry(raw) == normal
    assert normalise_entry(normal) == normal


@pytest.mark.parametrize(
    "raw", ["", "..", "../x", "/etc/passwd", "/", "a/../../b", "*.py", "d?cs", "a\0b", "a\nb", 3]
)
def test_what_is_no_path_of_the_workspace_is_refused(raw: object) -> None:
    with pytest.raises(ConfigurationError):
        PathRules.parse([raw])  # type: ignore[list-item]  # the point of the test


@pytest.mark.parametrize(
    ("entries", "path", "expected"),
    [
        (["docs/"], "docs/a", True),
        (["docs/"], "docs/a/b", True),
        (["docs/"], "docs", True),
        (["docs/"], "docs2", False),
        (["docs/"], "doc", False),
        (["docs/"], "Docs/a", False),
        (["docs/"], "../docs/a", False),
        (["docs/"], "/docs/a", False),
        (["docs"], "docs", True),
        (["docs"], "docs/a", False),
        (["."], ".", True),
        (["."], "a/b", True),
        (["."], "..x", True),
        (["."], "..", False),
        (["."], "../x", False),
        (["."], "/etc/passwd", False),
        ([], ".", False),
        ([], "a", False),
    ],
)
def test_paths_are_compared_by_whole_names(entries: list[str], path: str, expected: bool) -> None:
    assert PathRules.parse(entries).admits(path) is expected


def test_a_directory_may_be_listed_but_not_replaced() -> None:
    assert PathRules.parse(["docs/"]).admits("docs")
    assert not PathRules.parse(["docs/"], with_directories=False).admits("docs")


def test_everywhere_is_the_workspace_and_no_more() -> None:
    assert EVERYWHERE.admits("any/thing")
    assert not EVERYWHERE.admits("/etc/passwd")
    assert not PathRules.parse(["a/", "b"]).covers(".")


@given(entry_lists, entry_lists, st.booleans(), g.paths)
def test_the_meet_admits_what_both_admit(
    one: list[str], other: list[str], is_reading: bool, path: str
) -> None:
    path = normalise_path(path)
    a = PathRules.parse(one, with_directories=is_reading)
    b = PathRules.parse(other, with_directories=is_reading)
    assert a.meet(b).admits(path) is (a.admits(path) and b.admits(path))
    assert b.meet(a).admits(path) is a.meet(b).admits(path)


@given(entry_lists, entry_lists, g.paths)
def test_what_is_contained_admits_no_more(one: list[str], other: list[str], path: str) -> None:
    a, b = PathRules.parse(one), PathRules.parse(other)
    path = normalise_path(path)
    if a.contains(b) and b.admits(path):
        assert a.admits(path)
    assert a.contains(a.meet(b))
    assert b.contains(a.meet(b))
