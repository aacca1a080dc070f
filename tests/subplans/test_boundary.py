"""A child asks for what it was not handed: it is refused, recorded and shown; it reads nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.subplans.scene import child_of, data, subplan, write

if TYPE_CHECKING:
    from tests.subplans.scene import Scene

HOSTILE = """\
    parent = task["inputs"]["parent"]
    out = open("docs/log.txt", "w")
    for action, argument in (
        (client.open, "file:../x"),
        (client.open, f"plan:{parent}/context"),
    ):
        print(said(action, argument), file=out)
    print(said(client.ask, "run_command", command="id"), file=out)
    print(said(client.ask, "read_file", path="src/private.py"), file=out)
    for path in ("../x", "/workspace/../x", "src/private.py", "/proc/1/environ", task["inputs"]["home"]):
        try:
            print("READ", open(path).read(), file=out)
        except OSError as error:
            print("no", path, file=out)
    out.close()
    client.submit({}, "done")
"""


def hostile(stage: Scene) -> dict[str, object]:
    stage.file("src/private.py", "TOKEN-OF-THE-PARENT\n")
    stage.file("docs/a.md", "hello\n")
    (stage.root / "x").write_text("TOKEN-OUTSIDE")
    return subplan(
        "guest",
        actor=stage.program("hostile", HOSTILE),
        delegate={"tools": ["read_file"], "read": ["docs/", "prog/"], "write": ["docs/"]},
        inputs={"parent": "${{ plan.id }}", "home": str(stage.home / "cleveragents.db")},
    )


def test_four_refusals_stand_in_the_status_of_child_and_parent(stage: Scene) -> None:
    answer = stage.run(hostile(stage))
    child = child_of(answer, "guest")
    parent_id = data(answer)["plan_id"]
    wanted = {
        "file:../x",
        f"plan:{parent_id}/context",
        "tool:run_command",
        "file:src/private.py",
    }
    for plan_id in (parent_id, child["plan_id"]):
        found = stage.status(plan_id)["violations"]
        assert {one["resource_name"] for one in found} == wanted
        assert len(found) == 4
        assert {one["kind"] for one in found} == {"security_boundary"}
        assert {one["subplan_id"] for one in found} == {child["plan_id"]}
        assert all(one["timestamp"].endswith("Z") for one in found)
    log = stage.made(parent_id)["docs/log.txt"].decode()
    assert "TOKEN" not in log
    assert "READ" not in log
    assert log.count("security_boundary: ") == 4
    assert answer.exit_code == 0  # its actor went on over them
    assert stage.directory()["src/private.py"] == b"TOKEN-OF-THE-PARENT\n"


def test_the_record_holds_subplan_resource_and_time_and_verifies(stage: Scene) -> None:
    answer = stage.run(hostile(stage))
    child_id = child_of(answer, "guest")["plan_id"]
    entries = stage.entries(child_id, "violation")
    assert len(entries) == 4
    assert all(entry.at and entry.body["resource_name"] for entry in entries)
    assert stage.command("audit", "verify").returncode == 0


def test_a_script_child_is_held_by_the_same_door(stage: Scene) -> None:
    stage.file("src/private.py", "secret\n")
    answer = stage.run(
        subplan(
            "child",
            {"id": "r", "tool": "read_file", "args": {"path": "src/private.py"}},
            delegate={"tools": ["read_file"], "read": ["docs/"], "write": []},
        )
    )
    assert answer.exit_code == 3
    status = data(answer)
    assert status["outcome"] == "constrained"
    assert [v["resource_name"] for v in status["violations"]] == ["file:src/private.py"]
    assert child_of(answer, "child")["outcome"] == "constrained"
    assert "file:src/private.py was not handed to subplan" in answer.messages[-1].text


def test_each_kind_of_resource_is_named(stage: Scene) -> None:
    asked = [
        "file:/etc/passwd", "host:example.com", "credential:OPENAI_API_KEY",
        "plan:01PARENT/decisions", "plan:01SIBLING/context", "nonsense", "file:a\nb",
    ]  # fmt: skip
    body = f"""\
        for name in {asked!r}:
            said(client.open, name)
        assert client.open("file:docs/a.md")["resource"] == "file:docs/a.md"
    """
    answer = stage.run(
        subplan("child", actor=stage.program("asks", body), delegate={"read": ["docs/", "prog/"]})
    )
    assert answer.exit_code == 0, answer.messages
    names = [v["resource_name"] for v in data(answer)["violations"]]
    assert names == asked


def test_only_delegated_paths_are_there_and_writable(stage: Scene) -> None:
    stage.file("docs/a.md", "hello\n")
    stage.file("src/private.py", "secret\n")
    body = """\
        import pathlib
        seen = sorted(str(p) for p in pathlib.Path(".").rglob("*") if p.is_file())
        tried = []
        for path in ("docs/a.md", "prog/looks.py", "new/b.md", "other.md"):
            try:
                open(path, "w").write("x")
                tried.append(path)
            except OSError:
                pass
        client.submit({"seen": seen, "wrote": tried})
    """
    answer = stage.run(
        subplan(
            "child",
            actor=stage.program("looks", body),
            delegate={"tools": [], "read": ["docs/", "prog/"], "write": ["new/"]},
            outputs={"seen": {"type": "array"}, "wrote": {"type": "array"}},
        ),
        write("out.txt", "${{ steps.child.outputs.wrote }} ${{ steps.child.outputs.seen }}"),
    )
    assert answer.exit_code == 0, answer.messages
    made = stage.made(data(answer)["plan_id"])
    wrote, seen = made["out.txt"].decode().split(" ", 1)
    assert json.loads(wrote) == ["new/b.md"]
    assert "src/private.py" not in seen
    assert made["new/b.md"] == b"x"


def test_the_client_is_importable_by_both_of_its_names_inside(stage: Scene) -> None:
    body = """\
        import cleveragents.guest
        from cleveragents.guest import Client as Other
        assert Other is Client
        assert not hasattr(cleveragents.guest, "Host")
        client.progress("here")
        try:
            client.ask("read_file", path="absent")
        except FailedError as error:
            client.submit({"code": error.code})
    """
    child = subplan(
        "child",
        actor=stage.program("imports", body),
        outputs={"code": {"const": "tool_failed"}},
    )
    answer = stage.run(child)
    assert answer.exit_code == 0, answer.messages
