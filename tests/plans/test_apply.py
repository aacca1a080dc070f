"""The way into the user's directory: only when told, all or nothing, nothing of theirs lost."""

from __future__ import annotations

import stat
import subprocess
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.plans.scene import kill, shell, tool, wait_until

if TYPE_CHECKING:
    from tests.plans.scene import Scene


def test_every_kind_of_change_arrives_as_it_was_made(anybody: Scene) -> None:
    """No git directory here: any directory will do."""
    anybody.file("script.sh", "#!/bin/sh\n", mode=0o755)
    anybody.file("old/name.txt", "moved along\n")
    anybody.file("gone.txt", "gone")
    anybody.file("kept.txt", "kept", mode=0o600)
    anybody.file("filled", "x")
    steps = [
        tool("edit_file", path="script.sh", old="sh", new="bash"),
        tool("move_file", source="old/name.txt", destination="new/name.txt"),
        tool("delete_file", path="gone.txt"),
        tool("write_file", path="filled", content=""),
        tool("write_file", path="empty", content=""),
        shell("binary", r"printf '\000\377\001' > bin; chmod +x bin; ln -s kept.txt link"),
    ]
    before = anybody.digest()
    done = anybody.run(steps)
    assert anybody.digest() == before
    diff = anybody.agents("plan", "diff", done.plan_id, expect=0).data
    assert "rename from old/name.txt" in diff["diff"]
    kept = (anybody.work / "kept.txt").stat()
    anybody.agents("plan", "apply", done.plan_id, expect=0)
    work = anybody.work
    assert anybody.text("script.sh") == "#!/bin/bash\n"
    assert stat.S_IMODE((work / "script.sh").stat().st_mode) == 0o755
    assert anybody.text("new/name.txt") == "moved along\n"
    assert not (work / "old").exists()
    assert not (work / "gone.txt").exists()
    assert (work / "filled").read_bytes() == (work / "empty").read_bytes() == b""
    assert (work / "bin").read_bytes() == b"\0\xff\x01"
    assert (work / "bin").stat().st_mode & 0o100
    assert (work / "link").readlink() == type(work)("kept.txt")
    assert (work / "kept.txt").stat() == kept
    assert {path.lstat().st_uid for path in work.rglob("*")} == {work.stat().st_uid}
    anybody.verify()


