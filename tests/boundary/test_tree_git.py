"""Git is asked hardened, and what it says is read exactly."""

from __future__ import annotations

import os
import re
import subprocess
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleveragents.boundary.blob_writer import blob_id
from cleveragents.boundary.git import Git, IndexRefusedError
from cleveragents.boundary.git_answer import Stage, TreeEntry, file_mode
from cleveragents.boundary.tree_merge import merge_apart
from cleveragents.errors import ConfigurationError, RecordError
from cleveragents.terms.proposal import FileChange
from tests.boundary.tree_scene import Files, Scene, listed

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def fsck(scene: Scene) -> str:
    done = subprocess.run(
        ["git", "--git-dir", scene.git.git_dir, "fsck", "--strict"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("count", [0, 1, 16, 17, 400])
def test_blobs_come_back_as_they_went_in(scene: Scene, count: int) -> None:
    contents = [os.urandom(at) for at in range(count)]
    blobs = scene.git.write_blobs(contents)
    assert scene.git.read_blobs(blobs) == dict(zip(blobs, contents, strict=True))
    assert "error" not in fsck(scene)


def test_blob_ids_are_gits_own(scene: Scene) -> None:
    (blob,) = scene.git.write_blobs([b"text\n"])
    assert blob == blob_id(b"text\n") == "8e27be7d6154a1f68ea9160ef0e18691d20560dc"
    assert scene.git.read_blob(blob) == b"text\n"


def test_a_large_file_is_written_in_pieces(scene: Scene, tmp_path: Path) -> None:
    data = os.urandom(3 << 20)
    (tmp_path / "large").write_bytes(data)
    descriptor = os.open(tmp_path / "large", os.O_RDONLY)
    with scene.git.blob_writer() as writer:
        first = writer.add(b"small")
        large = writer.add_file(descriptor, len(data))
        again = writer.add_file(descriptor, len(data))
    os.close(descriptor)
    assert scene.git.read_blobs([first, large]) == {first: b"small", large: data}
    assert again == large


def test_a_large_file_that_changes_meanwhile_leaves_no_object(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "large").write_bytes(b"a" * 5000)
    descriptor = os.open(tmp_path / "large", os.O_RDWR)
    seek, calls = os.lseek, []

    def change_before_the_second_reading(fd: int, at: int, how: int) -> int:
        calls.append(fd)
        if len(calls) == 2:
            os.pwrite(fd, b"b", 0)
        return seek(fd, at, how)

    monkeypatch.setattr(os, "lseek", change_before_the_second_reading)
    with pytest.raises(OSError, match="changed while"), scene.git.blob_writer() as writer:
        writer.add_file(descriptor, 5000)
    os.close(descriptor)
    assert not list((scene.git.objects / "pack").iterdir())


def test_an_error_while_blobs_are_collected_writes_none(scene: Scene) -> None:
    blob = blob_id(b"x")
    with pytest.raises(TypeError), scene.git.blob_writer() as writer:
        writer.add(b"x") + 1  # type: ignore[operator]  # the error that the test is about
    with pytest.raises(RecordError, match="cat-file failed"):
        scene.git.read_blob(blob)


def test_a_disk_that_is_full_leaves_no_half_object(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        scene.git.write_blobs([b"x"])
    monkeypatch.undo()
    (blob,) = scene.git.write_blobs([b"x"])
    assert scene.git.read_blob(blob) == b"x"


def test_a_missing_blob_is_a_record_error(scene: Scene) -> None:
    with pytest.raises(RecordError, match="missing or damaged"):
        scene.git.read_blobs(["1" * 40])
    with pytest.raises(RecordError, match="missing"):
        scene.git.update_tree(
            scene.tree({"a": "1"}), [FileChange("b", "added", "100644", "1" * 40)]
        )
    with pytest.raises(RecordError, match="write-tree failed"):
        scene.git.tree_from_entries([TreeEntry("a", "100644", "1" * 40)])


@pytest.mark.parametrize("name", [".git/config", "a/.GIT/x", ".g\u200cit/x", "git~1/x", ".git ./x"])
def test_the_index_is_a_second_check_of_names(scene: Scene, name: str) -> None:
    (blob,) = scene.git.write_blobs([b"x"])
    with pytest.raises(IndexRefusedError):
        scene.git.update_tree(scene.tree({"a": "1"}), [FileChange(name, "added", "100644", blob)])
    with pytest.raises(IndexRefusedError):
        scene.git.tree_from_entries([TreeEntry(name, "100644", blob)])


def test_trees_are_told_apart_from_nothing(scene: Scene) -> None:
    tree = scene.tree({"a": "1"})
    (blob,) = scene.git.write_blobs([b"x"])
    assert scene.git.has_tree(tree)
    assert not scene.git.has_tree(blob)
    assert not scene.git.has_tree("2" * 40)


def test_changes_and_patch_say_what_differs(scene: Scene) -> None:
    before = scene.tree({"a": "1\n" * 9, "gone": "g", "mode": "m", "bin": b"\0\1"})
    after = scene.tree({"moved": "1\n" * 9, "mode*": "m", "bin": b"\0\2", "link@": "mode"})
    changes = {change.path: change for change in scene.git.changes(before, after)}
    assert {path: change.kind for path, change in changes.items()} == {
        "a": "deleted",
        "gone": "deleted",
        "mode": "modified",
        "bin": "modified",
        "moved": "added",
        "link": "added",
    }
    assert changes["moved"].size == 18
    assert changes["mode"].mode == "100755"
    patch = scene.git.patch(before, after)
    for line in ("rename from a", "new mode 100755", "GIT binary patch", "deleted file mode"):
        assert line in patch
    assert scene.git.changes(before, before) == ()


def test_no_attribute_of_a_tree_changes_what_is_laid_out(scene: Scene) -> None:
    files = {".gitattributes": "* text eol=crlf ident filter=x\n", "a": "1\n$Id$\n"}
    tree = scene.tree(files)
    base = scene.store.base_tree(tree)
    assert (base / "a").read_bytes() == b"1\n$Id$\n"


BASE: Files = {
    "f": "1\n2\n3\n4\n5\n",
    "same": "s",
    "bin": b"\0a",
    "ren": "r\n" * 30,
    "dm": "1\n2\n",
}


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ({"f": "one\n2\n3\n4\n5\n"}, {"f": "1\n2\n3\n4\nfive\n"}, {}),
        ({"f": "x\n2\n3\n4\n5\n"}, {"f": "y\n2\n3\n4\n5\n"}, {"f": "content"}),
        ({"bin": b"\0b"}, {"bin": b"\0c"}, {"bin": "binary"}),
        ({"dm": None}, {"dm": "1\n2\n3\n"}, {"dm": "delete/modify"}),
        ({"new": "a"}, {"new": "b"}, {"new": "add/add"}),
        ({"new": "a"}, {"new*": "a"}, {"new": "mode"}),
        ({"new": "a"}, {"new@": "f"}, {"new": "mode"}),
        (
            {"ren": None, "r1": "r\n" * 30},
            {"ren": None, "r2": "r\n" * 30},
            {"ren": "rename", "r1": "rename", "r2": "rename"},
        ),
        ({"x": "file"}, {"x/y": "below"}, {"x": "file/directory"}),
    ],
)
def test_a_merge_names_each_conflict(
    scene: Scene,
    ours: Files,
    theirs: Files,
    expected: dict[str, str],
) -> None:
    def side(changed: Files) -> str:
        return scene.tree(BASE | changed)

    base, mine, yours = side({}), side(ours), side(theirs)
    outcome = scene.git.merge(base, mine, yours)
    assert {one.path: one.kind for one in outcome.conflicts} == expected
    assert outcome.is_clean == (not expected)
    for conflict in outcome.conflicts:
        assert conflict.path in conflict.message
        assert not re.search("[0-9a-f]{40}", conflict.message)
    # Taking one side everywhere gives a tree that holds that side's word on every conflict.
    settled = listed(scene, scene.git.settle(outcome, {c.path: c.ours for c in outcome.conflicts}))
    mine_listed = listed(scene, mine)
    for path in expected:
        assert settled.get(path) == mine_listed.get(path)
    assert not any("~" in path for path in settled)


def test_a_merge_in_which_one_side_did_nothing_needs_no_git(scene: Scene) -> None:
    base, other = scene.tree({"a": "1"}), scene.tree({"a": "2"})
    assert scene.git.merge(base, base, other).tree == other
    assert scene.git.merge(base, other, base).tree == other
    assert scene.git.merge(base, other, other).tree == other


def test_a_conflict_settled_with_a_file_of_ones_own(scene: Scene) -> None:
    base, mine, yours = (scene.tree({"a": text}) for text in ("0\n", "1\n", "2\n"))
    outcome = scene.git.merge(base, mine, yours)
    (blob,) = scene.git.write_blobs([b"3\n"])
    settled = scene.git.settle(outcome, {"a": Stage("a", "100644", blob)})
    assert listed(scene, settled) == {"a": ("100644", b"3\n")}
    assert listed(scene, scene.git.settle(outcome, {"a": None})) == {}


def test_a_repository_is_opened_again(scene: Scene) -> None:
    tree = scene.tree({"a": "1"})
    assert Git.open(scene.git.git_dir).has_tree(tree)


def git_that(tmp_path: Path, at_init: str) -> str:
    """A git that does something of its own when a repository is made."""
    program = tmp_path / "git"
    program.write_text(
        f'#!/bin/sh\nlast=""\nfor word; do [ "$word" = init ] && last=init; done\n'
        f'[ "$last" = init ] || echo >> {tmp_path}/asked\n'
        f'if [ "$last" = init ]; then {at_init}; fi\nexec git "$@"\n'
    )
    program.chmod(0o755)
    return str(program)


def test_a_repository_is_made_once_however_many_want_it(tmp_path: Path) -> None:
    openers = 8
    (tmp_path / "asked").touch()
    all_there = f'while [ "$(wc -l < {tmp_path}/asked)" -lt {openers} ]; do :; done'
    program = git_that(tmp_path, f"{all_there}; echo >> {tmp_path}/made")
    with ThreadPoolExecutor(openers) as pool:
        gits = [
            one.result()
            for one in [
                pool.submit(Git.open, tmp_path / "home" / "g", program=program)
                for _ in range(openers)
            ]
        ]
    assert (tmp_path / "made").read_text() == "\n"
    (blob,) = gits[0].write_blobs([b"x"])
    assert all(git.read_blob(blob) == b"x" for git in gits)
    assert sorted(path.name for path in (tmp_path / "home").iterdir()) == ["g", "g.lock"]


def test_a_repository_whose_making_was_cut_off_is_made_anew(tmp_path: Path) -> None:
    place = tmp_path / "g"
    half = 'echo "ref: refs/heads/master" > "$GIT_DIR/HEAD"; exit 1'
    with pytest.raises(RecordError, match="git init failed"):
        Git.open(place, program=git_that(tmp_path, half))
    git = Git.open(place)
    (blob,) = git.write_blobs([b"x"])
    assert git.read_blobs([blob]) == {blob: b"x"}
    # One that lost its first line keeps what it holds.
    (place / "HEAD").unlink()
    assert Git.open(place).read_blob(blob) == b"x"


def test_no_git_or_an_old_one_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="git is not installed"):
        Git.open(tmp_path / "g", program=str(tmp_path / "absent"))
    old = tmp_path / "git"
    old.write_text("#!/bin/sh\necho git version 2.37.9\n")
    old.chmod(0o755)
    with pytest.raises(ConfigurationError, match=r"2\.37\.9 is too old"):
        Git.open(tmp_path / "g", program=str(old))
    assert not (tmp_path / "g").exists()


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="cannot make"):
        Git.open(tmp_path / "file" / "g")


