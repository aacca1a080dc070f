"""The record of real plans: it verifies, and no single byte of it can be changed unseen."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

from tests.plans.scene import shell, tool

if TYPE_CHECKING:
    from tests.plans.scene import Scene

STEPS = [
    tool("read_file", "readme", path="README.md"),
    {**tool("delete_file", "gone", path="README.md"), "on_denied": "continue"},
    tool("write_file", "note", path="note.txt", content="noted"),
    shell("sh", "echo told; yes | head -c 40000"),
]


def recorded(scene: Scene) -> str:
    """Run a plan with a bit of everything, and leave all of it in one file."""
    scene.file("README.md", "hello\n")
    profile = scene.profile(denied_tools=["delete_file"])
    plan_id = scene.run(STEPS, "--automation-profile", profile, "--apply").plan_id
    link = sqlite3.connect(scene.database)
    link.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    link.close()
    return plan_id


def test_one_changed_byte_anywhere_in_a_record_is_found(scene: Scene) -> None:
    recorded(scene)
    scene.verify()
    whole = scene.database.read_bytes()
    columns = "seq, root_id, plan_id, call_id, kind, at, body, prev, hash"
    rows = scene.rows(f"SELECT {columns} FROM record ORDER BY seq")  # noqa: S608  # constants
    assert len(rows) > 12
    tried = 0
    for number, row in enumerate(rows):
        # Another column and another place of it in each row.
        column = 1 + number % (len(row) - 1)
        text = str(row[column] or row[6]).encode()
        at = whole.find(str(row[6]).encode()[:200])
        found = whole.find(text, max(0, at - 400) if at > 0 else 0)
        if found < 0:
            continue
        place = found + (number * 7) % len(text)
        changed = bytearray(whole)
        changed[place] ^= 0x01
        scene.database.write_bytes(changed)
        done = scene.agents("audit", "verify", expect=1)
        assert done.envelope["status"] == "error" or not done.data["ok"]
        tried += 1
    assert tried > 10
    scene.database.write_bytes(whole)
    scene.verify()


def test_a_removed_or_exchanged_record_is_found_and_named(scene: Scene) -> None:
    plan_id = recorded(scene)
    whole = scene.database.read_bytes()
    for change in (
        "DELETE FROM record WHERE kind = 'violation'",
        "DELETE FROM record WHERE seq = (SELECT max(seq) FROM record)",
        "UPDATE record SET at = '2020-01-01T00:00:00Z' WHERE kind = 'decision'",
        "UPDATE plan SET outcome = 'constrained'",
        "UPDATE plan SET profile_digest = 'sha256:00'",
        "DELETE FROM record",
    ):
        link = sqlite3.connect(scene.database)
        link.execute(change)
        link.commit()
        link.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        link.close()
        done = scene.agents("audit", "verify", expect=1)
        assert done.data["problems"], change
        assert plan_id in "".join(done.data["problems"]) or "record" in done.said, change
        scene.database.write_bytes(whole)
    scene.verify()


def test_a_changed_object_is_found(scene: Scene) -> None:
    scene.file("README.md", "hello\n")
    scene.run([shell("sh", "yes | head -c 40000")])
    objects = [path for path in (scene.home / "objects").rglob("*") if path.is_file()]
    assert objects
    data = bytearray(objects[0].read_bytes())
    data[len(data) // 2] ^= 1
    objects[0].chmod(0o600)
    objects[0].write_bytes(data)
    scene.verify(1)


def test_list_show_and_export_tell_the_same_records(anybody: Scene) -> None:
    anybody.file("README.md", "hello\n")
    profile = anybody.profile(denied_tools=["delete_file"])
    plan_id = anybody.run(STEPS[:3], "--automation-profile", profile).plan_id
    listed = anybody.agents("audit", "list", "--plan", plan_id, expect=0).data["records"]
    (refused,) = anybody.agents("audit", "list", "--kind", "violation", expect=0).data["records"]
    assert refused in listed
    assert refused["body"]["tool"] == "delete_file"
    shown = anybody.agents("audit", "show", str(refused["id"]), expect=0).data
    assert "delete_file" in json.dumps(shown)
    done = anybody.agents("audit", "export", expect=0)
    assert done.out.count("delete_file") >= 1
    assert anybody.agents("audit", "export", "--format", "ocsf", expect=None).exit_code in {0, 2}
    decisions = [r["body"] for r in listed if r["kind"] == "decision"]
    assert all(d["rule"] and d["arguments_digest"] for d in decisions)