def test_a_git_checkout_gets_its_files_and_keeps_its_repository(scene: Scene) -> None:
    scene.file("a.txt", "a\n")
    git = ["git", "-C", str(scene.work), "-c", "user.name=x", "-c", "user.email=x@x"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    before = scene.digest()
    steps = [
        tool("write_file", path="b.txt", content="b\n"),
        shell("git", "ls -a; git log; echo evil > .git/hooks/pre-commit; rm -rf .git"),
    ]
    done = scene.run(steps)
    assert scene.digest() == before
    scene.agents("plan", "apply", done.plan_id, expect=None)
    log = subprocess.run([*git, "status", "--porcelain"], check=True, capture_output=True)
    assert log.stdout in {b"?? b.txt\n", b""}
    assert not (scene.work / ".git" / "hooks" / "pre-commit").exists()


def test_apply_auto_applies_and_ask_does_not(scene: Scene) -> None:
    steps = [tool("write_file", path="made.txt", content="made")]
    asking = scene.automation(apply="ask")
    scene.run(steps, "--automation-profile", asking)
    assert not (scene.work / "made.txt").exists()
    auto = scene.automation(apply="auto")
    done = scene.run(steps, "--automation-profile", auto)
    assert done.data["outcome"] == "applied"
    assert scene.text("made.txt") == "made"


@pytest.mark.parametrize("how", ["--apply", "auto"])
def test_a_held_file_waits_for_a_person_whatever_was_said(scene: Scene, how: str) -> None:
    steps = [
        tool("write_file", path=".github/workflows/ci.yml", content="on: push\n"),
        tool("write_file", path="a.txt", content="a"),
    ]
    profile = scene.automation(apply="auto" if how == "auto" else "ask")
    more = ("--apply",) if how == "--apply" else ()
    done = scene.run(steps, "--automation-profile", profile, *more, expect=7)
    assert done.data["state"] == "waiting"
    assert not list(scene.work.iterdir())
    diff = scene.agents("plan", "diff", done.plan_id, expect=0).data
    assert diff["held"] == [".github/workflows/ci.yml"]
    scene.agents("plan", "apply", done.plan_id, expect=7)
    assert not list(scene.work.iterdir())
    scene.agents("plan", "apply", done.plan_id, "--yes", expect=0)
    assert scene.text(".github/workflows/ci.yml") == "on: push\n"
    scene.verify()


def test_a_file_that_no_list_holds_is_still_applied_at_once(scene: Scene) -> None:
    steps = [tool("write_file", path=".github/workflows/ci.yml", content="on: push\n")]
    profile = scene.profile(held_files=["other.yml"])
    scene.run(steps, "--automation-profile", profile, "--apply")
    assert scene.text(".github/workflows/ci.yml") == "on: push\n"


def test_a_directory_that_changed_underneath_is_a_conflict_and_loses_nothing(
    anybody: Scene,
) -> None:
    anybody.file("shared.txt", "base\n")
    anybody.file("deleted.txt", "base\n")
    steps = [
        tool("write_file", path="shared.txt", content="plan's\n"),
        tool("write_file", path="new.txt", content="plan's\n"),
        tool("delete_file", path="deleted.txt"),
        tool("write_file", path="free.txt", content="free\n"),
    ]
    plan_id = anybody.run(steps).plan_id
    anybody.file("shared.txt", "user's\n")
    anybody.file("new.txt", "user's\n")
    anybody.file("deleted.txt", "user's\n")
    before = anybody.digest()
    done = anybody.agents("plan", "apply", plan_id, "--yes", expect=5)
    assert anybody.digest() == before
    assert {c["path"] for c in done.data["conflicts"]} == {"shared.txt", "new.txt", "deleted.txt"}
    assert done.data["outcome"] == "conflicted"
    listed = anybody.agents("plan", "conflicts", plan_id, expect=0).data["conflicts"]
    assert len(listed) == 3
    assert "plan's" in anybody.agents("plan", "diff", plan_id, expect=0).data["diff"]
    # The user puts their directory back: the same apply goes through.
    anybody.file("shared.txt", "base\n")
    anybody.file("deleted.txt", "base\n")
    (anybody.work / "new.txt").unlink()
    done = anybody.agents("plan", "apply", plan_id, "--yes", expect=0)
    assert done.data["outcome"] == "applied"
    assert done.data["conflicts"] == []
    assert anybody.text("shared.txt") == anybody.text("new.txt") == "plan's\n"
    assert not (anybody.work / "deleted.txt").exists()
    anybody.verify()


def test_a_change_of_the_user_elsewhere_is_still_no_conflict(scene: Scene) -> None:
    scene.file("mine.txt", "base\n")
    steps = [tool("write_file", path="plan.txt", content="plan's\n")]
    plan_id = scene.run(steps).plan_id
    scene.file("mine.txt", "user's\n")
    scene.agents("plan", "apply", plan_id, expect=0)
    assert (scene.text("mine.txt"), scene.text("plan.txt")) == ("user's\n", "plan's\n")


def test_work_of_a_plan_that_was_stopped_is_applied_only_when_asked_for(scene: Scene) -> None:
    steps = [
        tool("write_file", path="a.txt", content="a"),
        tool("fetch_url", url="http://example.com/"),
    ]
    done = scene.run(steps, "--safety-profile", "no-network", "--apply", expect=3)
    assert not list(scene.work.iterdir())
    refused = scene.agents("plan", "apply", done.plan_id, "--yes", expect=2)
    assert "--partial" in refused.said
    scene.agents("plan", "apply", done.plan_id, "--yes", "--partial", expect=0)
    assert scene.text("a.txt") == "a"
    assert len(scene.status(done.plan_id)["violations"]) == 1


def test_killed_in_the_middle_an_apply_is_finished_or_undone_by_the_next(anybody: Scene) -> None:
    for number in range(300):
        anybody.file(f"old/{number}.txt", f"{number}\n" * 50)
    before = anybody.digest()
    line = "for f in old/*.txt; do sed s/^/x/ $f > new-${f#old/}; rm $f; done; rmdir old"
    plan_id = anybody.run([shell("all", line)]).plan_id
    assert anybody.digest() == before
    for wait_s in (0.0, 0.01, 0.03, 0.0):
        host = anybody.start("plan", "apply", plan_id, "--yes")
        wait_until(partial(_is_begun, anybody, host), "the first change")
        time.sleep(wait_s)
        kill(host)
        names = len(list((anybody.work / "old").glob("*.txt")))
        assert names + len(list(anybody.work.glob("new-*"))) > 0
    # No plan starts from a half-changed directory; nor does one that was finished stop any.
    before = anybody.digest()
    if (anybody.work / "old").exists() and any(anybody.work.glob("new-*")):
        refused = anybody.run([tool("list_directory", path=".")], expect=2)
        assert f"agents plan apply {plan_id}" in refused.said
        assert anybody.digest() == before
    done = anybody.agents("plan", "apply", plan_id, "--yes", expect=0)
    assert done.data["outcome"] == "applied"
    anybody.run([tool("list_directory", path=".")])
    assert not (anybody.work / "old").exists()
    made = sorted(path.name for path in anybody.work.iterdir())
    assert made == sorted(f"new-{number}.txt" for number in range(300))
    assert anybody.text("new-7.txt") == "x7\n" * 50
    anybody.verify()


def _is_begun(scene: Scene, host: subprocess.Popen[str]) -> bool:
    is_changed = any(scene.work.glob("new-*")) or not (scene.work / "old" / "299.txt").exists()
    return is_changed or host.poll() is not None