def test_a_git_that_vanished_or_died_is_a_record_error(scene: Scene, tmp_path: Path) -> None:
    gone = Git(scene.git.git_dir, program=str(tmp_path / "absent"))
    with pytest.raises(RecordError, match="did not run"):
        gone.read_blob("1" * 40)
    silent = tmp_path / "git"
    silent.write_text("#!/bin/sh\nexit 9\n")
    silent.chmod(0o755)
    with pytest.raises(RecordError, match="failed: status 9"):
        Git(scene.git.git_dir, program=str(silent)).read_blob("1" * 40)
    silent.write_text("#!/bin/sh\necho 1111111111111111111111111111111111111111 blob 9; echo xy\n")
    with pytest.raises(RecordError, match="in the middle"):
        Git(scene.git.git_dir, program=str(silent)).read_blobs(["1" * 40])


def test_sizes_of_missing_blobs_are_a_record_error(scene: Scene) -> None:
    with pytest.raises(RecordError, match="missing"):
        scene.git._sizes({"1" * 40})


def test_the_environment_of_the_caller_does_not_reach_git(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.protectHFS")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "false")
    assert scene.git.has_tree(scene.tree({"a": "1"}))
    (blob,) = scene.git.write_blobs([b"x"])
    with pytest.raises(IndexRefusedError):
        scene.git.tree_from_entries([TreeEntry(".g\u200cit/a", "100644", blob)])


def test_a_mode_that_is_no_files_is_refused() -> None:
    assert file_mode("120000") == "120000"
    with pytest.raises(ValueError, match="160000"):
        file_mode("160000")


@pytest.fixture(scope="module")
def git(tmp_path_factory: pytest.TempPathFactory) -> Git:
    return Git.open(tmp_path_factory.mktemp("splice") / "g")


NAMES = st.sampled_from(["a", "b", "a-", "a.b", "ab", "a0", "é"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


def fits(paths: set[str]) -> bool:
    return not any(other.startswith(path + "/") for path in paths for other in paths)


@given(st.sets(PATHS, max_size=8).filter(fits), st.sets(PATHS, max_size=8).filter(fits), st.data())
def test_a_spliced_tree_is_the_one_that_the_index_makes(
    git: Git, before: set[str], after: set[str], data: st.DataObject
) -> None:
    one, two = git.write_blobs([b"1", b"2"])
    base = git.tree_from_entries([TreeEntry(path, "100644", one) for path in sorted(before)])
    changed = {path: data.draw(st.sampled_from([one, two])) for path in sorted(after)}
    goal = git.tree_from_entries([TreeEntry(p, "100755", b) for p, b in changed.items()])
    changes = git.changes(base, goal)
    assert git.update_tree(base, changes) == goal


@pytest.mark.parametrize(
    ("files", "path"), [({"a": "1"}, "a/b"), ({"a/b": "1"}, "a"), ({"a/b/c": "1"}, "a/b")]
)
def test_a_change_that_does_not_fit_its_tree_is_refused(
    scene: Scene, files: Files, path: str
) -> None:
    (blob,) = scene.git.write_blobs([b"x"])
    with pytest.raises(RecordError, match="share the name"):
        scene.git.update_tree(scene.tree(files), [FileChange(path, "added", "100644", blob)])


def test_two_changes_of_one_place_do_not_fit(scene: Scene) -> None:
    (blob,) = scene.git.write_blobs([b"x"])
    changes = [FileChange(path, "added", "100644", blob) for path in ("n", "n/m")]
    with pytest.raises((RecordError, IndexRefusedError)):
        scene.git.update_tree(scene.tree({"a": "1"}), changes)


def test_deleting_what_is_not_there_changes_nothing(scene: Scene) -> None:
    tree = scene.tree({"d/a": "1"})
    gone = [FileChange(path, "deleted", None, None) for path in ("x", "d", "y/z")]
    assert scene.git.update_tree(tree, gone) == tree
    everything = [FileChange("d/a", "deleted", None, None)]
    assert listed(scene, scene.git.update_tree(tree, everything)) == {}
    assert scene.git.update_tree(tree, []) == tree


MERGE_NAMES = ("a", "b", "d/a", "d/b", "d/e/a", "e/a", "x")
TEXTS = ("1\n2\n3\n4\n5\n6\n7\n8\n", "1\n2\n3\n4\n5\n6\n7\nq\n", "another\n")
SOME_FILES = st.dictionaries(st.sampled_from(MERGE_NAMES), st.sampled_from(TEXTS), max_size=5)


def made_of(git: Git, files: dict[str, str]) -> str:
    blobs = git.write_blobs(text.encode() for text in files.values())
    entries = zip(files, blobs, strict=True)
    return git.tree_from_entries(TreeEntry(path, "100644", blob) for path, blob in entries)


@given(base=SOME_FILES, ours=SOME_FILES, theirs=SOME_FILES)
def test_a_merge_is_gits_own(
    git: Git, base: dict[str, str], ours: dict[str, str], theirs: dict[str, str]
) -> None:
    trees = [made_of(git, files) for files in (base, ours, theirs)]
    said = git.merge(trees[0], trees[1], trees[2])
    root = git._commit(trees[0])
    sides = [git._commit(tree, root) for tree in trees[1:]]
    done = subprocess.run(
        [*git._command(("merge-tree", "--write-tree", "-z")), *sides],
        capture_output=True,
        check=False,
        env={"GIT_DIR": str(git.git_dir), "PATH": os.environ["PATH"]},
    )
    assert said.tree == done.stdout.split(b"\0")[0].decode()
    if said.is_apart:
        assert git.changes(trees[1], said.tree) == git.changes(trees[0], trees[2])
    assert said.is_clean == (done.returncode == 0)


def test_a_merge_of_what_is_apart_needs_no_process(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = {f"d{at}/f": str(at) for at in range(4)}
    trees = [
        scene.tree(base),
        scene.tree({**base, "d0/f": "mine", "new/a": "1"}),
        scene.tree({**{p: t for p, t in base.items() if p != "d2/f"}, "d1/f": "yours"}),
    ]
    merged = scene.tree({"d0/f": "mine", "d1/f": "yours", "d3/f": "3", "new/a": "1"})

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "run", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert scene.git.merge(*trees).tree == merged
    assert [(one.path, one.kind) for one in scene.git.changes(trees[1], merged)] == [
        ("d1/f", "modified"),
        ("d2/f", "deleted"),
    ]


def test_a_file_that_both_moved_elsewhere_is_a_conflict(scene: Scene) -> None:
    text = "one\ntwo\nthree\nfour\n"
    outcome = scene.git.merge(
        scene.tree({"d/a": text, "k": ""}),
        scene.tree({"d/b": text, "k": ""}),
        scene.tree({"d/c": text, "k": ""}),
    )
    assert not outcome.is_clean


def test_a_damaged_object_is_a_record_error(scene: Scene) -> None:
    tree, other = scene.tree({"d/a": "1"}), scene.tree({"d/a": "2"})
    place = scene.git.objects / other[:2] / other[2:]
    whole = place.read_bytes()
    for damaged, said in (
        (b"", "damaged"),
        (whole[:-4], "damaged"),
        (zlib.compress(b"tree 3\0abc"), "another one's"),
    ):
        place.chmod(0o644)
        place.write_bytes(damaged)
        with pytest.raises(RecordError, match=said):
            scene.git.changes(tree, other)


@given(st.binary(max_size=3000))
def test_sizes_of_loose_blobs_are_read_from_their_beginning(git: Git, data: bytes) -> None:
    tree = made_of(git, {"a": "1"})
    (blob,) = git.write_blobs([data])
    after = git.update_tree(tree, [FileChange("b", "added", "100644", blob)])
    assert [one.size for one in git.changes(tree, after)] == [len(data)]


def test_an_object_of_another_kind_is_a_record_error(scene: Scene) -> None:
    (blob,) = scene.git.write_blobs([b"x"])
    with pytest.raises(RecordError, match="it is no tree"):
        scene.git.changes(scene.tree({"a": "1"}), blob)
    with pytest.raises(RecordError, match="missing"):
        scene.git.update_tree(
            scene.tree({"a": "1"}),
            [FileChange("b", "added", "100644", scene.tree({"a": "1"}))],
        )


def test_a_side_that_changed_nothing_gives_the_other_one(scene: Scene) -> None:
    base, changed = scene.tree({"d/a": "1", "b": "1"}), scene.tree({"d/a": "2", "b": "1"})

    def merged(ours: str, theirs: str) -> str | None:
        with scene.git.object_reader() as objects:
            return merge_apart(
                base, ours, theirs, read_tree=objects.read_tree, write_tree=lambda _: "0" * 40
            )

    assert merged(changed, base) == merged(base, changed) == changed
    assert merged(changed, changed) is None


def test_an_object_that_cannot_be_read_is_a_record_error(scene: Scene) -> None:
    tree = scene.tree({"a": "1"})
    (blob,) = scene.git.write_blobs([b"x"])
    change = FileChange("b", "added", "100644", blob)
    place = scene.git.objects / blob[:2] / blob[2:]
    place.chmod(0o644)
    place.write_bytes(zlib.compress(b"no header at all" * 8))
    with pytest.raises(RecordError, match="it has no header"):
        scene.git.update_tree(tree, [change])
    place.write_bytes(b"not packed")
    with pytest.raises(RecordError, match="is damaged"):
        scene.git.update_tree(tree, [change])
    place.unlink()
    place.mkdir()
    for ask in (
        lambda: scene.git.read_blobs([blob]),
        lambda: scene.git.update_tree(tree, [change]),
    ):
        with pytest.raises(RecordError, match="is damaged"):
            ask()


def test_trees_that_are_packed_are_read_by_git(scene: Scene) -> None:
    before, after = scene.tree({"d/a": "1", "b": "1"}), scene.tree({"d/a": "2", "b": "1"})
    scene.git.run("update-ref", "refs/heads/kept", scene.git._commit(before))
    scene.git.run("update-ref", "refs/heads/too", scene.git._commit(after))
    scene.git.run("repack", "-a", "-d", "-q")
    scene.git.run("prune-packed")
    assert not (scene.git.objects / before[:2] / before[2:]).exists()
    assert [one.path for one in scene.git.changes(before, after)] == ["d/a"]
