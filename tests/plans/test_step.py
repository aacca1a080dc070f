"""Plans of steps: references, what a refusal or failure does, inputs, and the commands around."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.plans.scene import shell, tool

if TYPE_CHECKING:
    from tests.plans.scene import Scene


def test_every_field_of_a_result_can_be_referred_to(scene: Scene) -> None:
    scene.file("README.md", "one\nTODO two\n")
    scene.file("docs/a.md", "a")
    own = scene.own_tools('@tool(effects={"read"})\ndef double(n: int) -> int:\n    return 2 * n')
    steps = [
        tool("read_file", "readme", path="README.md"),
        tool("list_directory", "listed", path=".", depth=2),
        tool("search_files", "found", pattern="TODO"),
        shell("ran", "echo out; echo err >&2; exit 3"),
        tool("double", "doubled", n="${{ inputs.number }}"),
        tool(
            "write_file",
            "note",
            path="note.txt",
            content="${{ plan.name }} ${{ plan.id }} ${{ steps.ran.stdout }}"
            "${{ steps.ran.stderr }}${{ steps.ran.exit_code }} ${{ steps.doubled.value }}"
            " ${{ steps.found.matches }} ${{ steps.listed.entries }} ${{ steps.readme.text }}",
        ),
        # A whole-string reference keeps its type; what it inserts is not evaluated again.
        tool("double", "again", n="${{ steps.doubled.value }}"),
        tool("write_file", "trap", path="trap.txt", content="${{ inputs.trap }}"),
    ]
    plan = {
        "name": "refer",
        "inputs": {"number": 3, "trap": {"type": "string"}},
        "steps": steps,
    }
    profile = scene.automation(tools=[own.name])
    trap = "${{ steps.readme.text }} $(id) {{ inputs.number }}"
    more = ("--automation-profile", profile, "--input", "number=21", "--input", f"trap={trap}")
    plan_id = scene.run(plan, *more, "--apply").plan_id
    note = scene.text("note.txt")
    assert note.startswith(f"refer {plan_id} out\nerr\n3 42 ")
    assert "TODO two" in note
    assert "docs/a.md" in note
    assert scene.value(plan_id, "again")["value"] == 84
    assert scene.text("trap.txt") == trap


def test_a_refusal_ends_the_plan_unless_the_step_goes_on(scene: Scene) -> None:
    scene.file("README.md", "hello")
    denied = tool("write_file", "note", path="a", content="")
    after = tool("read_file", "after", path="README.md")
    stopped = scene.run([denied, after], "--safety-profile", "read-only", expect=3)
    assert [s["status"] for s in stopped.data["steps"]] == ["denied"]
    on = {**denied, "on_denied": "continue"}
    went_on = scene.run([on, after, {**on, "id": "twice"}], "--safety-profile", "read-only")
    assert [s["status"] for s in went_on.data["steps"]] == ["denied", "done", "denied"]
    assert len(went_on.data["violations"]) == 2
    assert went_on.data["outcome"] is None


def test_a_failure_ends_the_plan_unless_the_step_goes_on(scene: Scene) -> None:
    scene.file("README.md", "hello")
    broken = tool("read_file", "gone", path="absent.txt")
    after = tool("read_file", "after", path="README.md")
    stopped = scene.run([broken, after], expect=1)
    assert (stopped.data["state"], stopped.data["outcome"]) == ("errored", "errored")
    assert [s["status"] for s in stopped.data["steps"]] == ["failed"]
    assert "absent.txt" in stopped.said
    # `on_error` lets no refusal pass, and `on_denied` no failure.
    assert scene.run([{**broken, "on_denied": "continue"}, after], expect=1).exit_code == 1
    went_on = scene.run([{**broken, "on_error": "continue"}, after])
    assert [s["status"] for s in went_on.data["steps"]] == ["failed", "done"]
    assert went_on.data["violations"] == []


def test_a_reference_to_a_step_that_gave_nothing_fails_its_call_only(scene: Scene) -> None:
    scene.file("README.md", "hello")
    steps = [
        {**tool("read_file", "gone", path="absent.txt"), "on_error": "continue"},
        {
            **tool("write_file", "note", path="a", content="${{ steps.gone.text }}"),
            "on_error": "continue",
        },
        tool("read_file", "after", path="README.md"),
    ]
    done = scene.run(steps, expect=None)
    assert done.exit_code in {0, 1}
    assert done.data["state"] in {"complete", "errored"}
    scene.verify()


def test_list_diff_apply_and_explain_follow_a_plan(anybody: Scene) -> None:
    anybody.file("old.txt", "old\n")
    steps = [
        tool("edit_file", "edit", path="old.txt", old="old", new="new"),
        tool("write_file", "add", path="docs/added.txt", content="added\n"),
    ]
    before = anybody.digest()
    done = anybody.run(steps)
    plan_id = done.plan_id
    assert (done.data["phase"], done.data["state"], done.data["outcome"]) == (
        "execute",
        "complete",
        None,
    )
    assert anybody.digest() == before
    diff = anybody.agents("plan", "diff", plan_id[:12], expect=0).data
    assert {(c["path"], c["kind"]) for c in diff["changes"]} == {
        ("old.txt", "modified"),
        ("docs/added.txt", "added"),
    }
    assert "-old\n+new" in diff["diff"]
    (listed,) = anybody.agents("plan", "list", expect=0).data["plans"]
    assert (listed["plan_id"], listed["state"], listed["parent_plan_id"]) == (
        plan_id,
        "complete",
        None,
    )
    assert anybody.agents("plan", "list", "--state", "waiting", expect=0).data["plans"] == []
    assert anybody.agents("plan", "apply", plan_id, expect=0).data["outcome"] == "applied"
    assert anybody.text("old.txt") == "new\n"
    assert anybody.text("docs/added.txt") == "added\n"
    after = anybody.digest()
    # Applied is applied: once more changes nothing and is no error.
    assert anybody.agents("plan", "apply", plan_id, expect=0).data["outcome"] == "applied"
    assert anybody.digest() == after
    for call in anybody.explained(plan_id)[:2]:
        assert call["verdict"] == "allowed"
        assert call["rule"]
    assert anybody.agents("plan", "resume", plan_id, expect=None).exit_code != 0
    anybody.verify()


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (("--input", "unknown=1"), "unknown"),
        ((), "name"),
        (("--input", "count=many", "--input", "name=x"), "count"),
        (("--input", "name"), "name"),
    ],
)
def test_an_input_that_is_wrong_or_missing_starts_nothing(
    scene: Scene, given: tuple[str, ...], problem: str
) -> None:
    plan = {
        "name": "asks",
        "inputs": {"name": {"type": "string"}, "count": 1},
        "steps": [tool("read_file", path="${{ inputs.name }}")],
    }
    done = scene.run(plan, *given, expect=2)
    assert problem in done.said
    assert scene.count("plan_started") == 0
