"""The way back: all or nothing, once, by strategy; what conflicts waits for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.assembly import conflict_command
from cleveragents.errors import ConfigurationError
from tests.subplans.scene import child_of, data, group, subplan, write

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.subplans.scene import Scene

LINES = "".join(f"line {n}\n" for n in range(1, 11))


def edits(name: str, old: str, new: str, **more: Any) -> dict[str, Any]:
    arguments = {"path": "a.txt", "old": old, "new": new}
    return subplan(name, {"id": "e", "tool": "edit_file", "args": arguments}, **more)


def conflicted(stage: Scene, **more: Any) -> Any:
    stage.file("a.txt", LINES)
    answer = stage.run(
        group(
            edits("one", "line 5\n", "line V\n", **more),
            edits("two", "line 5\n", "line 5!\n", **more),
        )
    )
    assert answer.exit_code == 5, answer.messages
    return answer


def test_two_that_edit_different_parts_of_one_file_merge(stage: Scene) -> None:
    stage.file("a.txt", LINES)
    answer = stage.run(
        group(edits("one", "line 1\n", "line I\n"), edits("two", "line 9\n", "line IX\n"))
    )
    assert answer.exit_code == 0
    made = stage.made(data(answer)["plan_id"])["a.txt"].decode()
    assert made == LINES.replace("line 1\n", "line I\n").replace("line 9", "line IX")
    assert {one["outcome"] for one in data(answer)["subplans"]} == {"merged"}


@pytest.mark.parametrize("take", ["ours", "theirs", "base", "file"])
def test_the_same_line_waits_is_settled_goes_on_and_is_applied(stage: Scene, take: str) -> None:
    answer = conflicted(stage)
    plan_id = data(answer)["plan_id"]
    assert (data(answer)["state"], data(answer)["outcome"]) == ("waiting", "conflicted")
    listed: Any = conflict_command.conflicts(plan_id).data
    assert [(one["path"], one["kind"]) for one in listed["conflicts"]] == [("a.txt", "content")]
    assert data(answer)["conflicts"] == listed["conflicts"]
    with pytest.raises(ConfigurationError):
        stage.apply(plan_id)
    assert stage.directory()["a.txt"].decode() == LINES
    (stage.root / "mine.txt").write_text("mine\n")
    chosen = {
        "ours": LINES.replace("line 5\n", "line V\n"),
        "theirs": LINES.replace("line 5\n", "line 5!\n"),
        "base": LINES,
        "file": "mine\n",
    }[take]
    with pytest.raises(ConfigurationError, match=r"open conflicts: a\.txt"):
        conflict_command.resolve(plan_id, "b.txt", "ours")
    with pytest.raises(ConfigurationError, match="nor a file"):
        conflict_command.resolve(plan_id, "a.txt", "their")
    settled = conflict_command.resolve(
        plan_id, "a.txt", str(stage.root / "mine.txt") if take == "file" else take
    )
    assert data(settled)["conflicts"] == []
    resumed = stage.resume(plan_id)
    assert resumed.exit_code == 0, resumed.messages
    assert stage.apply(plan_id).exit_code == 0
    assert stage.directory()["a.txt"].decode() == chosen
    assert stage.left() == []


def test_a_conflict_that_nobody_settled_stays(stage: Scene) -> None:
    plan_id = data(conflicted(stage))["plan_id"]
    assert stage.resume(plan_id).exit_code == 5
    assert len(stage.entries(plan_id, "conflict")) == 1


def test_steps_after_a_conflict_and_later_members_wait(stage: Scene) -> None:
    stage.file("a.txt", LINES)
    answer = stage.run(
        group(
            edits("one", "line 5\n", "line V\n"),
            edits("two", "line 5\n", "line 5!\n"),
            edits("three", "line 9\n", "line IX\n"),
        ),
        write("after.txt", "after"),
    )
    assert answer.exit_code == 5
    plan_id = data(answer)["plan_id"]
    three = child_of(answer, "three")
    assert (three["state"], three["outcome"]) == ("complete", None)
    assert any("kept" in note.body for note in stage.entries(three["plan_id"], "note"))
    conflict_command.resolve(plan_id, "a.txt", "theirs")
    resumed = stage.resume(plan_id)
    assert resumed.exit_code == 0
    made = stage.made(plan_id)
    assert made["a.txt"].decode() == LINES.replace("line 5\n", "line 5!\n").replace(
        "line 9\n", "line IX\n"
    )
    assert made["after.txt"] == b"after"


def test_merges_happen_in_file_order_after_the_whole_group(stage: Scene) -> None:
    slow = {"id": "s", "tool": "run_command", "args": {"command": "sleep 0.4; echo 1 > one"}}
    answer = stage.run(group(subplan("one", slow), subplan("two", write("two", "2"))))
    ids = [child_of(answer, name)["plan_id"] for name in ("one", "two")]
    entries = stage.entries(data(answer)["plan_id"], "merge")
    assert [e.body["subplan_id"] for e in entries if "done" in e.body] == ids


def test_three_writers_each_merge_onto_the_one_before(stage: Scene) -> None:
    stage.file("a.txt", LINES)
    answer = stage.run(
        group(
            edits("one", "line 1\n", "line I\n", merge_strategy="sequential_apply"),
            edits("two", "line 5\n", "line V\n", merge_strategy="sequential_apply"),
            edits("three", "line 9\n", "line IX\n", merge_strategy="sequential_apply"),
        )
    )
    assert answer.exit_code == 0
    entries = [e.body for e in stage.entries(data(answer)["plan_id"], "merge")]
    intents = [body for body in entries if "result" in body]
    assert [one["ours"] for one in intents[1:]] == [one["result"] for one in intents[:-1]]


def test_fail_on_conflict_refuses_the_whole_proposal(stage: Scene) -> None:
    stage.file("a.txt", LINES)
    answer = stage.run(
        group(
            edits("one", "line 5\n", "line V\n"),
            subplan(
                "two",
                {"id": "e", "tool": "edit_file",
                 "args": {"path": "a.txt", "old": "line 5\n", "new": "no\n"}},
                write("other.txt", "x"),
                merge_strategy="fail_on_conflict",
            ),
        )
    )  # fmt: skip
    assert answer.exit_code == 3
    assert child_of(answer, "two")["outcome"] == "merge_refused"
    made = stage.made(data(answer)["plan_id"])
    assert "other.txt" not in made
    assert b"line V\n" in made["a.txt"]
    assert [v["kind"] for v in data(answer)["violations"]] == ["merge_refused"]


def test_last_wins_takes_the_later_one(stage: Scene) -> None:
    stage.file("a.txt", LINES)
    answer = stage.run(
        group(
            edits("one", "line 5\n", "line V\n"),
            edits("two", "line 5\n", "last\n", merge_strategy="last_wins"),
        )
    )
    assert answer.exit_code == 0
    assert b"last\n" in stage.made(data(answer)["plan_id"])["a.txt"]


def test_the_automation_profile_gives_the_default_strategy(stage: Scene) -> None:
    stage.file("a.txt", LINES)
    profile = stage.root / "auto.yaml"
    profile.write_text("name: auto\nsubplans: {merge_strategy: last_wins}\n")
    answer = stage.run(
        group(edits("one", "line 5\n", "line V\n"), edits("two", "line 5\n", "last\n")),
        automation_profile=str(profile),
    )
    assert answer.exit_code == 0, answer.messages


def command(name: str, line: str, **more: Any) -> dict[str, Any]:
    return subplan(name, {"id": "c", "tool": "run_command", "args": {"command": line}}, **more)


KINDS = {
    "content": ("a.txt", "echo one > a.txt", "echo two > a.txt", b"two\n"),
    "delete/modify": ("a.txt", "rm a.txt", "echo two > a.txt", b"two\n"),
    "modify/delete": ("a.txt", "echo one > a.txt", "rm a.txt", None),
    "add/add": ("new.txt", "echo one > new.txt", "echo two > new.txt", b"two\n"),
    "mode": ("a.txt", "chmod +x a.txt; echo one >> a.txt", "echo two >> a.txt", None),
    "binary": ("bin", r"printf '\000one' > bin", r"printf '\000two' > bin", b"\0two"),
    "rename": ("a.txt", "mv a.txt b.txt", "mv a.txt c.txt", None),
    "file/directory": ("new", "echo file > new", "mkdir new; echo x > new/x", None),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_conflict_waits_and_can_be_settled(stage: Scene, kind: str) -> None:
    path, first, second, theirs = KINDS[kind]
    stage.file("a.txt", LINES)
    stage.file("bin", b"\0zero")
    answer = stage.run(group(command("one", first), command("two", second)))
    assert answer.exit_code == 5, (answer.messages, data(answer)["conflicts"])
    plan_id = data(answer)["plan_id"]
    open_ones: list[Mapping[str, Any]] = list(data(answer)["conflicts"])
    assert any(one["path"].startswith(path) for one in open_ones), open_ones
    assert all(one["message"] and one["kind"] for one in open_ones)
    while open_ones:
        open_ones = list(
            data(conflict_command.resolve(plan_id, open_ones[0]["path"], "theirs"))["conflicts"]
        )
    resumed = stage.resume(plan_id)
    assert resumed.exit_code == 0, resumed.messages
    made = stage.made(plan_id)
    if theirs is not None:
        assert made[path] == theirs
    assert stage.apply(plan_id).exit_code == 0
    assert {p: c for p, c in stage.directory().items() if not p.startswith("prog")} == made


def test_files_outside_the_write_paths_refuse_the_whole_proposal(stage: Scene) -> None:
    stage.file("docs/a.md", "a")
    # Directories are mounted read-only; what no mount can say is left to the collection: a name.
    body = """\
        os.makedirs("docs/nested/.git", exist_ok=True)
        open("docs/nested/.git/config", "w").write("[core]\\n fsmonitor = evil")
        open("docs/good.md", "w").write("good")
        open("docs/bad:name.md", "w").write("bad")
    """
    child = subplan(
        "child",
        actor=stage.program("writes", body),
        delegate={"tools": [], "read": ["prog/"], "write": ["docs/"]},
    )
    answer = stage.run(child, write("after", "x"))
    assert answer.exit_code == 3
    assert data(answer)["outcome"] == "constrained"
    assert child_of(answer, "child")["outcome"] == "merge_refused"
    child_id = child_of(answer, "child")["plan_id"]
    for plan_id in (child_id, data(answer)["plan_id"]):
        (violation,) = stage.status(plan_id)["violations"]
        assert violation["kind"] == "merge_refused"
        assert violation["subplan_id"] == child_id
        named = {violation["resource_name"], *(r["resource_name"] for r in violation["refusals"])}
        assert "file:docs/bad:name.md" in named
        assert any(".git" in name for name in named)
    assert not any(path.startswith("docs/good") for path in stage.made(data(answer)["plan_id"]))
    again = stage.resume(data(answer)["plan_id"])
    assert again.exit_code == 3
    assert len(stage.entries(child_id, "violation")) == 1


def test_a_refused_merge_is_a_denial_that_a_plan_may_go_on_over(stage: Scene) -> None:
    child = command(
        "child", "mkdir -p sub/.git; echo x > sub/.git/x; echo y > y", on_denied="continue"
    )
    answer = stage.run(child, write("after", "x"))
    assert answer.exit_code == 0
    made = stage.made(data(answer)["plan_id"])
    assert "after" in made
    assert "y" not in made
    assert [v["kind"] for v in data(answer)["violations"]] == ["merge_refused"]


def test_what_is_in_the_way_takes_the_whole_merge_back(stage: Scene) -> None:
    stage.file(".gitignore", "build/\n")
    answer = stage.run(
        {"id": "c", "tool": "run_command", "args": {"command": "mkdir build; echo x > build/x"}},
        command("child", "rm -rf build; echo 1 > first; echo 2 > build", on_denied="continue"),
    )
    assert answer.exit_code == 0, answer.messages
    assert child_of(answer, "child")["outcome"] == "merge_refused"
    assert "first" not in stage.made(data(answer)["plan_id"])


def test_held_files_of_a_child_wait_at_the_roots_apply(stage: Scene) -> None:
    answer = stage.run(subplan("child", write("conftest.py", "import os\n")), apply=True)
    assert answer.exit_code == 7
    plan_id = data(answer)["plan_id"]
    assert "conftest.py" not in stage.directory()
    assert stage.apply(plan_id, yes=True).exit_code == 0
    assert "conftest.py" in stage.directory()


def test_outputs_are_checked_against_their_schema(stage: Scene) -> None:
    body = """\
        print(said(client.submit, {"title": 5}))
        print(said(client.submit, {"titel": "x"}))
        print(said(client.submit, {"title": "x" * 300}))
        open("log.txt", "w").write("waited")
        client.submit({"title": "good"}, "s" * 3000)
    """
    answer = stage.run(
        subplan(
            "child",
            actor=stage.program("submits", body),
            outputs={"title": {"type": "string", "maxLength": 200}},
        ),
        write("t", "${{ steps.child.outputs.title }}"),
        write("s", "${{ steps.child.summary }}"),
    )
    assert answer.exit_code == 0, answer.messages
    made = stage.made(data(answer)["plan_id"])
    assert made["t"] == b"good"
    assert made["s"] == b"s" * 2000


def test_a_second_result_ends_the_subplan(stage: Scene) -> None:
    body = """\
        client.submit({}, "one")
        said(client.submit, {}, "two")
    """
    answer = stage.run(subplan("child", actor=stage.program("twice", body)))
    assert answer.exit_code == 1
    assert "after the result" in answer.messages[-1].text


def test_the_parent_continues_with_what_was_merged(stage: Scene) -> None:
    stage.file("a.txt", LINES)
    answer = stage.run(
        {"id": "c0", "tool": "run_command", "args": {"command": "echo parent > p.txt"}},
        command("child", "cat p.txt > q.txt; rm a.txt; chmod +x p.txt; ln -s p.txt link"),
        {
            "id": "c",
            "tool": "run_command",
            "args": {"command": "ls -l; cat q.txt; test ! -e a.txt"},
        },
        write("out", "${{ steps.c.stdout }} ${{ steps.c.exit_code }}"),
    )
    assert answer.exit_code == 0, answer.messages
    made = stage.made(data(answer)["plan_id"])
    text = made["out"].decode()
    assert "link -> p.txt" in text
    assert "-rwx" in text
    assert text.endswith("parent\n 0")
