"""A change gets into a person's directory whole, and only where it fits."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

import pytest

from cleveragents.boundary import file_state
from cleveragents.boundary.apply import ApplyReport, DirectoryApply
from cleveragents.boundary.apply_journal import JournalShelf, Step
from cleveragents.boundary.apply_step import StepBlockedError, StepRunner
from cleveragents.boundary.beneath_host import mount_of, opened
from cleveragents.boundary.git_answer import TreeEntry
from cleveragents.errors import (
    ApplyFailedError,
    ConfigurationError,
    MergeConflictError,
    MergeRefusedError,
    PlanBusyError,
)
from tests.boundary.tree_scene import Files, Scene, as_nobody, fill, in_child, passable, shown

BASE: Files = {
    "a": "1",
    "run*": "r",
    "d/x": "x",
    "d/e/y": "y",
    "file": "becomes a directory",
    "dir/f": "becomes a file",
    "l@": "a",
    "keep": "k",
}
GOAL: Files = {
    "a": "2",
    "run": "r",
    "moved/x": "x",
    "file/inner": "below",
    "dir": "file now",
    "l@": "keep",
    "keep": "k",
    "empty": b"",
    "bin*": bytes(range(256)),
    "new/deep/er": "n",
}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    made = Scene(tmp_path)
    fill(made.user, BASE)
    return made


def apply(scene: Scene, goal: Files = GOAL, base: Files = BASE) -> ApplyReport:
    return door(scene).apply(scene.user, scene.tree(base), scene.tree(goal), plan_id="01J")


def door(scene: Scene) -> DirectoryApply:
    return DirectoryApply(scene.git, scene.place / "journal")


def conflicts(scene: Scene, goal: Files = GOAL) -> dict[str, str]:
    found = door(scene).check(scene.user, scene.tree(BASE), scene.tree(goal))
    return {one.path: one.reason for one in found}


def whole(directory: Path, tree: Path) -> bool:
    compared = subprocess.run(["diff", "-r", "--no-dereference", directory, tree], check=False)
    return compared.returncode == 0


def test_every_kind_of_change_arrives(scene: Scene) -> None:
    assert conflicts(scene) == {}
    report = apply(scene)
    assert set(report.deleted) == {"d/x", "d/e/y", "file", "dir/f"}
    assert {"a", "run", "bin", "new/deep/er", "dir", "file/inner", "l"} <= set(report.written)
    assert whole(scene.user, scene.store.base_tree(scene.tree(GOAL)))
    modes = {path: facts for path, (facts, _) in shown(scene.user).items()}
    assert (modes["run"], modes["bin"], modes["a"]) == ("0o100644", "0o100755", "0o100644")
    assert not (scene.user / "d").exists(), "a directory that the change emptied goes"
    assert not any((scene.place / "journal").glob("*/*.journal"))


def test_applying_again_does_nothing(scene: Scene) -> None:
    first = apply(scene)
    before = {path: path.lstat().st_mtime_ns for path in scene.user.rglob("*")}
    assert apply(scene) == first
    assert {path: path.lstat().st_mtime_ns for path in scene.user.rglob("*")} == before


def test_no_change_touches_nothing(scene: Scene) -> None:
    before = shown(scene.user)
    assert apply(scene, BASE) == ApplyReport((), ())
    assert shown(scene.user) == before


def test_a_directory_with_other_files_stays(scene: Scene) -> None:
    fill(scene.user, {"d/mine": "m", "d/e/.env": "secret"})
    apply(scene, {path: content for path, content in BASE.items() if not path.startswith("d/")})
    assert set(shown(scene.user / "d")) == {"mine", "e", "e/.env"}


def test_an_empty_directory_that_was_empty_before_stays(scene: Scene) -> None:
    (scene.user / "void").mkdir()
    apply(scene)
    assert (scene.user / "void").is_dir()


def test_the_persons_permissions_are_kept(scene: Scene) -> None:
    (scene.user / "a").chmod(0o600)
    (scene.user / "run").chmod(0o750)
    (scene.user / "keep").chmod(0o640)
    apply(scene, {**BASE, "a": "2", "run": "r", "keep*": "k"})
    modes = {path: facts[-3:] for path, (facts, _) in shown(scene.user).items()}
    assert (modes["a"], modes["run"], modes["keep"]) == ("600", "640", "750")


def test_extended_attributes_are_kept(scene: Scene) -> None:
    os.setxattr(scene.user / "a", "user.note", b"mine")
    apply(scene)
    assert os.getxattr(scene.user / "a", "user.note") == b"mine"


def test_new_content_never_runs_as_its_owner_or_group(scene: Scene) -> None:
    (scene.user / "run").chmod(0o6755)
    apply(scene, {**BASE, "run*": "new"})
    assert (scene.user / "run").read_text() == "new"
    assert (scene.user / "run").stat().st_mode & 0o7777 == 0o755


def test_capabilities_stay_with_the_old_content(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = []
    monkeypatch.setattr(os, "listxattr", lambda _: ["security.capability", "user.note"])
    monkeypatch.setattr(os, "getxattr", lambda *_: b"")
    monkeypatch.setattr(os, "setxattr", lambda _, name, __: kept.append(name))
    apply(scene, {**BASE, "a": "2"})
    assert kept == ["user.note"]


def test_a_link_in_place_of_a_fresh_directory_is_not_followed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = scene.place / "victim"
    victim.write_text("not the plan's")
    victim.chmod(0o600)
    make = os.mkdir

    def swap(name: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        make(name, mode, dir_fd=dir_fd)
        if name == "sub":
            os.rename("sub", "aside", src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
            os.symlink(victim, "sub", dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", swap)
    step = Step(kind="mkdir", path="sub", number=0, permissions=0o755, uid=4242, gid=4242)
    with opened(scene.user) as root, pytest.raises(StepBlockedError):
        StepRunner(root).do(step)
    facts = victim.stat()
    assert (facts.st_mode & 0o7777, facts.st_uid) == (0o600, os.geteuid())


def test_new_files_belong_to_the_directorys_owner(scene: Scene) -> None:
    if os.geteuid() != 0:
        return
    os.chown(scene.user, 4242, 4243)
    os.chown(scene.user / "a", 4244, 4245)
    apply(scene)
    for path, owner in {
        "empty": (4242, 4243),
        "new": (4242, 4243),
        "new/deep/er": (4242, 4243),
        "a": (4244, 4245),
    }.items():
        facts = (scene.user / path).stat()
        assert (facts.st_uid, facts.st_gid) == owner, path


@pytest.mark.parametrize(
    ("spoil", "path", "reason"),
    [
        ({"a": "changed"}, "a", "it changed since the plan started"),
        ({"a*": "1"}, "a", "its mode changed since the plan started"),
        ({"empty": "was there, left out"}, "empty", "something is there that the plan did not see"),
        ({"new@": "d"}, "new/deep/er", "a directory on its way is a file or a link here"),
        ({"new": "file"}, "new/deep/er", "a directory on its way is a file or a link here"),
        ({"empty/x": "1"}, "empty", "empty/x is in the directory of this name"),
        ({"dir/e/.env": "1"}, "dir", "dir/e/.env is in the directory of this name"),
    ],
)
def test_a_directory_that_differs_is_a_conflict(
    scene: Scene, spoil: Files, path: str, reason: str
) -> None:
    fill(scene.user, spoil)
    before = shown(scene.user)
    assert conflicts(scene) == {path: reason}
    with pytest.raises(MergeConflictError) as caught:
        apply(scene)
    assert caught.value.paths == (path,)
    assert shown(scene.user) == before


def test_what_was_deleted_or_replaced_is_a_conflict(scene: Scene) -> None:
    (scene.user / "a").unlink()
    (scene.user / "run").unlink()
    (scene.user / "run").mkdir()
    (scene.user / "l").unlink()
    (scene.user / "l").write_text("a")
    assert conflicts(scene) == {
        "a": "it was deleted since the plan started",
        "run": "something else took its place since the plan started",
        "l": "a link and a file changed places since the plan started",
    }


def test_a_fifo_in_the_way_does_not_hold_the_host(scene: Scene) -> None:
    (scene.user / "a").unlink()
    os.mkfifo(scene.user / "a")
    assert set(conflicts(scene)) == {"a"}


def test_what_the_plan_deletes_may_be_gone_already(scene: Scene) -> None:
    (scene.user / "d/x").unlink()
    subprocess.run(["rm", "-r", scene.user / "dir"], check=True)
    assert conflicts(scene) == {}
    apply(scene)
    assert whole(scene.user, scene.store.base_tree(scene.tree(GOAL)))


def test_what_the_person_wrote_alike_is_no_conflict(scene: Scene) -> None:
    fill(scene.user, {"a": "2", "new/deep/er": "n"})
    assert conflicts(scene) == {}
    apply(scene)
    assert whole(scene.user, scene.store.base_tree(scene.tree(GOAL)))


def test_a_link_on_the_way_is_never_followed(scene: Scene, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    fill(outside, {"x": "x", "e/y": "y"})
    subprocess.run(["rm", "-r", scene.user / "d"], check=True)
    (scene.user / "d").symlink_to(outside)
    before = shown(outside)
    with pytest.raises(MergeConflictError):
        apply(scene, {**BASE, "d/x": "2", "d/n": "3"})
    assert shown(outside) == before


def test_a_link_that_appears_meanwhile_is_never_followed(scene: Scene, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()

    def swap(step: str) -> None:
        if step == "put d/n":
            (scene.user / "d").rename(scene.user / "aside")
            (scene.user / "d").symlink_to(outside)

    late = DirectoryApply(scene.git, scene.place / "journal", at_step=swap)
    with pytest.raises(MergeConflictError):
        late.apply(scene.user, scene.tree(BASE), scene.tree({**BASE, "d/n": "3"}), plan_id="01J")
    assert [*outside.iterdir()] == []


def test_a_file_that_is_edited_meanwhile_undoes_the_rest(scene: Scene) -> None:
    def edit(step: str) -> None:
        if step == "put empty":
            (scene.user / "run").write_text("edited")

    before = shown(scene.user)
    late = DirectoryApply(scene.git, scene.place / "journal", at_step=edit)
    with pytest.raises(MergeConflictError) as caught:
        late.apply(scene.user, scene.tree(BASE), scene.tree(GOAL), plan_id="01J")
    assert caught.value.paths == ("run",)
    before["run"] = (before["run"][0], b"edited")
    assert shown(scene.user) == before


@pytest.mark.parametrize(
    ("at", "what"),
    [
        ("rmdir dir", "dir/late"),
        ("mkdir new", "new"),
        ("put empty", "empty"),
        ("remove d/x", "d/x"),
    ],
)
def test_what_appears_in_the_way_meanwhile_is_kept(scene: Scene, at: str, what: str) -> None:
    before = shown(scene.user)

    def appear(step: str) -> None:
        if step == at:
            (scene.user / what).write_text("late")

    late = DirectoryApply(scene.git, scene.place / "journal", at_step=appear)
    with pytest.raises(MergeConflictError):
        late.apply(scene.user, scene.tree(BASE), scene.tree(GOAL), plan_id="01J")
    assert (scene.user / what).read_text() == "late"
    before[what] = shown(scene.user)[what]
    assert shown(scene.user) == before


def test_what_changes_after_it_was_written_is_kept_and_so_is_the_old_one(scene: Scene) -> None:
    def act(step: str) -> None:
        if step == "put empty":
            (scene.user / "a").write_text("the person was quicker")
        if step == "put run":
            raise OSError(28, "No space left on device")

    late = DirectoryApply(scene.git, scene.place / "journal", at_step=act)
    with pytest.raises(ApplyFailedError, match=r"old ones are \.cleveragents-01J/old-\d+ .was a"):
        late.apply(scene.user, scene.tree(BASE), scene.tree(GOAL), plan_id="01J")
    assert (scene.user / "a").read_text() == "the person was quicker"
    (old,) = (path for path in (scene.user / ".cleveragents-01J").iterdir() if "old" in path.name)
    assert old.read_text() == "1"
    (scene.user / "a").write_text("1")
    apply(scene)
    assert whole(scene.user, scene.store.base_tree(scene.tree(GOAL)))


@pytest.mark.parametrize("number", [1, 31])
def test_without_hard_links_the_old_file_is_moved(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(os, "link", refuse)
    apply(scene)
    assert whole(scene.user, scene.store.base_tree(scene.tree(GOAL)))


def test_another_error_of_a_hard_link_is_an_error(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = shown(scene.user)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(ApplyFailedError, match="the directory is as it was"):
        apply(scene)
    assert shown(scene.user) == before


def test_names_are_held_against_the_rules_once_more(scene: Scene) -> None:
    (blob,) = scene.git.write_blobs([b"x"])
    evil = scene.git.tree_from_entries([TreeEntry("a:b", "100644", blob)])
    with pytest.raises(MergeRefusedError, match="colon"):
        door(scene).apply(scene.user, scene.tree({}), evil, plan_id="01J")
    # What the person's directory holds under an odd name may go, if it is not git's.
    fill(scene.user, {"a:b": "x"})
    door(scene).apply(scene.user, evil, scene.tree({}), plan_id="01J")
    assert not (scene.user / "a:b").exists()


def test_a_bad_plan_id_or_directory_is_a_clear_error(scene: Scene) -> None:
    tree = scene.tree(BASE)
    with pytest.raises(ConfigurationError, match="no plan's id"):
        door(scene).apply(scene.user, tree, tree, plan_id="../x")
    with pytest.raises(ConfigurationError, match="cannot open the directory"):
        door(scene).apply(scene.user / "absent", tree, tree, plan_id="01J")
    with pytest.raises(ConfigurationError, match="cannot open the directory"):
        door(scene).check(scene.user / "a", tree, tree)


def test_two_applies_at_once_do_not_mix(scene: Scene) -> None:
    shelf = JournalShelf(scene.place / "journal", str(scene.user))
    with shelf.locked("other"), pytest.raises(PlanBusyError, match="another apply"):
        apply(scene)


def test_large_files_are_compared_in_pieces(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_state, "HELD_BYTES", 2)
    base: Files = {**BASE, "big": b"b" * 5000}
    fill(scene.user, {"big": b"b" * 5000})
    apply(scene, {**GOAL, "big": b"c" * 5000}, base)
    assert (scene.user / "big").read_bytes() == b"c" * 5000


def test_a_read_only_directory_is_said_before_anything_is_written(tmp_path: Path) -> None:
    def act() -> None:
        as_nobody()
        own = tmp_path / "own"
        own.mkdir()
        scene = Scene(own)
        fill(scene.user, BASE)
        (scene.user / "d").chmod(0o555)
        (scene.user / "d/e").chmod(0o555)
        before = shown(scene.user)
        with pytest.raises(ApplyFailedError, match="d, d/e cannot be written") as caught:
            apply(scene)
        assert caught.value.is_whole
        assert shown(scene.user) == before
        (scene.user / "d").chmod(0o755)
        (scene.user / "d/e").chmod(0o755)
        (scene.user / "a").chmod(0)
        with pytest.raises(ApplyFailedError, match="permission denied"):
            apply(scene)
        (scene.user / "a").chmod(0o644)
        scene.user.chmod(0o555)
        with pytest.raises(ApplyFailedError, match="the directory"):
            apply(scene)
        scene.user.chmod(0o755)
        apply(scene)
        assert whole(scene.user, scene.store.base_tree(scene.tree(GOAL)))

    passable(tmp_path)
    assert in_child(act) == 0


def test_a_mount_below_gets_a_staging_place_of_its_own(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def mount(descriptor: int) -> int:
        path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        return mount_of(descriptor) + (1 if "/user/d" in path and "/user/dir" not in path else 0)

    monkeypatch.setattr("cleveragents.boundary.apply_check.mount_of", mount)
    late = DirectoryApply(scene.git, scene.place / "journal", at_step=seen.append)
    goal: Files = {**GOAL, "d/e/y": "other", "d/x": "x2"}
    late.apply(scene.user, scene.tree(BASE), scene.tree(goal), plan_id="01J")
    assert {"stage .cleveragents-01J", "stage d/.cleveragents-01J"} <= set(seen)
    assert whole(scene.user, scene.store.base_tree(scene.tree(goal)))


def test_a_real_mount_and_a_full_disk(scene: Scene) -> None:
    """Shown with real memory file systems in a mount namespace of its own, as root."""
    if os.geteuid() != 0:
        return

    def act() -> None:
        unshare_mounts()
        mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(scene.user / "d")]
        subprocess.run(mount, check=True)
        fill(scene.user, {"d/x": "x", "d/e/y": "y"})
        before = shown(scene.user)
        with pytest.raises(ApplyFailedError, match="no space left on device") as caught:
            apply(scene, {**GOAL, "d/big": os.urandom(200_000)})
        assert caught.value.is_whole
        assert shown(scene.user) == before
        apply(scene, {**GOAL, "d/x": "x2", "d/e/y": "y"})
        assert (scene.user / "d/x").read_text() == "x2"

    assert in_child(act) == 0


def unshare_mounts() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(0x00020000) == 0
    assert libc.mount(b"none", b"/", None, 0x40000 | 0x4000, None) == 0
