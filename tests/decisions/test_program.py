"""Decisions over the channel: of a program's own plan, within limits, words and nothing more."""

from __future__ import annotations

import ast
import json
from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.boundary.program_message import Accepted, Answer, Decide, Outcome, Refused
from cleveragents.plans.actor import program_decision
from cleveragents.plans.actor.program_decision import ProgramDecisions, shown_decisions
from cleveragents.record.decision_tree_view import Decision
from cleveragents.terms.excerpt import MAX_RESULT_BYTES, json_bytes
from tests.decisions.test_command import flat
from tests.subplans.scene import child_of, data, subplan, write

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.plans.decision_book import Choice
    from tests.subplans.scene import Scene

SECRET = "sk-very-hidden-value"


def heard(stage: Scene, answer: Any) -> Any:
    """What the program wrote down, merged into the parent's tree."""
    return ast.literal_eval(stage.made(data(answer)["plan_id"])["heard"].decode())


def decisions_of(stage: Scene, answer: Any, name: str) -> list[Mapping[str, Any]]:
    tree = stage.status(data(answer)["plan_id"])
    child = next(one for one in tree["subplans"] if one["name"] == name)
    return flat(child["decisions"])


def test_a_program_records_its_decisions(stage: Scene) -> None:
    body = """\
        first = client.decide("which format?", "json", alternatives=["yaml", "xml"], reason="short")
        second = client.decide("which file?", "a.json", parent=first)
        client.conclude(second, "written")
        open("heard", "w").write(repr([first, second]))
    """
    answer = stage.run(subplan("child", actor=stage.program("child", body)))
    assert heard(stage, answer) == ["d2", "d3"]
    first, format_, file = decisions_of(stage, answer, "child")
    assert first["choice"] == "the program: python3 prog/child.py"
    assert format_["alternatives"] == ["yaml", "xml"]
    assert (format_["reason"], format_["parent"], format_["by"]) == ("short", "d1", "actor")
    assert (file["parent"], file["outcome"]) == ("d2", "written")


def test_a_child_sees_its_own_decisions_only(stage: Scene) -> None:
    body = """\
        client.decide("mine?", "yes")
        own = client.open(f"plan:{task['plan_id']}/decisions")
        others = [said(client.open, f"plan:{name}/decisions") for name in task["inputs"].values()]
        open("heard", "w").write(repr([own, others]))
    """
    sibling = stage.run(write("x", "x"))
    child = subplan(
        "child",
        actor=stage.program("child", body),
        inputs={"parent": "${{ plan.id }}", "other": data(sibling)["plan_id"]},
    )
    answer = stage.run(child)
    own, others = heard(stage, answer)
    child_id = child_of(answer, "child")["plan_id"]
    assert own["resource"] == f"plan:{child_id}/decisions"
    assert [one["question"] for one in own["decisions"]] == ["how is child done?", "mine?"]
    assert own["left_out"] == 0
    assert "key" not in own["decisions"][0]
    assert len(others) == 2
    for said in others:
        assert said.startswith("security_boundary: plan:"), said
        assert "was not handed" in said
    assert [v["resource_name"].partition("/")[2] for v in data(answer)["violations"]] == [
        "decisions",
        "decisions",
    ]


