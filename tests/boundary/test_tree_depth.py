"""A tree that is nested deeper than a stack, a path and the open files of a process reach."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cleveragents.boundary.beneath_host import opened
from cleveragents.boundary.checkpoint import restore_checkpoint, take_checkpoint
from cleveragents.boundary.returned_name import MAX_DEPTH
from cleveragents.boundary.tree_removal import remove_tree
from tests.boundary.tree_scene import Scene

if TYPE_CHECKING:
    from pathlib import Path

DEEP = 1500


def nest(place: Path, levels: int, *, bottom: str = "") -> None:
    """Make directories inside each other, with a closed one and a file on the way."""
    here = os.open(place, os.O_RDONLY)
    for level in range(levels):
        os.mkdir("d", dir_fd=here)
        if level % 90 == 0:
            os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.fchmod(below, 0 if level % 200 == 150 else 0o700)
        os.close(here)
        here = below
    if bottom:
        os.mkdir(bottom, dir_fd=here)
    os.close(here)


def depth_of(place: Path) -> int:
    here = os.open(place, os.O_RDONLY)
    levels = 0
    while "d" in os.listdir(here):  # noqa: PTH208  # a descriptor
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here, levels = below, levels + 1
    os.close(here)
    return levels


def test_is_removed_whole(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    # What is moved up on the way must not run into what is there.
    for number in (1, 3):
        (tmp_path / f"tree/deep-{number}").write_text("x")
    (tmp_path / "tree/deep-2/x").mkdir(parents=True)
    nest(tmp_path / "tree", DEEP, bottom="deep-1")
    with opened(tmp_path) as parent:
        remove_tree(parent, "tree")
        remove_tree(parent, "tree")
    assert list(tmp_path.iterdir()) == []


def test_a_removal_that_the_system_refuses_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    with opened(tmp_path) as parent, pytest.raises(OSError, match=r"Invalid|Busy|busy"):
        remove_tree(parent, "tree/.")


def test_is_refused_after_a_checkpoint_as_before(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    slot = scene.slot({"a": "1"})
    nest(slot.upper, DEEP)
    before = {one.reason for one in scene.collect(slot).refused}
    assert before == {f"it lies deeper than {MAX_DEPTH} directories"}
    take_checkpoint(slot, "call", None)
    restored = restore_checkpoint(slot, "call", None)
    assert restored is not None
    assert depth_of(slot.upper) == MAX_DEPTH + 1
    assert {one.reason for one in scene.collect(restored).refused} == before
    with opened(tmp_path) as parent:
        for place in tmp_path.iterdir():
            remove_tree(parent, place.name)
