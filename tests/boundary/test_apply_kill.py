"""Killed at any moment, an apply is finished or undone by the next one: all or nothing."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from cleveragents.boundary.apply import DirectoryApply
from cleveragents.errors import ApplyFailedError, MergeConflictError, RecordError
from tests.boundary.tree_scene import Files, Scene, fill, in_child, shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BASE: Files = {"a": "1", "d/x": "x", "file": "f", "dir/f": "g", "l@": "a", "keep": "k"}
GOAL: Files = {"a*": "2", "file/in": "f", "dir": "g", "l@": "keep", "keep": "k", "n/m": b"\0"}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    made = Scene(tmp_path)
    fill(made.user, BASE)
    fill(made.user, {".env": "the person's own", "d/.env": "also"})
    return made


class Trees:
    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.base, self.goal = scene.tree(BASE), scene.tree(GOAL)

    def apply(self, at_step: Callable[[str], None] = lambda _: None, plan_id: str = "01J") -> None:
        door = DirectoryApply(self.scene.git, self.scene.place / "journal", at_step=at_step)
        door.apply(self.scene.user, self.base, self.goal, plan_id=plan_id)

    def recover(self) -> list[str]:
        door = DirectoryApply(self.scene.git, self.scene.place / "journal")
        return [one.how for one in door.recover(self.scene.user)]

    def kill_at(self, number: int) -> None:
        left = [number]

        def at_step(_: str) -> None:
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1

        assert in_child(lambda: self.apply(at_step)) == signal.SIGKILL

    def refill(self) -> None:
        subprocess.run(["rm", "-rf", self.scene.user], check=True)
        self.scene.user.mkdir()
        fill(self.scene.user, BASE)
        fill(self.scene.user, {".env": "the person's own", "d/.env": "also"})


def steps_of(scene: Scene) -> list[str]:
    trees = Trees(scene)
    steps: list[str] = []
    trees.apply(steps.append)
    trees.refill()
    return steps


def test_killed_at_every_step_and_applied_again_everything_is_there(scene: Scene) -> None:
    before, steps = shown(scene.user), steps_of(scene)
    trees = Trees(scene)
    trees.apply()
    after = shown(scene.user)
    assert after != before
    assert len(steps) > 15
    for number in range(len(steps)):
        trees.refill()
        trees.kill_at(number)
        trees.apply()
        assert shown(scene.user) == after, steps[number]


def test_killed_at_every_step_and_recovered_it_is_all_or_nothing(scene: Scene) -> None:
    before, steps = shown(scene.user), steps_of(scene)
    trees = Trees(scene)
    trees.apply()
    after = shown(scene.user)
    how = []
    for number in range(len(steps)):
        trees.refill()
        trees.kill_at(number)
        how.extend(trees.recover())
        assert shown(scene.user) in (before, after), steps[number]
        assert trees.recover() == []
    assert set(how) == {"undone", "finished"}
    assert how == sorted(how, reverse=True), "from the commit on it is finished"


def test_killed_twice_it_is_still_all_or_nothing(scene: Scene) -> None:
    before, steps = shown(scene.user), steps_of(scene)
    trees = Trees(scene)
    trees.apply()
    after = shown(scene.user)
    middle = steps.index("put file/in")
    for number in range(14):
        trees.refill()
        trees.kill_at(middle)
        trees.kill_at(number)
        trees.recover()
        assert shown(scene.user) in (before, after), (steps[middle], number)


def test_every_file_is_there_at_every_moment(scene: Scene) -> None:
    """A file that only changes is never absent: somebody may be reading it."""

    def look(_: str) -> None:
        assert (scene.user / "a").read_text() in ("1", "2")
        assert str((scene.user / "l").readlink()) in ("a", "keep")

    Trees(scene).apply(look)


def test_a_file_that_was_edited_after_the_kill_undoes_and_stays(scene: Scene) -> None:
    steps = steps_of(scene)
    before = shown(scene.user)
    trees = Trees(scene)
    trees.kill_at(steps.index("put l"))
    (scene.user / "l").unlink()
    (scene.user / "l").symlink_to("d")
    assert trees.recover() == ["undone"]
    before["l"] = shown(scene.user)["l"]
    assert before["l"][1] == b"d"
    assert shown(scene.user) == before
    with pytest.raises(MergeConflictError):
        trees.apply()


def test_a_written_file_that_was_edited_after_the_kill_is_kept_with_the_old_one(
    scene: Scene,
) -> None:
    steps = steps_of(scene)
    trees = Trees(scene)
    trees.kill_at(steps.index("put l"))
    (scene.user / "a").write_text("edited after the kill")
    (scene.user / "l").unlink()
    door = DirectoryApply(scene.git, scene.place / "journal")
    (recovered,) = door.recover(scene.user)
    assert recovered.how == "undone"
    (kept,) = recovered.kept
    assert kept.endswith("(was a)")
    assert (scene.user / kept.split(" ")[0]).read_text() == "1"
    assert (scene.user / "a").read_text() == "edited after the kill"


def test_another_plans_apply_mends_what_was_left_first(scene: Scene) -> None:
    steps = steps_of(scene)
    trees = Trees(scene)
    trees.kill_at(steps.index("put dir"))
    trees.apply(plan_id="02J")
    assert (scene.user / "n/m").read_bytes() == b"\0"
    assert not any((scene.place / "journal").glob("*/*.journal"))


def full_at(*names: str) -> Callable[[str], None]:
    def at_step(step: str) -> None:
        if step in names:
            raise OSError(28, "No space left on device")

    return at_step


def test_a_full_disk_at_every_step_leaves_the_directory_as_it_was(scene: Scene) -> None:
    before, steps = shown(scene.user), steps_of(scene)
    trees = Trees(scene)
    for step in steps[: steps.index("done") + 1]:
        with pytest.raises(ApplyFailedError, match="no space left on device; the directory is as"):
            trees.apply(full_at(step))
        assert shown(scene.user) == before, step
        assert trees.recover() == []


def test_a_full_disk_while_clearing_away_is_mended_by_the_next(scene: Scene) -> None:
    trees = Trees(scene)
    with pytest.raises(ApplyFailedError, match="no space left"):
        trees.apply(full_at("clear .cleveragents-01J"))
    assert trees.recover() == ["finished"]
    trees.apply()


def test_an_undo_that_fails_too_says_so_and_is_done_later(scene: Scene) -> None:
    before = shown(scene.user)
    trees = Trees(scene)
    with pytest.raises(ApplyFailedError, match="finishes or undoes it") as caught:
        trees.apply(full_at("put dir", "undo mkdir file"))
    assert not caught.value.is_whole
    door = DirectoryApply(
        scene.git, scene.place / "journal", at_step=full_at("put dir", "undo mkdir file")
    )
    with pytest.raises(ApplyFailedError, match="cannot be undone") as again:
        door.recover(scene.user)
    assert not again.value.is_whole
    (scene.user / "a").write_text("1")
    trees.recover()
    trees.apply()
    assert shown(scene.user) != before
    assert (scene.user / "dir").read_text() == "g"


def test_a_torn_journal_word_has_not_been_said(scene: Scene) -> None:
    steps = steps_of(scene)
    before = shown(scene.user)
    trees = Trees(scene)
    trees.kill_at(steps.index("commit"))
    (journal,) = (scene.place / "journal").glob("*/*.journal")
    with journal.open("ab") as out:
        out.write(b"comm")
    assert trees.recover() == ["undone"]
    assert shown(scene.user) == before


def test_a_damaged_journal_is_said_and_nothing_is_touched(scene: Scene) -> None:
    steps = steps_of(scene)
    trees = Trees(scene)
    trees.kill_at(steps.index("put dir"))
    (journal,) = (scene.place / "journal").glob("*/*.journal")
    journal.write_bytes(b"{" + journal.read_bytes())
    before = shown(scene.user)
    with pytest.raises(RecordError, match="is damaged"):
        trees.apply()
    assert shown(scene.user) == before