def test_what_goes_too_far_is_refused_and_the_rest_goes_on(stage: Scene) -> None:
    body = """\
        heard = [
            said(client.decide, "q" * 501, "c"),
            said(client.decide, "q", "c" * 501),
            said(client.decide, "q", "c", reason="r" * 2001),
            said(client.decide, "q", "c", alternatives=["a"] * 13),
            said(client.decide, "q", "c", alternatives=["a" * 201]),
            said(client.decide, " ", "c"),
            said(client.decide, "q", ""),
            said(client.decide, "q", "c", parent="d99"),
            said(client.conclude, "d99", "x"),
            said(client.conclude, "d1", "not mine"),
            said(client.decide, "q" * 500, "c" * 500, alternatives=["a" * 200] * 12, reason="r" * 2000),
            said(client.conclude, "d2", "x" * 501),
            said(client.conclude, "d2", "fine"),
        ]
        open("heard", "w").write(repr(heard))
    """
    answer = stage.run(subplan("child", actor=stage.program("child", body)))
    *refused, taken, too_long, done = heard(stage, answer)
    assert [one.partition(":")[0] for one in refused] == ["decide"] * 8 + ["outcome"] * 2
    assert "at most 500 characters" in refused[0]
    assert "no such decision" in refused[9]
    assert (taken, done) == ("'d2'", "None")
    assert too_long.startswith("outcome: an outcome has at most 500")
    first, own = decisions_of(stage, answer, "child")
    assert first["outcome"] == "merged"
    assert own["outcome"] == "fine"


@pytest.mark.parametrize(
    "message",
    [
        '{"type": "decide", "seq": 1, "question": "q"}',
        '{"type": "decide", "seq": 1, "question": 1, "choice": "c"}',
        '{"type": "decide", "seq": 1, "question": "q", "choice": "c", "by": "person"}',
        '{"type": "decide", "seq": 1, "question": "q", "choice": "c", "plan_id": "x"}',
        '{"type": "decide", "seq": 1, "question": "q", "choice": "c", "alternatives": [[]]}',
        '{"type": "outcome", "seq": 1, "decision": "d1"}',
        '{"type": "outcome", "seq": 1, "decision": null, "text": "x"}',
    ],
)
def test_a_malformed_message_ends_the_program_only(stage: Scene, message: str) -> None:
    prelude = "import os, struct\nfd = int(os.environ['CLEVERAGENTS_CHANNEL'])\n"
    body = f"""\
        text = {message!r}.encode()
        os.write(fd, struct.pack(">I", len(text)) + text)
        while True:
            os.read(fd, 1)
    """
    child = subplan(
        "child", actor=stage.program("child", body, prelude=prelude), on_error="continue"
    )
    answer = stage.run(child, write("after", "x"))
    assert (answer.exit_code, child_of(answer, "child")["state"]) == (0, "errored")
    assert "after" in stage.made(data(answer)["plan_id"])
    (only,) = decisions_of(stage, answer, "child")
    assert only["outcome"] == "errored"


NASTY = "[bold red]x[/]\x1b[2J\x1b]0;t\x07\r\nd9  forged\u202e"


def test_what_a_program_says_paints_nothing(stage: Scene) -> None:
    body = f"""\
        name = client.decide({NASTY!r}, {NASTY!r}, alternatives=[{NASTY!r}], reason={NASTY!r})
        client.conclude(name, {NASTY!r})
        print({NASTY!r})
    """
    answer = stage.run(subplan("child", actor=stage.program("child", body)))
    child_id = str(child_of(answer, "child")["plan_id"])
    for words in (
        ("tree", str(data(answer)["plan_id"])),
        ("explain", child_id),
        ("explain", child_id, "d2"),
    ):
        for form in ("plain", "rich"):
            done = stage.command("plan", *words, "--format", form, COLUMNS="400", NO_COLOR="1")
            assert done.returncode == 0, done.stderr
            for bad in ("\x1b[2J", "\x1b]", "\x07", "\r", "\u202e"):
                assert bad not in done.stdout, (words, form)
            assert "[bold red]x[/]\\x1b[2J" in done.stdout, (words, form)
            forged = [line for line in done.stdout.splitlines() if line.lstrip().startswith("d9")]
            # The log is shown line by line; no decision can pretend to be another.
            assert len(forged) <= (1 if words == ("explain", child_id) else 0), forged
        json.loads(stage.command("plan", *words, "--format", "json").stdout)


