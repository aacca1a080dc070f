"""What comes back from a cell keeps every rule, or is refused by name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cleveragents.boundary import collect as collect_module
from cleveragents.boundary.beneath_host import opened
from cleveragents.boundary.collect import CollectLimits
from cleveragents.boundary.difference import Difference
from cleveragents.boundary.git import Git, IndexRefusedError
from cleveragents.boundary.held_path import held_among
from cleveragents.boundary.leave_out import LeaveOutRules
from cleveragents.boundary.returned_name import fold_index, is_git_name, reason_against, twins
from cleveragents.errors import RecordError
from tests.boundary.tree_scene import Scene, fill, listed, whiteout

if TYPE_CHECKING:
    from pathlib import Path

BASE = {"a": "1", "docs/x": "x", ".gitignore": "*.log\nbuild/\n", "seen.log": "kept in the tree"}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def refused(scene: Scene, files: dict[str, bytes | str | None], **kwargs: object) -> dict[str, str]:
    slot = scene.slot(BASE, overlay=bool(kwargs.pop("overlay", True)))
    fill(slot.writable, files)
    change = scene.collect(slot, **kwargs)  # type: ignore[arg-type]  # write=... only
    assert not {one.path for one in change.changes} & {one.path for one in change.refused}
    return {one.path: one.reason for one in change.refused}


@pytest.mark.parametrize("overlay", [True, False])
@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("sub/.git/config", "git's own"),
        (".GIT/config", "git's own"),
        ("d/.git", "git's own"),
        (".git", "git's own"),
        ("x/git~1", "git's own"),
        (".g\u200cit/hooks/x", "git's own"),
        ("back\\slash", "backslash or a colon"),
        ("colon:stream", "backslash or a colon"),
        ("ends.", "dot or a space"),
        ("ends ", "dot or a space"),
        ("bell\x07", "control characters"),
        (os.fsdecode(b"latin\xe9"), "not UTF-8"),
        ("A", "letter case"),
        ("DOCS/y", "letter case"),
    ],
)
def test_a_name_that_is_dangerous_somewhere_is_refused(
    scene: Scene, path: str, part: str, *, overlay: bool
) -> None:
    found = refused(scene, {path: "x", "fine": "x"}, overlay=overlay)
    assert len(found) == 1
    assert part in next(iter(found.values()))


@pytest.mark.parametrize("overlay", [True, False])
def test_two_new_names_that_differ_by_case_only_are_refused(scene: Scene, *, overlay: bool) -> None:
    files: dict[str, bytes | str | None] = {
        "new/TWIN": "x",
        "new/twin": "x",
        "p/Q/r": "x",
        "p/q/s": "x",
    }
    assert refused(scene, files, overlay=overlay) == {
        "new/twin": "it differs from 'new/TWIN' by letter case only",
        "p/q/s": "it differs from 'p/Q' by letter case only",
    }


def test_a_fine_name_beside_it_comes_back(scene: Scene) -> None:
    assert refused(scene, {"fine": "x", "ünï/ö.md": "x", ".gitattributes": "", "docs/y": ""}) == {}


@pytest.mark.parametrize("target", ["/etc/passwd", "../out", "b/../../c", ".git/config", ""])
def test_a_link_that_leaves_is_refused(scene: Scene, target: str) -> None:
    if target:
        assert "link" in refused(scene, {"l@": target})["l"]


def test_a_link_that_stays_comes_back_unless_links_do_not(scene: Scene) -> None:
    assert refused(scene, {"docs/l@": "../a"}) == {}


def test_a_guests_own_repository_is_thrown_away(scene: Scene) -> None:
    slot = scene.slot(BASE)
    fill(slot.upper, {".git/config": "[core]\nfsmonitor=evil", ".git/hooks/pre-commit*": "evil"})
    fill(slot.upper, {"a": "2"})
    change = scene.collect(slot)
    assert change.refused == ()
    assert [one.path for one in change.changes] == ["a"]
    assert change.ignored == 4


def test_files_outside_the_write_paths_are_refused_by_name(scene: Scene) -> None:
    slot = scene.slot(BASE)
    fill(slot.upper, {"docs/new": "fine", "docs/x": "fine", "a": "2", "other/b": "3"})
    whiteout(slot.upper, "seen.log")
    change = scene.collect(slot, write=("docs/",))
    assert {one.path: one.reason for one in change.refused} == {
        "a": "it is outside the write paths",
        "other/b": "it is outside the write paths",
        "seen.log": "it was deleted, outside the write paths",
    }
    assert {one.path for one in change.changes} == {"docs/new", "docs/x"}
    assert listed(scene, change.tree)["a"] == ("100644", b"1")


def test_a_granted_file_is_that_file_only(scene: Scene) -> None:
    assert refused(scene, {"a": "2"}, write=("a",)) == {}
    assert set(refused(scene, {"a2": "2"}, write=("a",))) == {"a2"}
    assert set(refused(scene, {"a": "2"}, write=())) == {"a"}


def test_ignored_and_secret_files_are_counted_not_collected(scene: Scene) -> None:
    slot = scene.slot(BASE)
    fill(
        slot.upper,
        {
            "run.log": "x",
            "build/out/a.o": "x",
            ".env": "SECRET",
            "seen.log": "what the tree holds is never ignored",
            "node_modules/.gitignore": "*",
            "node_modules/m.js": "x",
            "fine": "x",
        },
    )
    os.link(slot.upper / "node_modules/m.js", slot.upper / "node_modules/linked.js")
    os.mkfifo(slot.upper / "build/pipe")
    change = scene.collect(slot)
    assert {one.path for one in change.changes} == {"seen.log", "fine"}
    assert change.refused == ()
    assert change.ignored == 7


def test_the_ignore_files_in_force_are_those_of_the_result(scene: Scene) -> None:
    slot = scene.slot(BASE)
    fill(slot.upper, {".gitignore": "*.tmp\n", "x.tmp": "ignored now", "x.log": "no more"})
    assert {one.path for one in scene.collect(slot).changes} == {".gitignore", "x.log"}
    slot = scene.slot(BASE)
    whiteout(slot.upper, ".gitignore")
    fill(slot.upper, {"x.log": "no more", "d/.gitignore@": "../a", "d/x.log": "1"})
    changed = {one.path for one in scene.collect(slot).changes}
    assert changed == {".gitignore", "x.log", "d/.gitignore", "d/x.log"}


def test_what_runs_code_later_is_held(scene: Scene) -> None:
    slot = scene.slot(BASE)
    fill(slot.upper, {"Makefile": "all:", ".github/workflows/ci.yml": "on:", "a": "2"})
    assert scene.collect(slot).held == (".github/workflows/ci.yml", "Makefile")
    other = scene.workspaces.collect(slot, write_paths=["."], rules=scene.rules, held=("a",))
    assert other.held == ("a",)
    none = scene.workspaces.collect(slot, write_paths=["."], rules=scene.rules, held=())
    assert none.held == ()


@pytest.mark.parametrize(
    "path", ["conftest.py", "a/CONFTEST.PY", ".vscode/settings.json", "x/.husky/y/z", "a/b.pth"]
)
def test_a_held_name_is_held_at_any_depth(path: str) -> None:
    assert held_among([path, "fine.py", "src/makefile_reader.py"]) == (path,)


def test_caps_are_checked_before_anything_is_read(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = scene.slot(BASE)
    fill(slot.upper, {"big": b"x" * 2000, "one": b"x" * 900, "two": b"x" * 900})
    read: list[int] = []

    def note(_: int, size: int) -> bytes:
        read.append(size)
        return b""

    monkeypatch.setattr("cleveragents.boundary.collect.read_all", note)

    def collect(limits: CollectLimits) -> dict[str, str]:
        change = scene.workspaces.collect(slot, write_paths=["."], rules=scene.rules, limits=limits)
        return {one.path: one.reason for one in change.refused}

    total = collect(CollectLimits(file_bytes=1000, total_bytes=1000))
    assert total == {
        "big": "it is larger than 1000 bytes",
        ".": "the changed files hold more than 1000 bytes",
    }
    assert collect(CollectLimits(files=2)) == {".": "more than 2 files changed"}
    assert read == []


def test_a_large_file_comes_back_in_pieces(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect_module, "HELD_BYTES", 100)
    slot = scene.slot(BASE)
    fill(slot.upper, {"big": b"x" * 2000})
    assert listed(scene, scene.collect(slot).tree)["big"] == ("100644", b"x" * 2000)


def test_what_the_index_refuses_is_refused(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    slot = scene.slot(BASE)
    fill(slot.upper, {"a": "2"})

    def refuse(*_: object) -> str:
        raise IndexRefusedError("Ignoring path a")

    monkeypatch.setattr(Git, "update_tree", refuse)
    change = scene.collect(slot)
    assert change.tree == slot.tree
    assert change.refused[0].reason == "git says: Ignoring path a"


def test_links_can_be_forbidden(scene: Scene) -> None:
    slot = scene.slot(BASE)
    fill(slot.upper, {"l@": "a"})
    difference = Difference(scene.store.listing(slot.tree))
    with opened(slot.upper) as root, scene.git.blob_writer() as writer:
        difference.add_layer(0, root)
        collector = collect_module.Collector(
            difference=difference,
            layers=(slot.upper,),
            admits=lambda _: True,
            rules=LeaveOutRules(),
            base_ignores=lambda _: None,
            limits=CollectLimits(),
            allow_links=False,
        )
        collected = collector.collect(writer)
    assert [one.reason for one in collected.refused] == ["it is a link"]


def test_a_layer_that_is_gone_is_a_record_error(scene: Scene) -> None:
    slot = scene.slot(BASE)
    slot.upper.rmdir()
    with pytest.raises(RecordError, match="cannot collect the workspace"):
        scene.collect(slot)


def test_names_are_judged_alike_in_every_spelling() -> None:
    assert is_git_name(".Git.")
    assert is_git_name("GIT~12")
    assert is_git_name(".git:stream")
    assert not is_git_name(".github")
    assert not is_git_name("git~x")
    assert reason_against("a/../b") is not None
    assert reason_against("a//b") is not None
    assert reason_against("x/" * 150 + "y") is not None
    assert reason_against("x" * 4000) is not None


def test_twins_are_found_in_files_directories_and_composition() -> None:
    there = fold_index(["a", "dir/y", "xy", "\u00e9", "d/f", "b/C", "both", "BOTH"])
    assert twins([], there) == {}, "what was there before is not blamed"
    assert twins(["A"], there) == {"A": "a"}
    assert twins(["A"], there, lambda one: one != "a") == {}, "a file may change its case"
    assert twins(["Dir/x"], there) == {"Dir/x": "dir"}
    assert twins(["a/b/C", "a/b/c"], {}) == {"a/b/c": "a/b/C"}
    assert twins(["e\u0301"], there) == {"e\u0301": "\u00e9"}
    assert twins(["x\u200cy"], there) == {"x\u200cy": "xy"}
    assert twins(["Both"], there, lambda one: one != "both") == {"Both": "BOTH"}
    assert twins(["e", "d/e", "b/c/d"], there) == {"b/c/d": "b/C"}


def test_a_file_or_directory_may_change_its_case(scene: Scene) -> None:
    slot = scene.slot(BASE)
    fill(slot.upper, {"A": "1", "Docs/x": "x"})
    whiteout(slot.upper, "a")
    whiteout(slot.upper, "docs")
    change = scene.collect(slot)
    assert change.refused == ()
    assert set(listed(scene, change.tree)) == {".gitignore", "A", "Docs/x", "seen.log"}
