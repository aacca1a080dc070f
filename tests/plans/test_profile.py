"""Which profile refuses, which rule lets in, and who may widen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.plans.scene import shell, tool

if TYPE_CHECKING:
    from tests.plans.scene import Scene

NOTE = tool("write_file", "note", path="note.txt", content="short")


def refused(scene: Scene, step: dict[str, Any], *more: str) -> dict[str, Any]:
    """The one violation of a plan of one step."""
    (violation,) = scene.run([step], *more, expect=3).data["violations"]
    assert isinstance(violation, dict)
    return violation


def test_each_of_several_profiles_refuses_what_it_forbids(scene: Scene) -> None:
    scene.file("README.md", "hello")
    scene.write("home/config.toml", 'safety_profile = "no-network"\n')
    scene.environ["CLEVERAGENTS_SAFETY_PROFILE"] = "nothing-deleted"
    inline = {"name": "nothing-deleted", "denied_tools": ["delete_file"]}
    scene.write("nothing.yaml", json.dumps(inline))
    scene.agents("safety-profile", "add", str(scene.place / "nothing.yaml"), expect=0)
    profile = scene.profile("docs-only", write=["docs/"])
    plan: dict[str, Any] = {
        "name": "several",
        "safety_profile": {"name": "small", "where": {"write_file": _shorter(10)}},
    }
    cases = [
        (tool("fetch_url", url="http://example.com/"), "no-network"),
        (tool("delete_file", path="README.md"), "nothing-deleted"),
        (NOTE, "docs-only"),
        (tool("write_file", path="docs/a", content="x" * 11), "small"),
        (shell("sh", "ls"), "no-commands"),
    ]
    scene.write("no.yaml", json.dumps({"name": "no-commands", "denied_tools": ["run_command"]}))
    scene.agents("safety-profile", "add", str(scene.place / "no.yaml"), expect=0)
    steps = [{**step, "id": f"s{n}", "on_denied": "continue"} for n, (step, _) in enumerate(cases)]
    steps.append(tool("write_file", "fine", path="docs/b", content="x" * 10))
    done = scene.run(
        {**plan, "steps": steps},
        *("--automation-profile", profile, "--safety-profile", "no-commands"),
    )
    assert [v["profile"] for v in done.data["violations"]] == [name for _, name in cases]
    assert done.data["steps"][-1]["status"] == "done"
    for name in ("no-network", "nothing-deleted", "docs-only", "small", "no-commands"):
        assert name in done.data["safety_profile"]["name"]


def _shorter(chars: int) -> dict[str, Any]:
    return {"properties": {"content": {"maxLength": chars}}}


def test_a_condition_sees_the_arguments_that_the_tool_gets(scene: Scene) -> None:
    scene.file("big.txt", "x" * 100)
    where = {"write_file": _shorter(10)}
    more = ("--automation-profile", scene.profile(where=where))
    steps = [
        tool("read_file", "big", path="big.txt"),
        tool("write_file", "copy", path="copy", content="${{ steps.big.text }}"),
    ]
    done = scene.run(steps, *more, expect=3)
    assert done.data["violations"][0]["tool"] == "write_file"
    assert "content" in done.data["violations"][0]["reason"]
    scene.run([NOTE], *more)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({"write_file": {"properties": {"contnet": {"maxLength": 1}}}}, "contnet"),
        ({"write_file": {"maxLenght": 1}}, "maxLenght"),
        ({"write_file": {"$ref": "http://example.com/x"}}, "ref"),
        ({"wirte_file": {"properties": {}}}, "wirte_file"),
    ],
)
def test_a_misspelt_condition_admits_nothing(
    scene: Scene, where: dict[str, Any], said: str
) -> None:
    done = scene.run([NOTE], "--automation-profile", scene.profile(where=where), expect=2)
    assert said in done.said
    assert scene.count("plan_started") == 0


def test_allowed_names_alone_decide_and_an_overlap_is_told(scene: Scene) -> None:
    scene.file("README.md", "hello")
    both: dict[str, Any] = {"allowed_tools": ["read_file", "wr*"], "denied_tools": ["read_file"]}
    more = ("--automation-profile", scene.profile(**both))
    scene.run([tool("read_file", path="README.md"), NOTE], *more)
    assert refused(scene, shell("sh", "ls"), *more)["tool"] == "run_command"
    nothing = ("--automation-profile", scene.profile(allowed_tools=[]))
    assert refused(scene, tool("read_file", path="README.md"), *nothing)["profile"] == "tested"


def test_a_name_or_pattern_that_matches_nothing_is_a_warning(scene: Scene) -> None:
    scene.file("README.md", "hello")
    profile = scene.profile(denied_tools=["reed_file", "web__*"])
    done = scene.run([tool("read_file", path="README.md")], "--automation-profile", profile)
    assert "reed_file" in done.said
    assert "web__*" in done.said


@pytest.mark.parametrize("where", ["option", "plan", "automation", "settings"])
def test_an_unknown_profile_is_an_error_wherever_it_is_named(scene: Scene, where: str) -> None:
    plan: dict[str, Any] = {"name": "tested", "steps": [NOTE]}
    more: tuple[str, ...] = ()
    match where:
        case "option":
            more = ("--safety-profile", "read-onyl")
        case "plan":
            plan["safety_profile"] = "read-onyl"
        case "automation":
            more = ("--automation-profile", scene.automation(safety_profile="read-onyl"))
        case _:
            scene.environ["CLEVERAGENTS_SAFETY_PROFILE"] = "read-onyl"
    done = scene.run(plan, *more, expect=2)
    assert "read-onyl" in done.said
    assert "read-only" in done.said
    assert done.data is None
    assert scene.count("plan_started") == 0


def test_a_profile_reached_by_a_plan_file_may_tighten_and_not_widen(scene: Scene) -> None:
    own = scene.own_tools('@tool(effects={"read"})\ndef six() -> int:\n    return 6')
    scene.automation(safety_profile="read-only", tools=[own.name], apply="auto")
    plan = {"name": "tested", "automation_profile": "automation.yaml", "steps": [NOTE]}
    done = scene.run(plan, expect=3)
    assert done.data["violations"][0]["profile"] == "read-only"
    assert "tools" in done.said
    scene.run({**plan, "steps": [tool("six")]}, expect=2)
    # Added by its name it is the operator's own.
    scene.agents("automation-profile", "add", str(scene.place / "automation.yaml"), expect=0)
    named = {**plan, "automation_profile": "careful", "steps": [tool("six")]}
    assert scene.run(named).data["outcome"] == "applied"


def test_a_profile_changed_meanwhile_binds_new_plans_only(scene: Scene) -> None:
    scene.write("p.yaml", json.dumps({"name": "mine", "denied_tools": ["delete_file"]}))
    scene.agents("safety-profile", "add", str(scene.place / "p.yaml"), expect=0)
    profile = scene.automation(approvals=["run_command"], safety_profile="mine")
    steps = [shell("sh", "ls"), NOTE]
    first = scene.run(steps, "--automation-profile", profile, expect=7)
    scene.agents("safety-profile", "remove", "mine", expect=0)
    scene.write("p.yaml", json.dumps({"name": "mine", "denied_tools": ["write_file"]}))
    scene.agents("safety-profile", "add", str(scene.place / "p.yaml"), expect=0)
    scene.agents("plan", "approve", first.plan_id, "sh", expect=0)
    done = scene.agents("plan", "resume", first.plan_id, expect=0)
    assert done.data["safety_profile"] == first.data["safety_profile"]
    assert refused(scene, NOTE, "--automation-profile", profile)["profile"] == "mine"


def test_check_answers_as_the_plan_would_and_runs_nothing(scene: Scene) -> None:
    args = json.dumps({"path": "a", "content": "x"})
    check = ("safety-profile", "check")
    no = scene.agents(*check, "read-only", "write_file", "--args", args, expect=3)
    yes = scene.agents(*check, "unrestricted", "write_file", "--args", args, expect=0)
    assert (no.data["allowed"], yes.data["allowed"]) == (False, True)
    assert "read-only" in no.data["rule"] or no.data["refusals"][0]["profile"] == "read-only"
    assert scene.count("plan_started") == 0


def test_examples_of_a_profile_are_verified_when_it_is_loaded(scene: Scene) -> None:
    call = {"tool": "write_file", "args": {"path": "a", "content": "b"}}
    wrong = scene.profile(denied_tools=["write_file"], examples={"allows": [call]})
    assert "example" in scene.run([NOTE], "--automation-profile", wrong, expect=2).said
    right = scene.profile(denied_tools=["write_file"], examples={"denies": [call]})
    scene.run([NOTE], "--automation-profile", right, expect=3)