def test_a_secret_is_in_no_decision(stage: Scene) -> None:
    (stage.root / "auto.yaml").write_text(
        "name: auto\nsafety_profile: unrestricted\ncredentials: {KEY: {env: HIDDEN}}\n"
    )
    body = f"""\
        name = client.decide({SECRET!r}, {SECRET!r}, alternatives=[{SECRET!r}], reason={SECRET!r})
        client.conclude(name, {SECRET!r})
        print("it prints", {SECRET!r})
        own = client.open("plan:" + task["plan_id"] + "/decisions")
        open("heard", "w").write(repr("[redacted:KEY]" in repr(own)))
    """
    steps = [subplan("child", actor=stage.program("child", body))]
    (stage.root / "plan.yaml").write_text(json.dumps({"name": "parent", "steps": steps}))
    words = ("plan", "run", "plan.yaml", "--workspace", "ws", "--automation-profile", "auto.yaml")
    done = stage.command(*words, "--format", "json", HIDDEN=SECRET)
    assert done.returncode == 0, done.stdout + done.stderr
    for path in stage.home.rglob("*.db*"):
        assert SECRET.encode() not in path.read_bytes()
    root = json.loads(done.stdout)["data"]["plan_id"]
    assert stage.made(root)["heard"] == b"True"


class Caller:
    """Records what a program decided."""

    def __init__(self) -> None:
        self.made: dict[str, Decision] = {}

    def decide(self, choice: Choice) -> str:
        name = f"d{len(self.made) + 1}"
        self.made[name] = Decision(
            name, choice.key, choice.question, choice.choice, (), "", (), "", "actor", "", "now"
        )
        return name

    def conclude(self, decision_id: str, outcome: str) -> None:
        self.made[decision_id] = self.made[decision_id]._replace(outcome=outcome)

    def decision(self, decision_id: str) -> Decision | None:
        return self.made.get(decision_id)


def test_one_too_many_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program_decision, "MAX_DECISIONS", 2)
    monkeypatch.setattr(program_decision, "MAX_OUTCOMES", 1)
    caller = Caller()
    taken = ProgramDecisions(caller)
    said = [taken.take(Decide(seq=n, question="q", choice="c")) for n in (1, 2, 3)]
    assert said[:2] == [Answer(seq=n, value={"decision": f"d{n}"}) for n in (1, 2)]
    assert said[2] == Refused(seq=3, code="decide", reason="more than 2 decisions")
    assert taken.take(Outcome(seq=4, decision="d1", text="x")) == Accepted(seq=4)
    assert taken.take(Outcome(seq=5, decision="d1", text="y")) == Refused(
        seq=5, code="outcome", reason="more than 1 outcomes"
    )
    assert caller.made["d1"].outcome == "x"
    # Another place or another word is another decision.
    assert len({one.key for one in caller.made.values()}) == 2


def test_too_many_refusals_end_the_program(stage: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    from cleveragents.plans.actor import program

    monkeypatch.setattr(program, "MAX_REFUSED", 3)
    body = """\
        for _ in range(10):
            said(client.decide, "", "")
        open("survived", "w")
    """
    child = subplan("child", actor=stage.program("child", body), on_error="continue")
    answer = stage.run(child)
    assert child_of(answer, "child")["state"] == "errored"
    assert "survived" not in stage.made(data(answer)["plan_id"])


def test_own_decisions_fit_one_message() -> None:
    many = [
        Decision(f"d{n}", "k", "q" * 500, "c" * 500, ("a" * 200,) * 12, "r" * 2000, (), "", "actor", "", "")
        for n in range(1, 400)
    ]  # fmt: skip
    shown: Any = shown_decisions(many)
    assert json_bytes(shown) <= MAX_RESULT_BYTES + 50
    assert shown["left_out"] > 0
    assert shown["decisions"][-1]["decision_id"] == "d399"
    assert len(shown["decisions"]) + shown["left_out"] == 399
    assert shown_decisions(many[:2])["left_out"] == 0
