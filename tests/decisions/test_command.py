"""``agents plan tree`` and ``explain``, as a person and a program see them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.subplans.scene import data, group, subplan, write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.subplans.scene import Scene

READ = {"id": "readme", "tool": "read_file", "args": {"path": "readme"}}
REFUSED = {"id": "hosts", "tool": "write_file", "args": {"path": "/etc/hosts", "content": ""}}


def run(stage: Scene, steps: Sequence[Mapping[str, Any]], code: int = 0, **plan: Any) -> str:
    (stage.root / "plan.yaml").write_text(json.dumps({"name": "parent", "steps": steps, **plan}))
    words = ("plan", "run", "plan.yaml", "--workspace", "ws", "--format", "json")
    done = stage.command(*words)
    assert done.returncode == code, done.stdout + done.stderr
    return str(json.loads(done.stdout)["data"]["plan_id"])


def asked(stage: Scene, *words: str) -> Any:
    done = stage.command("plan", *words, "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)["data"]


def flat(decisions: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [inner for one in decisions for inner in (one, *flat(one["decisions"]))]


def family(stage: Scene) -> str:
    """A plan that decides in every way that a script can."""
    stage.file("readme", "hello\n")
    narrow = {"tools": ["write_file"], "read": [], "write": ["docs/"]}
    return run(
        stage,
        [
            READ,
            {**REFUSED, "on_denied": "continue"},
            {"id": "lost", "tool": "read_file", "args": {"path": "lost"}, "on_error": "continue"},
            subplan("docs", write("docs/a", "x"), goal="write the docs", delegate=narrow),
            subplan("greedy", write("src/a", "x"), delegate=narrow, on_denied="continue"),
            subplan(
                "shaky", {"tool": "read_file", "args": {"path": "lost"}}, retries=1,
                on_error="continue",
            ),
            group(subplan("left", write("l", "l")), subplan("right", write("r", "r"))),
        ],
    )  # fmt: skip


def test_the_tree_of_a_script(stage: Scene) -> None:
    plan_id = family(stage)
    tree = asked(stage, "tree", plan_id)
    (first,) = tree["decisions"]
    assert (first["decision_id"], first["by"], first["parent"]) == ("d1", "person", None)
    assert (first["question"], first["choice"]) == (
        "how is parent done?",
        "the 7 steps of its script",
    )
    assert first["outcome"] == "complete"
    by_question = {one["question"]: one for one in flat(first["decisions"])}
    children = {one["name"]: one for one in tree["subplans"]}
    docs = by_question["who does write the docs?"]
    assert docs["choice"] == "the subplan docs, with write_file; write docs/"
    assert (docs["calls"], docs["outcome"], docs["parent"]) == (["docs"], "merged", "d1")
    assert docs["subplans"] == [children["docs"]["plan_id"]]
    assert by_question["who does greedy?"]["outcome"] == "refused"
    assert by_question["who does shaky?"]["outcome"] == "failed"
    assert by_question["who does group.left?"]["outcome"] == "merged"
    for question, reason, call in (
        ("hosts was refused: does the plan go on?", "on_denied: continue", "hosts"),
        ("lost failed: does the plan go on?", "on_error: continue", "lost"),
        ("greedy was refused: does the plan go on?", "on_denied: continue", "greedy"),
        ("shaky failed: is it tried again?", "retries: 1", "shaky~2"),
        ("shaky~2 failed: does the plan go on?", "on_error: continue", "shaky~2"),
    ):
        one = by_question[question]
        assert reason in one["reason"], question
        assert one["calls"] == [call]
        assert one["alternatives"], question
    # The second attempt is another child.
    (again,) = by_question["shaky failed: is it tried again?"]["subplans"]
    assert again not in by_question["who does shaky?"]["subplans"]
    assert len(flat(tree["decisions"])) == 11
    own = children["docs"]["decisions"]
    assert [(one["question"], one["by"], one["outcome"]) for one in own] == [
        ("write the docs", "actor", "merged")
    ]


def test_a_plain_step_is_no_decision(stage: Scene) -> None:
    plan_id = run(stage, [write("a", "a"), write("b", "b")])
    assert len(stage.entries(plan_id, "choice")) == 1
    assert stage.entries(plan_id, "choice_outcome") == []


@pytest.mark.parametrize("form", ["plain", "rich"])
def test_the_tree_is_drawn_for_people(stage: Scene, form: str) -> None:
    plan_id = family(stage)
    done = stage.command("plan", "tree", plan_id, "--format", form, COLUMNS="200")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    at = {line.strip(): len(line) - len(line.lstrip()) for line in lines}

    def indent(text: str) -> int:
        (found,) = [number for line, number in at.items() if text in line]
        return found

    assert lines[0].startswith(f"parent  {plan_id}  complete")
    assert indent("d1  how is parent done?") == 2
    assert indent("readme  read_file  done") == 4
    assert indent("who does write the docs?  the subplan docs") == 4
    assert any("write docs/  -> merged" in line for line in lines)
    assert indent("docs  spawn_subplan  done") == 6
    # The child stands under the decision that made it, its own decision under it.
    children = asked(stage, "tree", plan_id)["subplans"]
    docs = next(one for one in children if one["name"] == "docs")
    assert indent(f"docs  {docs['plan_id']}  merged") == 6
    assert indent("d1  write the docs  the 1 step") == 8
    refused = [line for line in lines if "by grant" in line or "workspace" in line]
    assert len(refused) == 2, lines
    for one in children:
        assert sum(one["plan_id"] in line for line in lines) == 1
    assert sum("spawn_subplan" in line for line in lines) == 6


def test_the_tree_as_yaml(stage: Scene) -> None:
    plan_id = family(stage)
    done = stage.command("plan", "tree", plan_id, "--format", "yaml")
    assert yaml.safe_load(done.stdout)["data"] == asked(stage, "tree", plan_id)


def test_costs_stand_in_the_tree(stage: Scene) -> None:
    child = subplan("child", write("a", "a"), delegate={"budget": {"max_cost_usd": 0.5}})
    plan_id = run(stage, [child])
    text = stage.command("plan", "tree", plan_id, "--format", "plain").stdout
    assert "of $0.5" in text or "/ $0.5" in text, text


def test_explain_lists_decisions_and_calls(stage: Scene) -> None:
    plan_id = family(stage)
    explained = asked(stage, "explain", plan_id)
    assert [one["decision_id"] for one in explained["decisions"]] == [f"d{n}" for n in range(1, 12)]
    assert {"readme", "hosts", "docs", "shaky~2"} <= {c["call_id"] for c in explained["calls"]}
    text = stage.command("plan", "explain", plan_id, "--format", "plain").stdout
    for part in ("d1  how is parent done?", "in place of", "the step says retries: 1", "readme"):
        assert part in text


def test_explain_one_decision(stage: Scene) -> None:
    plan_id = family(stage)
    decisions = asked(stage, "explain", plan_id)["decisions"]
    greedy = next(one for one in decisions if one["question"] == "who does greedy?")
    found = asked(stage, "explain", plan_id, greedy["decision_id"])
    assert found["decisions"] == [greedy]
    assert [(one["call_id"], one["tool"]) for one in found["calls"]] == [
        ("greedy", "spawn_subplan")
    ]
    assert [(one["plan_id"], one["resource_name"]) for one in found["violations"]] == [
        (greedy["subplans"][0], "file:src/a")
    ]
    text = stage.command("plan", "explain", plan_id, greedy["decision_id"], "--format", "plain")
    assert f"refused below, in {greedy['subplans'][0]}: write_file" in text.stdout
    assert "readme" not in text.stdout
    # A refused call of the plan itself.
    goes_on = next(one for one in decisions if one["question"].startswith("hosts was refused"))
    found = asked(stage, "explain", plan_id, goes_on["decision_id"])
    assert [one["call_id"] for one in found["violations"]] == ["hosts"]
    assert found["calls"][0]["rule"] == "workspace"


def test_explain_one_call(stage: Scene) -> None:
    plan_id = family(stage)
    found = asked(stage, "explain", plan_id, "docs")
    assert [one["question"] for one in found["decisions"]] == ["who does write the docs?"]
    assert [one["call_id"] for one in found["calls"]] == ["docs"]
    assert asked(stage, "explain", plan_id, "readme")["decisions"] == []
    done = stage.command("plan", "explain", plan_id, "d99")
    assert done.returncode == 2
    assert "has no decision and no call 'd99'" in done.stderr
    assert f"agents plan explain {plan_id}" in done.stderr


def test_what_a_person_decided(stage: Scene) -> None:
    stage.file("a", "one\n")
    edit = {"id": "e", "tool": "write_file", "args": {"path": "a", "content": "theirs\n"}}
    plan_id = run(
        stage,
        [group(
            subplan("left", {**edit, "args": {"path": "a", "content": "ours\n"}}),
            subplan("right", edit),
        )],
        5,
    )  # fmt: skip
    before = flat(asked(stage, "tree", plan_id)["decisions"])
    assert {one["question"]: one["outcome"] for one in before}["who does group.right?"] == (
        "conflicted"
    )
    for words in (
        ("resolve", plan_id, "a", "--take", "theirs"),
        ("resume", plan_id),
        ("apply", plan_id, "--yes"),
    ):
        done = stage.command("plan", *words, USER="ann", SUDO_USER="")
        assert done.returncode == 0, done.stdout + done.stderr
    assert stage.directory()["a"] == b"theirs\n"
    decisions = flat(asked(stage, "tree", plan_id)["decisions"])
    by_question = {one["question"]: one for one in decisions}
    assert by_question["who does group.right?"]["outcome"] == "merged"
    taken = by_question["both sides changed a: which is taken?"]
    assert (taken["choice"], taken["alternatives"]) == ("theirs", ["ours", "base"])
    assert (taken["by"], taken["who"]) == ("person", "ann")
    assert taken["parent"] == by_question["who does group.right?"]["decision_id"]
    applied = by_question["are the changes applied (1 files changed (1 modified))?"]
    assert (applied["choice"], applied["reason"]) == ("yes", "--yes was given")
    assert (applied["by"], applied["who"]) == ("person", "ann")
    assert by_question["how is parent done?"]["outcome"] == "applied"


def test_a_file_of_a_person_settles_a_conflict(stage: Scene) -> None:
    stage.file("a", "one\n")
    (stage.root / "mine").write_text("mine\n")

    def edit(text: str) -> dict[str, Any]:
        return {"id": "e", "tool": "write_file", "args": {"path": "a", "content": text}}

    plan_id = run(stage, [group(subplan("l", edit("l")), subplan("r", edit("r")))], 5)
    assert stage.command("plan", "resolve", plan_id, "a", "--take", "mine").returncode == 0
    (taken,) = [
        one
        for one in flat(asked(stage, "tree", plan_id)["decisions"])
        if one["question"].startswith("both sides")
    ]
    assert taken["choice"] == "the file mine"
    assert taken["alternatives"] == ["ours", "theirs", "base"]


def test_what_nobody_was_asked_about(stage: Scene) -> None:
    stage.file("a", "one\n")

    def member(name: str) -> dict[str, Any]:
        step = {"id": "e", "tool": "write_file", "args": {"path": "a", "content": name}}
        return subplan(name, step, merge_strategy="last_wins")

    (stage.root / "auto.yaml").write_text("name: auto\napply: auto\n")
    (stage.root / "plan.yaml").write_text(
        json.dumps({"name": "parent", "steps": [group(member("left"), member("right"))]})
    )
    words = ("plan", "run", "plan.yaml", "--workspace", "ws", "--automation-profile", "auto.yaml")
    done = stage.command(*words, "--format", "json")
    assert done.returncode == 0, done.stdout
    tree = asked(stage, "tree", json.loads(done.stdout)["data"]["plan_id"])
    decided = {one["question"]: one for one in flat(tree["decisions"])}
    merged = decided["both sides changed a: which is taken?"]
    assert (merged["choice"], merged["by"]) == ("theirs", "runtime")
    assert merged["reason"] == "the merge strategy is last_wins"
    assert merged["calls"] == ["group.right"]
    applied = next(one for text, one in decided.items() if text.startswith("are the changes"))
    assert (applied["by"], applied["who"]) == ("runtime", None)
    assert applied["reason"] == "the automation profile says apply: auto"


def test_status_lists_the_steps_to_come(stage: Scene) -> None:
    (stage.root / "ask.yaml").write_text("name: ask\napprovals: [run_command]\n")
    steps = [
        write("a", "a"),
        {"id": "build", "tool": "run_command", "args": {"command": "true"}},
        write("b", "b"),
        subplan("child", write("c", "c")),
    ]
    (stage.root / "plan.yaml").write_text(json.dumps({"name": "parent", "steps": steps}))
    words = ("plan", "run", "plan.yaml", "--workspace", "ws", "--automation-profile", "ask.yaml")
    done = stage.command(*words, "--format", "json")
    assert done.returncode == 7, done.stdout
    status = json.loads(done.stdout)["data"]
    assert [(s["id"], s["tool"], s["status"]) for s in status["steps"]] == [
        ("w_a", "write_file", "done"),
        ("build", "run_command", "waiting"),
        ("w_b", "write_file", "pending"),
        ("child", "spawn_subplan", "pending"),
    ]
    plan_id = status["plan_id"]
    assert stage.command("plan", "approve", plan_id, "build", USER="ann").returncode == 0
    done = stage.command("plan", "resume", plan_id, "--format", "json")
    steps_now = json.loads(done.stdout)["data"]["steps"]
    assert [(s["id"], s["status"]) for s in steps_now] == [
        (name, "done") for name in ("w_a", "build", "w_b", "child")
    ]
    answer = next(
        one
        for one in asked(stage, "explain", plan_id)["decisions"]
        if one["question"] == "may the call build run?"
    )
    assert (answer["decision_id"], answer["choice"], answer["by"]) == ("a1", "yes", "person")


def test_decisions_are_entries_of_the_record(stage: Scene) -> None:
    plan_id = family(stage)
    listed = stage.command(
        "audit", "list", "--plan", plan_id, "--kind", "choice", "--format", "json"
    )
    assert len(json.loads(listed.stdout)["data"]["records"]) == 11
    assert stage.command("audit", "verify").returncode == 0


def test_nobody_at_the_terminal_says_no(stage: Scene) -> None:
    from cleveragents.terms.interaction import Nobody

    class No(Nobody):
        def confirm_apply(self, question: object) -> bool:
            return False

    stage.file("a", "a")
    answer = stage.run(write("a", "b"), interaction=No())
    tree = stage.status(data(answer)["plan_id"])
    said = next(d for d in flat(tree["decisions"]) if d["question"].startswith("are the changes"))
    assert (said["choice"], said["alternatives"], said["by"]) == ("no", ["yes"], "person")
    assert stage.directory()["a"] == b"a"
