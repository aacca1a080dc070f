"""A person's directory is read whole, without following, running or changing anything."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from cleveragents.boundary import snapshot as snapshot_module
from cleveragents.boundary.beneath_host import read_all
from cleveragents.boundary.leave_out import LeaveOutRules
from cleveragents.boundary.returned_name import MAX_DEPTH
from cleveragents.boundary.snapshot import LeftOut, link_stays_inside
from cleveragents.boundary.stat_cache import StatCache
from cleveragents.boundary.tree import TreeStore
from cleveragents.errors import ConfigurationError, RecordError
from tests.boundary.tree_scene import Scene, as_nobody, fill, in_child, listed, passable, shown

RULES = LeaveOutRules()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def left_out(scene: Scene, rules: LeaveOutRules = RULES) -> dict[str, str]:
    return {one.path: one.why for one in scene.store.snapshot(scene.user, rules).left_out}


def test_every_kind_of_content_comes_along(scene: Scene) -> None:
    fill(
        scene.user,
        {
            "a.txt": "text\n",
            "run*": "#!/bin/sh\n",
            "empty": b"",
            "bin": bytes(range(256)),
            "d/e/f": "deep",
            "d/up@": "../a.txt",
            "ünï/ö": "u",
            "odd\\name: ": "odd",
            "void": None,
        },
    )
    before = shown(scene.user)
    snapshot = scene.store.snapshot(scene.user, RULES)
    assert listed(scene, snapshot.tree) == {
        "a.txt": ("100644", b"text\n"),
        "run": ("100755", b"#!/bin/sh\n"),
        "empty": ("100644", b""),
        "bin": ("100644", bytes(range(256))),
        "d/e/f": ("100644", b"deep"),
        "d/up": ("120000", b"../a.txt"),
        "ünï/ö": ("100644", b"u"),
        "odd\\name: ": ("100644", b"odd"),
    }
    assert snapshot.files == 8
    assert snapshot.left_out == ()
    assert shown(scene.user) == before


def test_what_is_left_out_is_named_with_its_reason(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(
        scene.user,
        {
            ".git/config": "[core]",
            "sub/.git": "gitdir: ../elsewhere",
            ".gitignore": "*.o\nnode_modules\n!kept.o\n",
            "x.o": "o",
            "kept.o": "o",
            "node_modules/a/b": "js",
            ".env": "SECRET=1",
            ".env.example": "SECRET=",
            ".ssh/id_ed25519": "key",
            "abs@": "/etc/passwd",
            "out@": "../other",
            "sly@": "d/../../x",
            "control\x07": "bell",
            ".cleveragents-01J/old-1": "left",
        },
    )
    os.mkfifo(scene.user / "fifo")
    (scene.user / os.fsdecode(b"latin\xe9")).write_text("x")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(scene.user)
        listener.bind("socket")
    found = left_out(scene)
    assert found == {
        ".git/": "git",
        "sub/.git": "git",
        "x.o": "ignored",
        "node_modules/": "ignored",
        ".env": "secret",
        ".ssh/": "secret",
        "abs": "link",
        "out": "link",
        "sly": "link",
        "control\x07": "name",
        "latin\\xe9": "name",
        "fifo": "special",
        "socket": "special",
        ".cleveragents-01J/": "own",
    }
    tree = scene.store.snapshot(scene.user, RULES).tree
    assert set(listed(scene, tree)) == {".gitignore", "kept.o", ".env.example"}
    assert LeftOut("x", "secret").reason == "holds secrets by its name"


def test_a_clones_own_exclude_file_counts(scene: Scene) -> None:
    fill(scene.user, {".git/info/exclude": "private\n", "private": "p", "public": "p"})
    assert left_out(scene) == {".git/": "git", "private": "ignored"}


def test_ignore_files_that_are_no_files_count_nothing(scene: Scene) -> None:
    fill(scene.user, {"d/x": "1", "e/.gitignore@": "../rules", "rules": "*\n", "e/x": "1"})
    os.mkfifo(scene.user / "d/.gitignore")
    assert left_out(scene) == {"d/.gitignore": "special"}


def test_what_the_profile_names_is_seen(scene: Scene) -> None:
    fill(scene.user, {".gitignore": "build\n", "build/a": "1", "build/b/c": "2", ".env": "E"})
    rules = LeaveOutRules(shown=(".env", "build/b/"))
    tree = scene.store.snapshot(scene.user, rules).tree
    assert set(listed(scene, tree)) == {".gitignore", ".env", "build/b/c"}
    assert left_out(scene, rules) == {"build/a": "ignored"}


def test_a_second_look_reads_only_what_changed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(scene.user, {f"d{at % 7}/f{at}": f"{at}" for at in range(50)})
    first = scene.store.snapshot(scene.user, RULES)
    read = []

    def note(descriptor: int, size: int) -> bytes:
        read.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        return read_all(descriptor, size)

    monkeypatch.setattr("cleveragents.boundary.snapshot.read_all", note)
    assert scene.store.snapshot(scene.user, RULES) == first
    assert read == []
    (scene.user / "d1/f1").write_text("other")
    (scene.user / "d2/f2").chmod(0o755)
    second = scene.store.snapshot(scene.user, RULES)
    assert sorted(read) == ["f1", "f2"]
    assert listed(scene, second.tree)["d1/f1"] == ("100644", b"other")
    assert listed(scene, second.tree)["d2/f2"] == ("100755", b"2")


def test_a_file_as_young_as_the_look_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("1")
    facts = (tmp_path / "f").stat()
    cache = StatCache(None, now_ns=lambda: facts.st_ctime_ns + 1000)
    cache.remember("f", facts, "blob")
    cache.save("")
    assert cache.known("f", facts) == ""
    older = StatCache(None, now_ns=lambda: facts.st_ctime_ns + 3 * 10**9)
    older.remember("f", facts, "blob")
    older.save("")
    assert older.known("f", facts) == "blob"


def test_a_change_that_keeps_size_and_mtime_is_seen(scene: Scene) -> None:
    fill(scene.user, {"f": "1"})
    first = scene.store.snapshot(scene.user, RULES)
    facts = (scene.user / "f").stat()
    (scene.user / "f").write_text("2")
    os.utime(scene.user / "f", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert scene.store.snapshot(scene.user, RULES).tree != first.tree


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"\x93\x63\xa0\x80"])
def test_a_damaged_cache_costs_time_only(scene: Scene, damage: bytes) -> None:
    fill(scene.user, {"f": "1"})
    first = scene.store.snapshot(scene.user, RULES)
    (kept,) = (scene.git.git_dir / "stat").iterdir()
    kept.write_bytes(damage)
    assert scene.store.snapshot(scene.user, RULES) == first


def test_a_store_that_lost_its_objects_is_filled_again(scene: Scene) -> None:
    fill(scene.user, {"f": "1"})
    first = scene.store.snapshot(scene.user, RULES)
    for place in scene.git.objects.glob("??/*"):
        place.unlink()
    assert scene.store.snapshot(scene.user, RULES) == first
    assert listed(scene, first.tree) == {"f": ("100644", b"1")}


def test_large_files_are_read_in_pieces(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_module, "HELD_BYTES", 100)
    fill(scene.user, {"large": b"x" * 5000, "small": b"y"})
    tree = scene.store.snapshot(scene.user, RULES).tree
    assert listed(scene, tree)["large"] == ("100644", b"x" * 5000)


def test_too_deep_is_left_out_and_named(scene: Scene) -> None:
    deep = scene.user
    for _ in range(MAX_DEPTH + 3):
        deep = deep / "d"
    deep.mkdir(parents=True)
    (scene.user / "d" / "f").write_text("1")
    (path,) = left_out(scene)
    assert path == "d/" * (MAX_DEPTH + 1)


def test_an_unreadable_file_is_left_out_and_named(tmp_path: Path) -> None:
    def look() -> None:
        as_nobody()
        own = tmp_path / "own"
        own.mkdir()
        scene = Scene(own)
        fill(scene.user, {"f": "1", "shut/g": "2", "ok": "3"})
        (scene.user / "f").chmod(0)
        (scene.user / "shut").chmod(0)
        assert left_out(scene) == {"f": "unreadable", "shut/": "unreadable"}
        (scene.user / "shut").chmod(0o700)
        scene.user.chmod(0)
        with pytest.raises(ConfigurationError, match="cannot read the directory"):
            scene.store.snapshot(scene.user, RULES)
        scene.user.chmod(0o700)

    passable(tmp_path)
    assert in_child(look) == 0


def test_no_directory_is_a_clear_error(scene: Scene) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        scene.store.snapshot(scene.user / "absent", RULES)
    (scene.user / "f").write_text("")
    with pytest.raises(ConfigurationError, match="Not a directory"):
        scene.store.snapshot(scene.user / "f", RULES)


def test_a_store_that_cannot_be_written_is_a_clear_error(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(scene.user, {"f": "1"})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecordError, match="No space left"):
        scene.store.snapshot(scene.user, RULES)


def test_a_file_that_vanishes_meanwhile_is_simply_gone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(scene.user, {"a": "1", "b": "2"})

    def and_remove(descriptor: int, size: int) -> bytes:
        (scene.user / "b").unlink(missing_ok=True)
        return read_all(descriptor, size)

    monkeypatch.setattr("cleveragents.boundary.snapshot.read_all", and_remove)
    tree = scene.store.snapshot(scene.user, RULES).tree
    assert set(listed(scene, tree)) == {"a"}


@pytest.mark.parametrize(
    ("path", "target", "stays"),
    [
        ("a", "b", True),
        ("a", "./b/c", True),
        ("d/a", "../b", True),
        ("a", "../b", False),
        ("d/a", "../../b", False),
        ("a", "/etc", False),
        ("a", "", False),
        ("a", "b/../../c", False),
        ("a", ".git/hooks", False),
        ("d/e/a", "../../b", True),
    ],
)
def test_a_link_is_judged_by_what_it_says(path: str, target: str, *, stays: bool) -> None:
    assert link_stays_inside(path, target) is stays


def test_base_trees_are_whole_shared_and_whole_again(scene: Scene) -> None:
    one = scene.tree({"a": "1", "run*": "r", "d/b": "2", "l@": "a", "twice": "1"})
    two = scene.tree({"a": "1", "run*": "r", "d/b": "changed", "l@": "a", "twice": "1"})
    first = scene.store.base_tree(one)
    assert shown(first)["run"] == ("0o100755", b"r")
    assert (first / "l").readlink() == Path("a")
    second = scene.store.base_tree(two)
    assert (second / "a").stat().st_ino == (first / "a").stat().st_ino
    assert (second / "d/b").stat().st_ino != (first / "d/b").stat().st_ino
    assert (second / "d/b").read_text() == "changed"
    assert (first / "d/b").read_text() == "2"
    assert scene.store.base_tree(two) == second


def test_a_base_tree_of_another_boot_is_laid_out_anew(scene: Scene) -> None:
    tree = scene.tree({"a": "1"})
    base = scene.store.base_tree(tree)
    (base / "a").unlink()
    (base / "a").write_text("")
    base.with_name(f"{tree}.boot").write_text("another boot")
    again = TreeStore(scene.git, scene.place / "cell", None)
    assert (again.base_tree(tree) / "a").read_text() == "1"


def test_base_trees_that_nobody_needs_are_removed(scene: Scene) -> None:
    one, two = scene.tree({"a": "1"}), scene.tree({"a": "2"})
    assert scene.store.prune(keep=()) == 0
    for tree in (one, two):
        scene.store.base_tree(tree)
    base = scene.place / "cell" / "base"
    (base / ".new-999999999-x").mkdir()
    (base / f".new-{os.getpid()}-x").mkdir()
    assert scene.store.prune(keep=(two,)) == 2
    kept = {place.name for place in base.iterdir()}
    assert kept == {two, f"{two}.boot", f".new-{os.getpid()}-x"}


def test_a_base_tree_belongs_to_the_cells_user(scene: Scene) -> None:
    if os.geteuid() != 0:
        return
    store = TreeStore(scene.git, scene.place / "other", (4242, 4243))
    base = store.base_tree(scene.tree({"d/a": "1", "l@": "d/a"}))
    for place in (base, base / "d", base / "d/a", base / "l"):
        assert (place.lstat().st_uid, place.lstat().st_gid) == (4242, 4243)
    passage = base.parent.stat()
    assert (passage.st_uid, passage.st_gid, passage.st_mode & 0o777) == (0, 4243, 0o710)


def test_other_users_of_the_machine_see_nothing(scene: Scene) -> None:
    scene.workspaces.create("plan", scene.tree({"a": "1"}), overlay=True)
    for place in (scene.git.git_dir, scene.place / "cell/base", scene.place / "cell/slot"):
        assert place.stat().st_mode & 0o777 == 0o700


def test_a_full_disk_leaves_no_half_base_tree(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = scene.tree({"a": "1", "b": "2"})
    calls = []

    def full(descriptor: int, mode: int) -> None:
        calls.append(mode)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fchmod", full)
    with pytest.raises(RecordError, match="No space left"):
        scene.store.base_tree(tree)
    monkeypatch.undo()
    assert [*(scene.place / "cell" / "base").iterdir()] == []
    assert (scene.store.base_tree(tree) / "b").read_text() == "2"


def test_a_cell_root_that_cannot_be_made_is_said(scene: Scene) -> None:
    (scene.place / "file").write_text("")
    store = TreeStore(scene.git, scene.place / "file", None)
    with pytest.raises(RecordError, match="cannot make"):
        store.base_tree(scene.tree({"a": "1"}))


def test_a_cell_root_of_somebody_else_is_refused_and_never_changed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = scene.place / "shared"
    root.mkdir()
    for mode in (0o1777, 0o775):
        root.chmod(mode)
        with pytest.raises(RecordError, match="others can write"):
            TreeStore(scene.git, root, None).prepare()
        assert root.stat().st_mode & 0o7777 == mode
    root.chmod(0o755)
    TreeStore(scene.git, root, None).prepare()
    assert root.stat().st_mode & 0o7777 == 0o755
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    with pytest.raises(RecordError, match="belongs to another user"):
        TreeStore(scene.git, root, None).prepare()


def test_a_cell_root_that_is_made_is_passable_only(scene: Scene) -> None:
    TreeStore(scene.git, scene.place / "deep" / "root", None).prepare()
    assert (scene.place / "deep" / "root").stat().st_mode & 0o7777 == 0o711


def test_a_file_with_too_many_links_is_written_anew(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.store.base_tree(scene.tree({"a": "1", "b": "1"}))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(31, "Too many links")

    monkeypatch.setattr(os, "link", refuse)
    base = scene.store.base_tree(scene.tree({"a": "1", "b": "2"}))
    assert (base / "a").read_text() == "1"


def test_a_listing_is_derived_from_the_one_before(scene: Scene) -> None:
    base = scene.tree({"a": "1", "b": "2"})
    goal = scene.tree({"a": "3", "c": "4"})
    scene.store.derive_listing(base, goal, ())
    before = scene.store.listing(base)
    scene.store.derive_listing(base, goal, scene.git.changes(base, goal))
    derived = scene.store.listing(goal)
    assert [*derived.entries] == ["a", "c"]
    assert derived.entries == {e.path: e for e in scene.git.list_tree(goal)}
    assert scene.store.listing(base) is before
    for at in range(10):
        scene.store.listing(scene.tree({"a": f"{at}"}))
    assert scene.store.listing(base) is not before


def test_an_error_that_is_no_files_fault_ends_the_snapshot(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(scene.user, {"d/a": "1", "b": "2"})
    opening, number = os.open, [0]

    def fail(path: str, flags: int, *args: int, **kwargs: int) -> int:
        if path in ("a", "d") and "dir_fd" in kwargs:
            raise OSError(number[0], os.strerror(number[0]))
        return opening(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", fail)
    number[0] = errno.EMFILE
    with pytest.raises(RecordError, match="Too many open files"):
        scene.store.snapshot(scene.user, RULES)
    number[0] = errno.ENOENT
    assert scene.store.snapshot(scene.user, RULES).left_out == ()
