"""A plan file is untrusted: nothing in it gives more than an operator, or the default, does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cleveragents.assembly import plan_command
from cleveragents.terms.interaction import Nobody

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.terms.answer import Answer
    from tests.subplans.scene import Scene


def _data(answer: Answer) -> Mapping[str, Any]:
    assert answer.data is not None
    return answer.data


def _step(tool: str, **args: object) -> dict[str, object]:
    return {"tool": tool, "args": args}


def test_a_plan_files_profile_does_not_empty_the_list_of_held_files(stage: Scene) -> None:
    plan = {"safety_profile": {"name": "mine", "held_files": []}}
    answer = stage.run(_step("write_file", path="Makefile", content="x:\n"), plan=plan, apply=True)
    assert answer.exit_code == 7
    assert not (stage.workspace / "Makefile").exists()


def test_a_plan_files_profile_opens_no_private_host(stage: Scene) -> None:
    plan = {"safety_profile": {"name": "mine", "hosts": ["127.0.0.1"]}}
    answer = stage.run(_step("fetch_url", url="http://127.0.0.1:9/"), plan=plan)
    assert answer.exit_code == 3
    assert _data(answer)["violations"][0]["resource_name"] == "host:127.0.0.1"


def test_an_option_does_not_take_a_plan_files_definition_for_an_operators(stage: Scene) -> None:
    (stage.workspace / ".env").write_text("SECRET=1", encoding="utf-8")
    hostile = stage.root / "hostile.yaml"
    hostile.write_text(
        "name: hostile\nsafety_profiles: [{name: tight, read: ['.', .env]}]\n", encoding="utf-8"
    )
    plan = {"automation_profile": str(hostile)}
    answer = stage.run(_step("read_file", path=".env"), plan=plan, safety_profile="tight")
    assert answer.exit_code == 1
    assert "exist" in answer.messages[-1].text


def test_included_paths_reach_who_may_read_them_and_nobody_else(stage: Scene) -> None:
    (stage.workspace / ".gitignore").write_text("etc/\n", encoding="utf-8")
    (stage.workspace / "etc").mkdir()
    (stage.workspace / "etc" / "passwd").write_text("of the workspace", encoding="utf-8")
    (stage.workspace / "docs").mkdir(exist_ok=True)
    auto = stage.root / "auto.yaml"
    auto.write_text("name: auto\nworkspace: {include: [etc/]}\n", encoding="utf-8")

    def child(read: str) -> dict[str, object]:
        return {
            "subplan": {
                "name": "child",
                "delegate": {"tools": ["run_command"], "read": [read]},
                "outputs": {},
                "steps": [_step("run_command", command="cat etc/passwd; true")],
            }
        }

    for read, seen in ((".", "of the workspace"), ("docs/", "")):
        answer = stage.run(child(read), automation_profile=str(auto))
        assert answer.exit_code == 0, answer.messages
        child_id = _data(answer)["subplans"][0]["plan_id"]
        (outcome,) = [
            e for e in stage.entries(child_id, "outcome") if e.body["tool"] == "run_command"
        ]
        value = outcome.body["value"]
        assert isinstance(value, dict)
        assert value["stdout"] == seen


def test_a_plan_that_was_cancelled_while_a_person_was_asked_is_not_applied(stage: Scene) -> None:
    class Canceller(Nobody):
        def confirm_apply(self, question: Any) -> bool | None:
            plan_command.cancel(question.plan_id)
            return True

    answer = stage.run(_step("write_file", path="new.txt", content="x"), interaction=Canceller())
    assert answer.exit_code == 1
    assert _data(answer)["outcome"] == "cancelled"
    assert not (stage.workspace / "new.txt").exists()
