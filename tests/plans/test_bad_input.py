"""Everything malformed: one clear sentence with the place, exit 2, and nothing changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.plans.scene import shell, tool

if TYPE_CHECKING:
    from tests.plans.scene import Scene

HEAD = "name: tested\n"
READ = "steps:\n- {tool: read_file, args: {path: README.md}}\n"
BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a}]\n"
    for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
FILES: dict[str, tuple[bytes, str]] = {
    "bomb": (f"{HEAD}{BOMB}{READ}".encode(), ""),
    "deep": (f"{HEAD}goal: {'[' * 5000}{']' * 5000}\n{READ}".encode(), "deep"),
    "deep map": (b"name: x\nsteps:\n" + b"".join(b" " * n + b"- a:\n" for n in range(1, 200)), ""),
    "no utf-8": (b"name: \xff\xfe\n" + READ.encode(), "UTF-8"),
    "nul": (b"name: a\0b\n" + READ.encode(), ""),
    "twice": (f"{HEAD}{HEAD}{READ}".encode(), "name"),
    "tag": (f"{HEAD}goal: !!python/object/apply:os.system [id]\n{READ}".encode(), ""),
    "empty": (b"", ""),
    "list": (b"- a\n", ""),
    "no yaml": (b"name: [\n", ""),
    "unknown key": (f"{HEAD}stpes: []\n{READ}".encode(), "steps"),
    "no steps": (HEAD.encode(), "steps"),
    "empty steps": (f"{HEAD}steps: []\n".encode(), "step"),
}


def refused(scene: Scene, done: Any, said: str) -> None:
    """Exit 2, at most four lines, an envelope without data, and nothing started."""
    text = done.said
    assert done.exit_code == 2, done.out
    assert done.data is None
    assert done.envelope["status"] == "error"
    assert said in text
    assert len(done.err.strip().splitlines()) <= 4
    assert max(map(len, done.err.splitlines())) < 600
    assert scene.count("plan_started") == 0


@pytest.mark.parametrize("kind", FILES)
def test_a_plan_file_that_cannot_be_read_starts_nothing(scene: Scene, kind: str) -> None:
    content, said = FILES[kind]
    path = scene.write("bad.yaml", content)
    words = ("--workspace", str(scene.work))
    done = scene.agents("plan", "run", str(path), *words)
    refused(scene, done, said)
    assert "bad.yaml" in done.said
    # The same bytes are refused wherever a file is read.
    for group in ("safety-profile", "automation-profile") if kind != "no steps" else ():
        assert scene.agents(group, "add", str(path)).exit_code == 2
    plan = scene.plan([tool("read_file", path="a")])
    more = ("--automation-profile", str(path))
    if kind != "no steps":
        refused(scene, scene.agents("plan", "run", plan, *words, *more), "")
    scene.write("home/config.toml", content)
    if kind != "empty":
        refused(scene, scene.agents("plan", "run", plan, *words), "config.toml")


def test_a_file_of_a_hundred_megabytes_is_refused_unread(installed: Scene) -> None:
    path = installed.write("huge.yaml", HEAD)
    with path.open("r+b") as huge:
        huge.truncate(100 << 20)
    done = installed.agents("plan", "run", str(path), "--workspace", str(installed.work))
    refused(installed, done, "huge.yaml")


STEPS: dict[str, tuple[Any, str]] = {
    "tool": ([tool("raed_file", path="a")], "read_file"),
    "step key": ([{**tool("read_file", path="a"), "on_deneid": "fail"}], "on_denied"),
    "on_denied": ([{**tool("read_file", path="a"), "on_denied": "ask"}], "continue"),
    "no tool": ([{"id": "a"}], "steps[0]"),
    "same id": ([tool("read_file", "a", path="a"), tool("read_file", "a", path="a")], "'a'"),
    "later": (
        [tool("read_file", "a", path="${{ steps.b.text }}"), tool("read_file", "b", path="a")],
        "b",
    ),
    "unknown step": ([tool("read_file", path="${{ steps.zz.text }}")], "zz"),
    "field": (
        [tool("read_file", "a", path="a"), tool("read_file", path="${{ steps.a.stdout }}")],
        "stdout",
    ),
    "plan field": ([tool("read_file", path="${{ plan.workspace }}")], "goal"),
    "input": ([tool("read_file", path="${{ inputs.nope }}")], "nope"),
    "env": ([tool("read_file", path="${{ env.HOME }}")], "env"),
    "code": ([tool("read_file", path="${{ 1 + 1 }}")], "steps[0]"),
}


@pytest.mark.parametrize("kind", STEPS)
def test_a_step_that_cannot_be_understood_starts_nothing(scene: Scene, kind: str) -> None:
    steps, said = STEPS[kind]
    refused(scene, scene.run(steps, expect=2), said)


def test_unknown_options_ids_names_and_settings_change_nothing(scene: Scene) -> None:
    plan = [tool("read_file", path="a")]
    refused(scene, scene.run(plan, "--max-cost", "much", expect=2), "--max-cost")
    refused(scene, scene.run(plan, "--max-cost", "-1", expect=2), "--max-cost")
    refused(scene, scene.run(plan, "--automation-profile", "carefull", expect=2), "carefull")
    refused(scene, scene.run(plan, "--sfety-profile", "x", expect=2), "--safety-profile")
    refused(scene, scene.run(plan, "--isolation", "none", expect=2), "off-unsafe")
    absent = str(scene.place / "absent")
    words = ("plan", "run", scene.plan(plan), "--workspace", absent)
    refused(scene, scene.agents(*words), "absent")
    above = ("plan", "run", scene.plan(plan), "--workspace", str(scene.place))
    refused(scene, scene.agents(*above), "CLEVERAGENTS_HOME")
    for command in ("status", "diff", "apply", "cancel", "resume", "explain", "tree", "conflicts"):
        for plan_id in ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "../../etc", "01AR", "x' OR 1=1 --"):
            done = scene.agents("plan", command, plan_id)
            assert done.exit_code == 2, (command, plan_id, done.out)
            assert done.data is None
    for name, value in (
        ("SAFTY_PROFILE", "read-only"),
        ("BUDGET_PER_PLAN", "lots"),
        ("TIMEOUT_S", "0"),
        ("DATABASE_URL", "mysql://x"),
        ("CELL_ROOT", "relative"),
        ("CREDENTIALS", "{A: {vault: x}}"),
        ("APPLY", "always"),
    ):
        scene.environ = {f"CLEVERAGENTS_{name}": value}
        refused(scene, scene.run(plan, expect=2), f"CLEVERAGENTS_{name}")
    scene.environ = {}
    scene.write("home/config.toml", 'safty_profile = "read-only"\n')
    refused(scene, scene.run(plan, expect=2), "safety_profile")


def test_arguments_that_a_tool_does_not_take_fail_their_call(scene: Scene) -> None:
    steps = [
        {**tool("read_file", "a", pth="x"), "on_error": "continue"},
        {**tool("read_file", "b", path=3), "on_error": "continue"},
        {**tool("read_file", "c", path="x", limit=-1), "on_error": "continue"},
        {**tool("read_file", "d", path="a\0b"), "on_error": "continue", "on_denied": "continue"},
        {**tool("run_command", "e", command=""), "on_error": "continue"},
        tool("write_file", "fine", path="fine.txt", content="fine"),
    ]
    done = scene.run(steps, "--apply", expect=None)
    if done.exit_code == 2:
        assert "pth" in done.said
        return
    statuses = [s["status"] for s in done.data["steps"]]
    assert statuses[:5] == ["failed"] * 5
    assert scene.text("fine.txt") == "fine"


def test_settings_come_from_the_file_and_the_environment_over_it(scene: Scene) -> None:
    scene.write(
        "home/config.toml",
        'apply = "auto"\ntimeout_s = 1\nsafety_profile = "no-network"\n'
        '[[safety_profiles]]\nname = "no-moves"\ndenied_tools = ["move_file"]\n',
    )
    steps = [
        {**shell("sh", "sleep 30"), "on_error": "continue"},
        tool("write_file", "note", path="note.txt", content="x"),
    ]
    done = scene.run(steps)
    assert done.data["outcome"] == "applied"
    assert done.data["safety_profile"]["name"] == "no-network"
    scene.environ = {"CLEVERAGENTS_APPLY": "ask", "CLEVERAGENTS_SAFETY_PROFILE": "no-moves"}
    done = scene.run(steps[1:])
    assert done.data["outcome"] is None
    assert set(done.data["safety_profile"]["name"].split(" + ")) == {"no-network", "no-moves"}
    assert scene.run([tool("fetch_url", url="http://example.com")], expect=3).exit_code == 3
    assert scene.run([tool("move_file", source="a", destination="b")], expect=3).exit_code == 3
