"""Full disks, read-only homes, damaged databases, floods: a clear end, and a whole directory."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.plans.scene import Scene, ended, shell, tool

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTE = tool("write_file", "note", path="note.txt", content="x")
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="mounts in a namespace of its own")


@pytest.fixture
def kept(anybody: Scene) -> Iterator[Scene]:
    """A scene whose directory is, at the end, what it was."""
    anybody.file("README.md", "hello\n")
    before = anybody.digest()
    yield anybody
    assert anybody.digest() == before


def test_a_home_that_cannot_be_written_is_one_sentence(kept: Scene) -> None:
    kept.write("file", "no directory")
    kept.environ["CLEVERAGENTS_HOME"] = str(kept.place / "file" / "home")
    done = kept.run([NOTE], "--apply", expect=None)
    assert done.exit_code in {1, 2}
    assert "home" in done.said
    assert done.data is None


def test_a_read_only_home_is_one_sentence(scene: Scene) -> None:
    if os.geteuid() != 0:
        scene.home.mkdir()
        scene.home.chmod(0o500)
        done = scene.run([NOTE], "--apply", expect=None)
        scene.home.chmod(0o700)
    else:
        scene.home.mkdir()
        mount = f'mount -t tmpfs -o ro tmpfs {scene.home}; exec "$@"'
        prefix = ("unshare", "--mount", "sh", "-ec", mount, "sh")
        done = scene.agents(*scene.words([NOTE], "--apply"), prefix=prefix)
    assert done.exit_code in {1, 2}
    assert str(scene.home) in done.said
    assert "Read-only" in done.said or "ermission" in done.said or "cannot" in done.said
    assert not list(scene.work.iterdir())


FULL = """
mount -t tmpfs -o size=$SIZE,mode=700 tmpfs $CLEVERAGENTS_HOME
rc=0; "$@" || rc=$?
mount -o remount,size=64m $CLEVERAGENTS_HOME
"$1" audit verify --format json > $HOME/verified || true
plan=$("$1" plan list --format json | sed -n 's/.*"plan_id": "\\(.*\\)",/\\1/p')
test -z "$plan" || "$1" plan resume $plan --apply --format json > $HOME/resumed || true
exit $rc
"""


@AS_ROOT
@pytest.mark.parametrize("size", ["64k", "300k", "500k", "800k"])
def test_on_a_full_disk_a_plan_ends_and_goes_on_when_there_is_room(scene: Scene, size: str) -> None:
    scene.file("README.md", "hello\n")
    before = scene.digest()
    scene.home.mkdir()
    scene.environ["SIZE"] = size
    steps = [
        tool("write_file", f"w{n}", path=f"n{n}.txt", content=f"{n % 10}" * 15_000)
        for n in range(40)
    ]
    prefix = ("unshare", "--mount", "sh", "-ec", FULL, "sh")
    done = scene.agents(*scene.words(steps), prefix=prefix)
    assert done.exit_code in {1, 2}, done.out
    assert "disk" in done.said or "space" in done.said, done.out
    assert "this is a fault of agents itself" not in done.said
    assert len(done.err.strip().splitlines()) <= 4, done.err
    verified = json.loads((scene.place / "verified").read_text())
    assert verified["data"] is None or verified["data"]["ok"], verified
    if (scene.place / "resumed").exists():
        resumed = json.loads((scene.place / "resumed").read_text())
        assert resumed["exit_code"] == 0, resumed
        assert len(list(scene.work.glob("n*.txt"))) == 40
    else:
        assert scene.digest() == before


@pytest.mark.parametrize("damage", ["garbage", "truncated", "directory", "newer"])
def test_a_damaged_database_is_one_sentence_and_stays_as_it_is(scene: Scene, damage: str) -> None:
    scene.run([tool("write_file", path="other.txt", content="x")])
    data = scene.database.read_bytes()
    for extra in ("-wal", "-shm"):
        scene.database.with_name(scene.database.name + extra).unlink(missing_ok=True)
    match damage:
        case "garbage":
            scene.database.write_bytes(b"no database at all\n" * 400)
        case "truncated":
            scene.database.write_bytes(data[: len(data) // 3])
        case "directory":
            scene.database.unlink()
            scene.database.mkdir()
        case _:
            link = sqlite3.connect(scene.database)
            link.execute("UPDATE schema_version SET version = 9999")
            link.commit()
            link.close()
    for words in (scene.words([NOTE], "--apply"), ("plan", "list"), ("audit", "verify")):
        done = scene.agents(*words)
        assert done.exit_code in {1, 2}, (words, done.out)
        assert "this is a fault" not in done.said
        if done.data is None:
            assert "cleveragents.db" in done.said or "database" in done.said
    assert not list(scene.work.iterdir())


def test_a_locked_database_is_waited_for_and_then_named(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.run([tool("write_file", path="other.txt", content="x")])
    monkeypatch.setattr("cleveragents.record.store.BUSY_TIMEOUT_S", 0.3)
    with closing(sqlite3.connect(scene.database, isolation_level=None)) as link:
        link.execute("BEGIN IMMEDIATE")
        done = scene.agents(*scene.words([NOTE], "--apply"))
        assert done.exit_code == 1
        assert "locked by another process" in done.said
        assert not list(scene.work.iterdir())
    scene.run([NOTE], "--apply")
    scene.verify()


def test_a_directory_that_cannot_be_written_is_named_and_applied_to_later(anybody: Scene) -> None:
    if os.geteuid() == 0 and not anybody.is_ordinary:
        pytest.skip("root writes everywhere")
    plan_id = anybody.run([NOTE]).plan_id
    anybody.work.chmod(0o555)
    done = anybody.agents("plan", "apply", plan_id, "--yes")
    assert done.exit_code == 1, done.out
    assert "note.txt" in done.said or str(anybody.work) in done.said
    anybody.work.chmod(0o755)
    anybody.agents("plan", "apply", plan_id, "--yes", expect=0)
    assert anybody.text("note.txt") == "x"
    anybody.verify()


def test_several_hosts_work_side_by_side_in_one_home(scene: Scene) -> None:
    scene.file("README.md", "hello\n")
    hosts = []
    for number in range(3):
        steps = [
            tool("write_file", f"w{n}", path=f"{number}-{n}.txt", content="x") for n in range(6)
        ]
        plan = scene.plan(steps, f"plan{number}.yaml")
        words = ("plan", "run", plan, "--workspace", str(scene.work), "--apply")
        hosts.append(scene.start(*words))
    for host in hosts:
        assert ended(host).exit_code == 0
    assert len(list(scene.work.glob("*.txt"))) == 18
    scene.verify()


def test_a_flood_is_cut_and_the_plan_goes_on(kept: Scene) -> None:
    own = kept.own_tools(
        '@tool(effects={"read"})\ndef flood() -> str:\n    return "x" * (80 << 20)'
    )
    profile = kept.automation(tools=[own.name])
    steps = [
        shell("out", "head -c 300000000 /dev/zero | tr '\\0' x; echo END"),
        shell("err", "head -c 30000000 /dev/zero | tr '\\0' y >&2; echo END >&2"),
        {**tool("flood", "own"), "on_error": "continue"},
        NOTE,
    ]
    done = kept.run(steps, "--automation-profile", profile)
    value = (
        kept.value(done.plan_id, "out")
        if "$object" not in str(kept.outcome(done.plan_id, "out"))
        else {}
    )
    statuses = [s["status"] for s in done.data["steps"]]
    assert (statuses[0], statuses[1], statuses[3]) == ("done", "done", "done")
    if value:
        assert len(value["stdout"]) < 2_000_000
        assert value["stdout"].endswith("END\n")
    assert len(kept.kept()) < 20_000_000
    kept.verify()


def test_a_tool_that_never_returns_ends_at_its_time_limit(scene: Scene) -> None:
    own = scene.own_tools(
        '@tool(effects={"read"})\ndef never() -> str:\n    import time\n    while True:\n'
        "        time.sleep(60)"
    )
    scene.environ["CLEVERAGENTS_TIMEOUT_S"] = "1"
    profile = scene.automation(tools=[own.name])
    steps = [
        {**tool("run_command", "slow", command="sleep 60", timeout_s=1), "on_error": "continue"},
        {**shell("left", "sleep 300 & echo started"), "on_error": "continue"},
        {**tool("never", "never"), "on_error": "continue"},
        NOTE,
    ]
    began = time.monotonic()
    done = scene.run(steps, "--automation-profile", profile, "--apply")
    assert time.monotonic() - began < 20
    assert done.data["steps"][2]["status"] == "failed"
    assert scene.text("note.txt") == "x"
    ps = subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True)
    assert "sleep 300" not in ps.stdout
    scene.verify()


def test_a_fork_bomb_and_a_memory_hog_stay_in_their_cell(scene: Scene) -> None:
    scene.environ |= {"CLEVERAGENTS_PROCESSES": "64", "CLEVERAGENTS_MEMORY_MB": "512"}
    steps = [
        {
            **shell("bomb", "for i in $(seq 500); do sleep 20 & done; echo made"),
            "on_error": "continue",
        },
        {
            **tool("run_command", "hog", command=["python3", "-c", "x = bytearray(4 << 30)"]),
            "on_error": "continue",
        },
        NOTE,
    ]
    done = scene.run(steps, "--apply")
    assert done.data["outcome"] == "applied"
    scene.verify()


def test_a_workspace_that_grows_too_large_is_stopped(scene: Scene) -> None:
    scene.environ["CLEVERAGENTS_WORKSPACE_MB"] = "8"
    line = "for i in $(seq 40); do head -c 4000000 /dev/zero > f$i; sleep 0.1; done"
    done = scene.run([{**shell("fill", line), "on_error": "continue"}, NOTE], expect=None)
    assert done.exit_code in {0, 1, 3, 4}
    size = sum(path.stat().st_size for path in scene.cells.rglob("f*") if path.is_file())
    assert size < 80_000_000
    scene.verify()
