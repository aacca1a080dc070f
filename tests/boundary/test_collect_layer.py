"""What a dead guest left in an overlay's layers is read as the kernel reads it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cleveragents.boundary import collect, overlay_layer
from cleveragents.boundary.beneath_host import open_beneath
from cleveragents.boundary.layer_merge import merge_layers
from cleveragents.boundary.overlay_layer import kind_in_stack, names_in_stack
from cleveragents.errors import RecordError
from tests.boundary.tree_scene import (
    Scene,
    as_nobody,
    fill,
    in_child,
    listed,
    opaque,
    passable,
    shown,
    whiteout,
)

if TYPE_CHECKING:
    from collections.abc import Callable

BASE = {"a": "1", "b*": "2", "d/x": "x", "d/y": "y", "d/e/z": "z", "l@": "a"}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def kinds(scene: Scene, slot: object) -> dict[str, str]:
    change = scene.collect(slot)  # type: ignore[arg-type]  # only slots are handed in
    assert change.refused == ()
    return {one.path: one.kind for one in change.changes}


def test_nothing_changed_is_no_change(scene: Scene) -> None:
    slot = scene.slot(BASE)
    change = scene.collect(slot)
    assert change.changes == ()
    assert change.tree == change.base_tree == slot.tree


def test_files_links_modes_and_deletions_are_told(scene: Scene) -> None:
    slot = scene.slot(BASE)
    fill(slot.upper, {"a": "new", "b": "2", "n/m": "added", "n/up@": "../a", "empty": b""})
    whiteout(slot.upper, "d/x")
    whiteout(slot.upper, "l")
    change = scene.collect(slot)
    assert {(c.path, c.kind, c.mode) for c in change.changes} == {
        ("a", "modified", "100644"),
        ("b", "modified", "100644"),
        ("n/m", "added", "100644"),
        ("n/up", "added", "120000"),
        ("empty", "added", "100644"),
        ("d/x", "deleted", None),
        ("l", "deleted", None),
    }
    assert listed(scene, change.tree)["n/m"] == ("100644", b"added")
    assert "d/x" not in listed(scene, change.tree)
    proposal = change.proposal("plan", outputs={"k": 1}, summary="s")
    assert proposal.changes == change.changes
    assert proposal.tree == change.tree


def test_a_file_copied_up_unchanged_is_no_change(scene: Scene) -> None:
    slot = scene.slot(BASE)
    fill(slot.upper, {"a": "1", "d/e/z": "z"})
    assert kinds(scene, slot) == {}


def test_a_deleted_directory_takes_everything_along(scene: Scene) -> None:
    slot = scene.slot(BASE)
    whiteout(slot.upper, "d")
    assert kinds(scene, slot) == {"d/x": "deleted", "d/y": "deleted", "d/e/z": "deleted"}


def test_an_opaque_directory_hides_what_it_does_not_hold(scene: Scene) -> None:
    slot = scene.slot(BASE)
    opaque(slot.upper, "d")
    fill(slot.upper, {"d/x": "x", "d/w": "w"})
    assert kinds(scene, slot) == {"d/y": "deleted", "d/e/z": "deleted", "d/w": "added"}


def test_a_file_in_place_of_a_directory_and_the_other_way_round(scene: Scene) -> None:
    slot = scene.slot(BASE)
    fill(slot.upper, {"d": "file", "a/inner": "below"})
    assert kinds(scene, slot) == {
        "d": "added",
        "d/x": "deleted",
        "d/y": "deleted",
        "d/e/z": "deleted",
        "a": "deleted",
        "a/inner": "added",
    }
    change = scene.collect(slot)
    assert set(listed(scene, change.tree)) == {"a/inner", "b", "d", "l"}


def test_frozen_layers_count_from_the_lowest_up(scene: Scene) -> None:
    slot = scene.slot(BASE)
    fill(slot.upper, {"a": "2", "n/one": "1", "n/two": "2", "f": "file"})
    slot = scene.workspaces.freeze(slot)
    assert len(slot.lower) == 2
    fill(slot.upper, {"a": "3", "n/one": "other"})
    whiteout(slot.upper, "n/two")
    whiteout(slot.upper, "f")
    slot = scene.workspaces.freeze(slot)
    opaque(slot.upper, "d")
    fill(slot.upper, {"f/g": "now a directory"})
    change = scene.collect(slot)
    assert {c.path: c.kind for c in change.changes} == {
        "a": "modified",
        "n/one": "added",
        "f/g": "added",
        "d/x": "deleted",
        "d/y": "deleted",
        "d/e/z": "deleted",
    }
    assert listed(scene, change.tree)["a"] == ("100644", b"3")


def test_a_directory_over_an_earlier_layers_file(scene: Scene) -> None:
    slot = scene.slot(BASE)
    fill(slot.upper, {"f": "file", "g/h": "below"})
    os.mkfifo(slot.upper / "g" / "pipe")
    slot = scene.workspaces.freeze(slot)
    fill(slot.upper, {"f/below": "x", "g": "file now"})
    assert kinds(scene, slot) == {"f/below": "added", "g": "added"}


def test_many_layers_become_one_that_says_the_same(scene: Scene) -> None:
    slot = scene.slot(BASE)
    expected: dict[str, str] = {}
    for at in range(20):
        fill(slot.upper, {f"n/f{at % 5}": f"{at}", "again": f"{at}"})
        expected |= {f"n/f{at % 5}": "added", "again": "added"}
        if at == 10:
            whiteout(slot.upper, "d")
            expected |= {"d/x": "deleted", "d/y": "deleted", "d/e/z": "deleted"}
        if at == 15:
            fill(slot.upper, {"d/x": "back"})
            os.setxattr(slot.upper / "d", overlay_layer.OPAQUE, b"y")
            expected["d/x"] = "modified"
        slot = scene.workspaces.freeze(slot)
        assert len(slot.lower) <= 8
    assert kinds(scene, slot) == expected
    assert scene.workspaces.find("plan") == slot


def test_merging_layers_keeps_replacements_opaque(tmp_path: Path) -> None:
    layers = [tmp_path / name for name in ("one", "two", "three")]
    for layer in layers:
        layer.mkdir()
    fill(layers[0], {"f": "file", "d/a": "a", "e/x": "x"})
    fill(layers[1], {"f/g": "below", "d/b": "b"})
    opaque(layers[1], "e")
    whiteout(layers[2], "d/a")
    (tmp_path / "out").mkdir()
    merge_layers(layers, tmp_path / "out")
    out = tmp_path / "out"
    assert os.getxattr(out / "f", overlay_layer.OPAQUE) == b"y"
    assert os.getxattr(out / "e", overlay_layer.OPAQUE) == b"y"
    assert [*(out / "e").iterdir()] == []
    assert overlay_layer.is_whiteout((out / "d/a").lstat())
    assert (out / "d/b").stat().st_nlink == 1


def special_fifo(upper: Path) -> None:
    os.mkfifo(upper / "bad")


def special_hard_link(upper: Path) -> None:
    (upper / "bad").write_text("x")
    os.link(upper / "bad", upper / "bad2")


def special_setuid(upper: Path) -> None:
    (upper / "bad").write_text("x")
    (upper / "bad").chmod(0o4755)


def special_metacopy(upper: Path) -> None:
    (upper / "bad").write_text("x")
    os.setxattr(upper / "bad", "user.overlay.metacopy", b"")


def special_redirect(upper: Path) -> None:
    (upper / "bad").mkdir()
    os.setxattr(upper / "bad", "user.overlay.redirect", b"/other")


def special_opaque(upper: Path) -> None:
    (upper / "bad").mkdir()
    os.setxattr(upper / "bad", "user.overlay.opaque", b"x")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (special_fifo, "a socket, a fifo or a device"),
        (special_hard_link, "more than one hard link"),
        (special_setuid, "set to run as its owner"),
        (special_metacopy, "'user.overlay.metacopy'"),
        (special_redirect, "'user.overlay.redirect'"),
        (special_opaque, "'user.overlay.opaque'"),
    ],
)
def test_what_is_no_plain_file_is_refused_by_name(
    scene: Scene, make: Callable[[Path], None], reason: str
) -> None:
    slot = scene.slot(BASE)
    make(slot.upper)
    change = scene.collect(slot)
    assert change.refused[0].path == "bad"
    assert reason in change.refused[0].reason
    assert change.changes == ()


def test_harmless_attributes_of_the_overlay_are_no_reason(scene: Scene) -> None:
    slot = scene.slot(BASE)
    fill(slot.upper, {"a": "2", "d/n": "3"})
    os.setxattr(slot.upper / "a", "user.overlay.origin", b"\0")
    os.setxattr(slot.upper / "d", "user.overlay.impure", b"y")
    os.setxattr(slot.upper / "a", "user.overlay.overlay.opaque", b"y")
    assert kinds(scene, slot) == {"a": "modified", "d/n": "added"}


def test_a_device_is_refused(scene: Scene) -> None:
    if os.geteuid() != 0:
        return
    slot = scene.slot(BASE)
    os.mknod(slot.upper / "null", 0o020666, os.makedev(1, 3))
    (refused,) = scene.collect(slot).refused
    assert refused.path == "null"


def test_too_many_files_stop_the_walk(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay_layer, "MAX_ENTRIES", 3)
    slot = scene.slot(BASE)
    fill(slot.upper, {f"f{at}": "x" for at in range(9)})
    change = scene.collect(slot)
    assert "too many files" in change.refused[0].reason
    assert change.changes == ()


def test_too_deep_is_refused(scene: Scene) -> None:
    slot = scene.slot(BASE)
    (slot.upper / "/".join(["d"] * 200)).mkdir(parents=True)
    (refused,) = scene.collect(slot).refused
    assert "deeper than" in refused.reason


def test_a_path_too_long_to_be_named_is_refused(scene: Scene) -> None:
    slot = scene.slot(BASE)
    at = os.open(slot.upper, os.O_RDONLY)
    for _ in range(40):
        os.mkdir("d" * 200, dir_fd=at)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    for name in (".gitignore", "f"):
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=at))
    os.close(at)
    (refused,) = scene.collect(slot).refused
    assert "longer than" in refused.reason
    merged = scene.place / "merged"
    merged.mkdir()
    merge_layers([slot.upper], merged)
    assert (merged / ("d" * 200)).is_dir()


def test_an_ignore_file_that_nobody_may_read_is_read_all_the_same(tmp_path: Path) -> None:
    def act() -> None:
        as_nobody()
        own = tmp_path / "own"
        own.mkdir()
        scene = Scene(own)
        slot = scene.slot(BASE)
        fill(slot.upper, {"n/.gitignore": "*.log", "n/a.log": "", "n/f": "1"})
        (slot.upper / "n/.gitignore").chmod(0)
        assert kinds(scene, slot) == {"n/.gitignore": "added", "n/f": "added"}

    passable(tmp_path)
    assert in_child(act) == 0


def test_an_ignore_file_that_cannot_be_read_is_refused(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = scene.slot(BASE)
    fill(slot.upper, {"n/.gitignore": "*.log", "n/a.log": ""})

    opens = open_beneath

    def broken(root: int, path: str, flags: int) -> int:
        if path.endswith(".gitignore"):
            raise PermissionError(13, "Permission denied")
        return opens(root, path, flags)

    with monkeypatch.context() as patched:
        patched.setattr(collect, "open_beneath", broken)
        change = scene.collect(slot)
    assert [(one.path, one.reason) for one in change.refused] == [
        ("n/.gitignore", "it cannot be read: Permission denied")
    ]


def test_what_a_guest_made_unreadable_is_read_all_the_same(tmp_path: Path) -> None:
    def act() -> None:
        as_nobody()
        own = tmp_path / "own"
        own.mkdir()
        scene = Scene(own)
        slot = scene.slot(BASE)
        fill(slot.upper, {"shut/f": "1", "g": "2"})
        (slot.upper / "g").chmod(0)
        (slot.upper / "shut").chmod(0)
        opaque(slot.upper, "d")
        (slot.upper / "d").chmod(0)
        assert kinds(scene, slot) == {
            "shut/f": "added",
            "g": "added",
            "d/x": "deleted",
            "d/y": "deleted",
            "d/e/z": "deleted",
        }
        (slot.upper / "g").chmod(0)
        (slot.upper / "shut").chmod(0)
        (slot.work / "work").mkdir(mode=0)
        scene.workspaces.checkpoint(slot, "call")
        (slot.upper / "shut").chmod(0)
        scene.workspaces.destroy(slot)
        assert not slot.root.exists()

    passable(tmp_path)
    assert in_child(act) == 0


def test_a_file_that_is_swapped_while_it_is_read_is_refused(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = scene.slot(BASE)
    fill(slot.upper, {"a": "2", "z": "3"})
    facts = os.fstat

    def swap(descriptor: int) -> os.stat_result:
        if str(Path(f"/proc/self/fd/{descriptor}").readlink()).endswith("/upper/a"):
            (slot.upper / "a").write_text("longer than before")
        return facts(descriptor)

    monkeypatch.setattr(os, "fstat", swap)
    change = scene.collect(slot)
    assert [(one.path, one.reason) for one in change.refused] == [
        ("a", "it changed while it was collected")
    ]
    assert [one.path for one in change.changes] == ["z"]


def test_the_kernel_agrees(scene: Scene) -> None:
    """The same commands in a mounted overlay give what the walk says of its upper."""
    if os.geteuid() != 0:
        return
    slot = scene.slot(BASE)
    lower = ":".join(str(one) for one in slot.lower)
    options = f"userxattr,lowerdir={lower},upperdir={slot.upper},workdir={slot.work}"
    target = scene.place / "mounted"
    target.mkdir()
    script = (
        'mount -t overlay overlay -o "$1" "$2" && cd "$2" && rm -r d && mkdir d && echo q > d/x '
        "&& mv a moved && chmod -x b && ln -s moved new && mkdir -p p/q && echo r > p/q/r "
        '&& rm l && mkdir l && echo in > l/in && cp -r . "$3"'
    )
    copy = scene.place / "copy"
    subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", options, target, copy], check=True
    )
    change = scene.collect(slot)
    assert change.refused == ()
    expected = scene.store.snapshot(copy, scene.rules).tree
    assert change.tree == expected
    assert shown(scene.store.base_tree(change.tree)).keys() >= {"d/x", "l/in", "moved", "p/q/r"}


def test_a_stack_shows_what_the_topmost_layer_says(tmp_path: Path) -> None:
    top, low = tmp_path / "top", tmp_path / "low"
    for place in (top, low):
        place.mkdir()
    fill(low, {"a": "1", "d/x": "1", "d/y": "1", "o/p": "1", "l@": "a", "w/z": "1"})
    fill(top, {"d/n": "1", "o/q": "1"})
    whiteout(top, "d/x")
    whiteout(top, "w")
    opaque(top, "o")
    stack = (top, low)
    answers = {
        "a": "file", "l": "link", "d": "directory", "d/x": None, "d/y": "file", "d/n": "file",
        "o/p": None, "o/q": "file", "w": None, "w/z": None, "a/b": None, "nothing": None,
    }  # fmt: skip
    assert {path: kind_in_stack(stack, path) for path in answers} == answers
    assert names_in_stack(stack, "d") == {"n", "y"}
    assert names_in_stack(stack, "o") == {"q"}
    assert names_in_stack(stack, "w") == set()
    assert names_in_stack(stack, "nothing") == set()


@pytest.mark.parametrize("number", [1, 95])
def test_a_file_system_without_attributes_is_no_obstacle(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    slot = scene.slot(BASE)
    fill(slot.upper, {"d/n": "1"})

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, "no attributes")

    monkeypatch.setattr(os, "listxattr", refuse)
    monkeypatch.setattr(os, "getxattr", refuse)
    assert kinds(scene, slot) == {"d/n": "added"}
    assert kind_in_stack((slot.upper, *slot.lower), "d/n") == "file"


@pytest.mark.parametrize("call", ["listxattr", "getxattr"])
def test_another_error_of_an_attribute_is_an_error(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    slot = scene.slot(BASE)
    opaque(slot.upper, "d")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(RecordError, match="Input/output"):
        scene.collect(slot)


def test_refused_things_go_on_being_refused_when_layers_are_merged(scene: Scene) -> None:
    slot = scene.slot(BASE)
    os.mkfifo(slot.upper / "pipe")
    special_hard_link(slot.upper)
    for at in range(8):
        fill(slot.upper, {"n": f"{at}"})
        slot = scene.workspaces.freeze(slot)
    assert len(slot.layers) < 8
    assert {one.path for one in scene.collect(slot).refused} == {"pipe", "bad", "bad2"}
