"""A workspace is made, shared with children, written by the host, kept and given up."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import TYPE_CHECKING

import msgspec
import pytest

from cleveragents.boundary import tree_copy
from cleveragents.boundary.overlay_layer import is_whiteout, kind_in_stack
from cleveragents.boundary.tree import TreeStore
from cleveragents.boundary.workspace import Workspaces
from cleveragents.errors import MergeRefusedError, RecordError
from cleveragents.terms.proposal import FileChange
from tests.boundary.tree_scene import Files, Scene, fill, listed, opaque, shown, whiteout

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BASE: Files = {"a": "1", "b*": "2", "d/x": "x", "d/y": "y", "d/e/z": "z", "l@": "a"}
BOTH = pytest.mark.parametrize("overlay", [True, False])


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_an_overlay_slot_mounts_its_layers(scene: Scene) -> None:
    slot = scene.slot(BASE)
    mount = slot.mount()
    assert (mount.kind, mount.lower, mount.upper) == ("overlay", slot.base, slot.upper)
    assert mount.work == slot.work
    frozen = slot.mount(read_only=True)
    assert (frozen.kind, frozen.tree) == ("read_only", slot.base[0])
    fill(slot.upper, {"n": "1"})
    assert slot.mount(read_only=True).lower == (slot.upper, *slot.base)


def test_a_copied_slot_mounts_its_copy(scene: Scene) -> None:
    slot = scene.slot(BASE, overlay=False)
    assert (slot.mount().kind, slot.mount().tree) == ("copy", slot.copy)
    assert (slot.mount(read_only=True).kind, slot.lower) == ("read_only", ())
    base = scene.store.base_tree(slot.tree)
    assert shown(slot.copy) == shown(base)
    for path in ("a", "d/x"):
        assert (slot.copy / path).stat().st_nlink == 1
        assert (slot.copy / path).stat().st_ino != (base / path).stat().st_ino


@BOTH
def test_a_slot_is_found_again_and_destroyed(scene: Scene, *, overlay: bool) -> None:
    slot = scene.slot(BASE, overlay=overlay)
    assert scene.workspaces.find("plan") == slot
    assert scene.workspaces.all() == ("plan",)
    scene.workspaces.destroy(slot)
    assert scene.workspaces.find("plan") is None
    assert scene.workspaces.all() == ()
    scene.workspaces.destroy(slot)


def test_making_a_slot_again_begins_afresh(scene: Scene) -> None:
    slot = scene.slot(BASE)
    fill(slot.upper, {"left": "by an earlier attempt"})
    assert [*scene.slot(BASE).upper.iterdir()] == []


def test_no_slot_at_all_is_an_empty_list(scene: Scene) -> None:
    assert scene.workspaces.all() == ()


def test_a_plan_id_cannot_lead_elsewhere(scene: Scene) -> None:
    for bad in ("../x", "", "a/b", ".", "x" * 65):
        with pytest.raises(RecordError, match="cannot name a workspace"):
            scene.workspaces.create(bad, scene.tree(BASE), overlay=True)


def test_a_damaged_slot_is_said(scene: Scene) -> None:
    slot = scene.slot(BASE)
    (slot.root / "slot.json").write_text("{}")
    with pytest.raises(RecordError, match="is damaged"):
        scene.workspaces.find("plan")


def test_a_slot_belongs_to_the_cells_user(scene: Scene) -> None:
    if os.geteuid() != 0:
        return
    store = TreeStore(scene.git, scene.place / "other", (4242, 4243))
    workspaces = Workspaces(store)
    tree = scene.tree(BASE)
    slot = workspaces.create("one", tree, overlay=True)
    for place in (slot.upper, slot.work):
        assert (place.stat().st_uid, place.stat().st_gid) == (4242, 4243)
    workspaces.receive(slot, scene.git.changes(tree, scene.tree({"n/m": "1"})))
    for path in ("n", "n/m", "d"):
        assert (slot.upper / path).lstat().st_uid == 4242
    copy = workspaces.create("two", tree, overlay=False)
    assert (copy.copy / "d/e/z").stat().st_uid == 4242
    fill(copy.copy, {"mine": "1"})
    os.chown(copy.copy / "mine", 4244, 4244)
    workspaces.checkpoint(copy, "c")
    assert workspaces.restore(copy, "c") == copy
    assert (copy.copy / "mine").stat().st_uid == 4244


def test_a_child_starts_from_what_its_parent_shows(scene: Scene) -> None:
    slot = scene.slot(BASE)
    fill(slot.upper, {"a": "2", "n": "new"})
    whiteout(slot.upper, "d/x")
    change = scene.collect(slot)
    slot = scene.workspaces.freeze(slot)
    child = scene.workspaces.fork(slot, "child", change.tree)
    assert child.lower == slot.lower
    assert scene.collect(child).changes == ()
    fill(child.upper, {"a": "3"})
    whiteout(child.upper, "n")
    assert {c.path: c.kind for c in scene.collect(child).changes} == {
        "a": "modified",
        "n": "deleted",
    }
    assert scene.collect(slot).changes == change.changes
    assert scene.workspaces.find("child") == child


def test_an_unfrozen_parent_gives_a_child_a_base_tree(scene: Scene) -> None:
    slot = scene.slot(BASE)
    fill(slot.upper, {"a": "2"})
    tree = scene.collect(slot).tree
    child = scene.workspaces.fork(slot, "child", tree)
    assert child.lower == (scene.store.base_tree(tree),)


def test_a_copied_parent_gives_a_child_a_copy(scene: Scene) -> None:
    slot = scene.slot(BASE, overlay=False)
    (slot.copy / "a").write_text("2")
    tree = scene.collect(slot).tree
    assert scene.workspaces.freeze(slot) == slot
    child = scene.workspaces.fork(slot, "child", tree)
    assert (child.copy / "a").read_text() == "2"
    assert scene.collect(child).changes == ()


def test_freezing_an_unchanged_slot_adds_no_layer(scene: Scene) -> None:
    slot = scene.slot(BASE)
    assert scene.workspaces.freeze(slot) == slot


def test_a_private_copy_is_compared(scene: Scene) -> None:
    slot = scene.slot(BASE, overlay=False)
    assert scene.collect(slot).changes == ()
    fill(slot.copy, {"n/m": "added"})
    (slot.copy / "a").write_text("2")
    (slot.copy / "b").chmod(0o644)
    (slot.copy / "d/x").unlink()
    (slot.copy / "d/y").unlink()
    (slot.copy / "d/y").symlink_to("x")
    (slot.copy / "d/e/z").unlink()
    (slot.copy / "d/e").rmdir()
    (slot.copy / "d/e").write_text("file now")
    assert {(c.path, c.kind, c.mode) for c in scene.collect(slot).changes} == {
        ("n/m", "added", "100644"),
        ("a", "modified", "100644"),
        ("b", "modified", "100644"),
        ("d/x", "deleted", None),
        ("d/y", "modified", "120000"),
        ("d/e/z", "deleted", None),
        ("d/e", "added", "100644"),
    }


def test_a_private_copys_change_of_the_same_size_is_seen(scene: Scene) -> None:
    slot = scene.slot(BASE, overlay=False)
    facts = (slot.copy / "a").stat()
    (slot.copy / "a").write_text("9")
    os.utime(slot.copy / "a", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert [one.path for one in scene.collect(slot).changes] == ["a"]


def change_to(scene: Scene, before: Files, after: Files) -> tuple[FileChange, ...]:
    return scene.git.changes(scene.tree(before), scene.tree(after))


@BOTH
@pytest.mark.parametrize(
    "after",
    [
        {**BASE, "a": "2", "n/m/o": "3"},
        {"a": "1"},
        {"d": "file in its place", "a/b": "directory in its place", "l@": "d"},
        {"b": "2", "d/x*": "x", "d/e/z": "other", "l": "now a file"},
        {},
    ],
)
def test_merged_changes_are_received(scene: Scene, after: Files, *, overlay: bool) -> None:
    slot = scene.slot(BASE, overlay=overlay)
    changes = change_to(scene, BASE, after)
    for _ in range(2):
        scene.workspaces.receive(slot, changes)
        change = scene.collect(slot)
        assert change.refused == ()
        assert change.tree == scene.tree(after)
    if not overlay:
        assert set(shown(slot.copy)) == {
            *(path.rstrip("@*") for path in after),
            *(str(one) for path in after for one in [*PurePath(path).parents][:-1]),
        }


def test_receiving_on_top_of_what_the_plan_did_itself(scene: Scene) -> None:
    slot = scene.slot(BASE)
    whiteout(slot.upper, "d")
    fill(slot.upper, {"own": "1"})
    mine = scene.collect(slot).tree
    goal: Files = {"a": "1", "b*": "2", "l@": "a", "own": "2", "d/x": "back", "d/new": "n"}
    scene.workspaces.receive(slot, scene.git.changes(mine, scene.tree(goal)))
    assert scene.collect(slot).tree == scene.tree(goal)
    assert kind_in_stack((slot.upper, *slot.lower), "d/y") is None


def test_a_directory_that_empties_goes_unless_caches_are_in_it(scene: Scene) -> None:
    slot = scene.slot(BASE)
    fill(slot.upper, {"d/e/__pycache__/z.pyc": "cache"})
    gone = [FileChange(path, "deleted", None, None) for path in ("d/x", "d/y", "d/e/z")]
    scene.workspaces.receive(slot, gone)
    assert kind_in_stack((slot.upper, *slot.lower), "d/e/__pycache__/z.pyc") == "file"
    other = scene.workspaces.create("other", slot.tree, overlay=True)
    scene.workspaces.receive(other, gone)
    assert is_whiteout((other.upper / "d").lstat())


def test_what_is_not_collected_is_not_overwritten_by_a_merge(scene: Scene) -> None:
    slot = scene.slot(BASE)
    fill(slot.upper, {"n/__pycache__/x.pyc": "cache", "link@": "a"})
    (blob,) = scene.git.write_blobs([b"x"])
    for path in ("n", "link/below", "a/below"):
        with pytest.raises(MergeRefusedError, match="in its way"):
            scene.workspaces.receive(slot, [FileChange(path, "added", "100644", blob)])


def test_a_bad_name_is_not_received(scene: Scene) -> None:
    slot = scene.slot(BASE)
    (blob,) = scene.git.write_blobs([b"x"])
    with pytest.raises(MergeRefusedError, match="git's own"):
        scene.workspaces.receive(slot, [FileChange(".git/config", "added", "100644", blob)])
    assert [*slot.upper.iterdir()] == []


def test_a_link_in_upper_leads_nowhere(scene: Scene, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    slot = scene.slot({**BASE, "out/f": "1"})
    (slot.upper / "out").symlink_to(outside)
    (blob,) = scene.git.write_blobs([b"x"])
    with pytest.raises(MergeRefusedError):
        scene.workspaces.receive(slot, [FileChange("out/g", "added", "100644", blob)])
    scene.workspaces.receive(slot, [FileChange("out/f", "deleted", None, None)])
    assert [*outside.iterdir()] == []


@BOTH
def test_a_checkpoint_brings_everything_back(scene: Scene, *, overlay: bool) -> None:
    slot = scene.slot(BASE, overlay=overlay)
    fill(slot.writable, {"n/m": "1", "a": "2", "up@": "a", "run*": "r", "n/cache.pyc": "c"})
    if overlay:
        whiteout(slot.upper, "d/x")
        opaque(slot.upper, "d/e")
        slot = scene.workspaces.freeze(slot)
        fill(slot.upper, {"n/m": "later", "o": "1"})
        whiteout(slot.upper, "d/y")
        opaque(slot.upper, "d/e")
    os.mkfifo(slot.writable / "pipe")
    before, change = shown(slot.writable), scene.collect(slot)
    scene.workspaces.checkpoint(slot, "call")
    (slot.writable / "o").write_text("spoilt")
    fill(slot.writable, {"n/m": "spoilt", "more": "x"})
    later = scene.workspaces.freeze(slot)
    restored = scene.workspaces.restore(later, "call")
    assert restored == slot
    assert shown(slot.writable) == before
    assert scene.collect(slot) == change
    assert scene.workspaces.restore(slot, "other call") is None
    scene.workspaces.checkpoint(slot, "other call")
    assert scene.workspaces.restore(slot, "call") is None


def test_the_size_of_a_change_is_what_it_takes_on_disk(scene: Scene) -> None:
    slot = scene.slot(BASE)
    assert scene.workspaces.size(slot) == 0
    fill(slot.upper, {"d/big": b"x" * 100_000})
    assert 100_000 <= scene.workspaces.size(slot) < 120_000


def full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    "act",
    [
        lambda scene, slot: scene.workspaces.create("p2", slot.tree, overlay=True),
        lambda scene, slot: scene.workspaces.freeze(slot),
        lambda scene, slot: scene.workspaces.checkpoint(slot, "c"),
        lambda scene, slot: scene.workspaces.restore(slot, "kept"),
    ],
)
def test_a_full_disk_is_one_clear_error(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, act: Callable[[Scene, object], object]
) -> None:
    slot = scene.slot(BASE)
    fill(slot.upper, {"n": "1"})
    scene.workspaces.checkpoint(slot, "kept")
    monkeypatch.setattr(os, "fchmod", full)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecordError, match="No space left"):
        act(scene, slot)
    monkeypatch.undo()
    if (found := scene.workspaces.find("plan")) is not None:
        assert scene.workspaces.restore(found, "kept") is not None


def test_content_is_copied_by_hand_where_the_kernel_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "copy_file_range", full)
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    with (tmp_path / "a").open("rb") as source, (tmp_path / "b").open("wb") as target:
        tree_copy.copy_content(source.fileno(), target.fileno())
    assert (tmp_path / "b").read_bytes() == b"x" * 3_000_000


def test_a_clone_that_fails_for_want_of_space_is_no_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fcntl.ioctl", full)
    (tmp_path / "a").write_text("x")
    with (
        (tmp_path / "a").open("rb") as source,
        (tmp_path / "b").open("wb") as target,
        pytest.raises(OSError, match="No space"),
    ):
        tree_copy.copy_content(source.fileno(), target.fileno())


def test_the_slots_description_is_plain_json(scene: Scene) -> None:
    slot = scene.slot(BASE)
    stored = msgspec.json.decode((slot.root / "slot.json").read_bytes())
    assert stored["tree"] == slot.tree
    assert listed(scene, slot.tree)["a"] == ("100644", b"1")
