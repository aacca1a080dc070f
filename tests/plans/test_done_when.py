"""What the issue is done when: one plan, three profiles, through the installed command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.plans.scene import shell

if TYPE_CHECKING:
    from tests.plans.scene import Scene

WRITES = {
    "name": "note",
    "steps": [
        {"id": "readme", "tool": "read_file", "args": {"path": "README.md"}},
        {
            "id": "note",
            "tool": "write_file",
            "args": {"path": "NOTES.md", "content": "${{ steps.readme.text }}"},
        },
    ],
}


def test_read_only_blocks_a_write_and_status_shows_it(installed: Scene) -> None:
    installed.file("README.md", "hello\n")
    before = installed.digest()
    done = installed.run({**WRITES, "safety_profile": "read-only"}, "--apply", expect=3)
    assert installed.digest() == before
    status = installed.status(done.plan_id)
    assert status == {**done.data, "timing": status["timing"]}
    (violation,) = status["violations"]
    assert violation["kind"] == "tool_access_denied"
    assert violation["tool"] == "write_file"
    assert violation["resource_name"] == "tool:write_file"
    assert violation["profile"] == "read-only"
    assert "write" in violation["reason"]
    assert violation["timestamp"].endswith("Z")
    assert (violation["plan_id"], violation["subplan_id"]) == (done.plan_id, None)
    ended = (status["phase"], status["state"], status["outcome"])
    assert ended == ("execute", "complete", "constrained")
    assert status["isolation"] == {"tier": "bwrap", "verified": True}
    assert status["safety_profile"]["name"] == "read-only"
    assert status["safety_profile"]["digest"].startswith("sha256:")
    assert [(s["id"], s["tool"], s["status"]) for s in status["steps"]] == [
        ("readme", "read_file", "done"),
        ("note", "write_file", "denied"),
    ]
    installed.verify()


def test_unrestricted_still_writes_when_told_to_apply(installed: Scene) -> None:
    installed.file("README.md", "hello\n")
    done = installed.run({**WRITES, "safety_profile": "unrestricted"}, "--apply")
    assert installed.text("NOTES.md") == "hello\n"
    status = installed.status(done.plan_id)
    assert (status["phase"], status["state"], status["outcome"]) == ("apply", "complete", "applied")
    assert status["violations"] == []
    assert (installed.work / "NOTES.md").stat().st_uid == installed.work.stat().st_uid
    installed.verify()


def test_an_imposed_ceiling_lets_cat_run_and_blocks_writes_and_network(installed: Scene) -> None:
    installed.file("README.md", "hello\n")
    before = installed.digest()
    steps = [
        shell("cat", "cat README.md"),
        shell("write", "echo x > new; echo x >> README.md; rm README.md; ls"),
        shell("net", "cat /proc/net/route; bash -c 'exec 3<>/dev/tcp/1.1.1.1/53'"),
    ]
    profile = installed.profile(allowed_tools=["run_command"], effects=["read", "execute"])
    plan_id = installed.run(steps, "--automation-profile", profile, "--apply").plan_id
    assert installed.digest() == before
    assert installed.value(plan_id, "cat")["stdout"] == "hello\n"
    write = installed.value(plan_id, "write")
    assert write["stderr"].count("Read-only file system") == 3
    assert write["stdout"] == "README.md\n"
    net = installed.value(plan_id, "net")
    assert net["exit_code"] != 0
    assert "unreachable" in net["stderr"]
    for call in installed.explained(plan_id)[:3]:
        assert call["rule"] == "tested: allowed_tools"
        assert call["imposed"] == ["delete", "network", "write"]
    installed.verify()
