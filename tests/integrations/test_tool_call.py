"""Every tool call of a governed agent passes the door, and nothing else changes."""

from __future__ import annotations

import asyncio
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, ModelRetry, RunContext, Tool, ToolReturn
from pydantic_ai.capabilities import Hooks
from pydantic_ai.exceptions import ToolFailed, UsageLimitExceeded
from pydantic_ai.messages import ToolReturnPart
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.toolsets import FunctionToolset
from pydantic_ai.usage import UsageLimits

from cleveragents.errors import ConfigurationError, PlanCancelledError
from cleveragents.policy.profile import SafetyProfile

from .scene import run, script

if TYPE_CHECKING:
    from .scene import Call, Scene


def returns(result: Any) -> list[ToolReturnPart]:
    return [
        part
        for message in result.all_messages()
        for part in message.parts
        if isinstance(part, ToolReturnPart)
    ]


def test_an_admitted_call_runs_and_a_refused_one_does_not(scene: Scene) -> None:
    governed = scene.governed(safety_profile="read-only")
    agent = scene.agent([("read", {}), ("wipe", {"path": "b"})], governed=governed)
    result = run(agent)
    assert scene.ran == [("read", "a.txt")]
    done, refused = returns(result)
    assert (done.outcome, done.content) == ("success", "text of a.txt")
    assert refused.outcome == "failed"
    assert str(refused.content).startswith("tool_access_denied: wipe denied: profile 'read-only'")
    status = scene.status()
    assert status["name"] == "demo"
    assert (status["state"], status["outcome"]) == ("complete", None)
    assert status["isolation"]["tier"] == "none"
    assert status["isolation"]["verified"] is False
    (violation,) = status["violations"]
    assert (violation["kind"], violation["tool"]) == ("tool_access_denied", "wipe")
    assert [(s["tool"], s["status"]) for s in status["steps"]] == [
        ("model_request", "done"),
        ("read", "done"),
        ("wipe", "denied"),
        ("model_request", "done"),
    ]
    scene.verify()


def test_without_the_capability_it_is_let_through(scene: Scene) -> None:
    agent = scene.agent([("read", {}), ("wipe", {"path": "b"})], governed=None)
    run(agent)
    assert sorted(scene.ran) == [("read", "a.txt"), ("wipe", "b")]
    assert scene.plans == []


def test_a_tool_that_declares_nothing_may_do_everything(scene: Scene) -> None:
    agent = scene.agent([("slow", {"n": 1})], governed=scene.governed(safety_profile="no-network"))
    run(agent)
    # No cell stands around it, so nothing can be taken away from it: it is refused.
    assert scene.ran == []
    (violation,) = scene.status()["violations"]
    assert violation["rule"] == "effects"


def test_parallel_calls_are_decided_one_by_one(scene: Scene) -> None:
    profile = SafetyProfile("some", where={"slow": {"properties": {"n": {"not": {"const": 2}}}}})
    governed = scene.governed(safety_profile=profile)
    calls = [("slow", {"n": n}) for n in range(1, 4)]
    result = run(scene.agent(calls, governed=governed))
    assert sorted(scene.ran) == [("slow", 1), ("slow", 3)]
    assert [part.outcome for part in returns(result)] == ["success", "failed", "success"]
    steps = [s for s in scene.status()["steps"] if s["tool"] == "slow"]
    assert sorted(s["status"] for s in steps) == ["denied", "done", "done"]
    assert len({s["id"] for s in steps}) == 3


def test_parallel_bodies_really_run_side_by_side(scene: Scene) -> None:
    together = asyncio.Barrier(3)

    async def meet(n: int) -> int:
        await together.wait()
        return n

    agent = scene.agent(
        [("meet", {"n": n}) for n in range(3)],
        governed=scene.governed(effects={}),
        tools=[meet],
    )
    result = run(agent)
    assert [part.content for part in returns(result)] == [0, 1, 2]


def test_a_limit_of_calls_is_held(scene: Scene) -> None:
    governed = scene.governed(max_tool_calls=2)
    agent = scene.agent(*([("read", {"path": f"{n}"})] for n in range(4)), governed=governed)
    result = run(agent)
    assert [path for _, path in scene.ran] == ["0", "1"]
    assert [part.outcome for part in returns(result)] == ["success", "success", "failed", "failed"]
    assert "plan_budget_exceeded: the tool call limit" in str(returns(result)[2].content)
    status = scene.status()
    assert [v["kind"] for v in status["violations"]] == ["budget_exceeded"] * 2
    assert status["cost"]["tool_calls"] == 2
    scene.verify()


def test_the_arguments_that_are_decided_are_those_that_the_body_gets(scene: Scene) -> None:
    # A hook of the program changes them after the model has asked, and before the decision.
    async def twist(_: Any, *, call: Any, tool_def: Any, args: dict[str, Any]) -> dict[str, Any]:
        del call, tool_def
        return {**args, "path": "secret/x"}

    profile = SafetyProfile(
        "open", where={"read": {"properties": {"path": {"not": {"pattern": "^secret/"}}}}}
    )
    agent = scene.agent(
        [("read", {"path": "b"})],
        governed=scene.governed(safety_profile=profile),
        capabilities=[Hooks(before_tool_execute=twist)],
    )
    run(agent)
    assert scene.ran == []
    assert len(scene.status()["violations"]) == 1


@pytest.mark.parametrize(
    ("asked", "got"), [("docs/../docs//a.md", "docs/a.md"), ("./docs/a.md", "docs/a.md")]
)
def test_a_path_reaches_the_body_as_it_was_decided(scene: Scene, asked: str, got: str) -> None:
    governed = scene.governed(
        safety_profile=SafetyProfile("docs", read=("docs/",)),
        resources={"read": {"path": "file:read"}},
    )
    run(scene.agent([("read", {"path": asked})], governed=governed))
    assert scene.ran == [("read", got)]


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "docs/../../x", "src/a.py"])
def test_a_path_outside_is_refused(scene: Scene, path: str) -> None:
    governed = scene.governed(
        safety_profile=SafetyProfile("docs", read=("docs/",)),
        resources={"read": {"path": "file:read"}},
    )
    run(scene.agent([("read", {"path": path})], governed=governed))
    assert scene.ran == []


def test_a_path_object_stays_one(scene: Scene) -> None:
    def show(path: Path, many: list[str]) -> str:
        scene.ran.append((type(path).__name__, (path, many)))
        return "shown"

    agent = scene.agent(
        [("show", {"path": "docs/./a", "many": ["docs//b"]})],
        governed=scene.governed(
            effects={"show": {"read"}}, resources={"show": {"path": "file", "many": "file"}}
        ),
        tools=[show],
    )
    run(agent)
    assert scene.ran == [("PosixPath", (Path("docs/a"), ["docs/b"]))]


def test_defaults_count_in_the_decision(scene: Scene) -> None:
    profile = SafetyProfile(
        "no-default", where={"read": {"properties": {"path": {"not": {"const": "a.txt"}}}}}
    )
    run(scene.agent([("read", {})], governed=scene.governed(safety_profile=profile)))
    assert scene.ran == []


class Page(BaseModel):
    title: str
    day: date


def test_rich_values_come_back_as_they_are(scene: Scene) -> None:
    seen: list[object] = []

    def make(page: Page) -> ToolReturn[str]:
        seen.append(page)
        return ToolReturn("made", metadata={"odd": object()})

    agent = scene.agent(
        [("make", {"page": {"title": "t", "day": "2026-01-02"}})],
        governed=scene.governed(effects={}),
        tools=[make],
    )
    result = run(agent)
    assert seen == [Page(title="t", day=date(2026, 1, 2))]
    (part,) = returns(result)
    assert part.content == "made"
    assert set(part.metadata) == {"odd"}
    call = next(c for c in scene.calls(scene.plans[0]).values() if c["tool"] == "make")
    assert call["arguments"] == {"page": {"title": "t", "day": "2026-01-02"}}


def test_what_a_body_raises_is_recorded_and_passed_on(scene: Scene) -> None:
    def fail(how: str) -> str:
        if how == "retry":
            raise ModelRetry("say it another way")
        if how == "failed":
            raise ToolFailed("there is no such page")
        return "well"

    agent = scene.agent(
        [("fail", {"how": "retry"})],
        [("fail", {"how": "failed"})],
        [("fail", {"how": "well"})],
        governed=scene.governed(effects={}),
        tools=[fail],
    )
    result = run(agent)
    assert [part.outcome for part in returns(result)][-2:] == ["failed", "success"]
    calls = [c for c in scene.calls(scene.plans[0]).values() if c["tool"] == "fail"]
    assert [c["status"] for c in calls] == ["failed", "failed", "done"]
    assert scene.errors(scene.plans[0]) == [
        "ModelRetry: say it another way",
        "ToolFailed: there is no such page",
    ]


def test_an_error_of_a_body_ends_the_run_and_the_plan(scene: Scene) -> None:
    def crash() -> str:
        raise ZeroDivisionError("by nothing")

    agent = scene.agent([("crash", {})], governed=scene.governed(effects={}), tools=[crash])
    with pytest.raises(ZeroDivisionError, match="by nothing"):
        run(agent)
    status = scene.status()
    assert (status["state"], status["outcome"]) == ("errored", "errored")
    assert [s["status"] for s in status["steps"] if s["tool"] == "crash"] == ["failed"]
    scene.verify()


def test_a_run_that_is_cancelled_leaves_no_open_call(scene: Scene) -> None:
    under_way = asyncio.Event()

    async def wait() -> str:
        under_way.set()
        await asyncio.Event().wait()
        return "never"

    agent = scene.agent([("wait", {})], governed=scene.governed(effects={}), tools=[wait])

    async def cancelled() -> None:
        task = asyncio.create_task(agent.run("go"))
        await under_way.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(cancelled(), 30))
    status = scene.status()
    assert status["state"] == "cancelled"
    assert [s["status"] for s in status["steps"] if s["tool"] == "wait"] == ["failed"]
    scene.verify()


def test_a_cancelled_plan_makes_no_further_call(scene: Scene) -> None:
    def stop() -> str:
        scene.installed("plan", "cancel", scene.plans[0])
        return "asked to stop"

    # The model goes on for as long as nobody ends it.
    turns: list[list[Call]] = [[("stop", {})], *([("read", {"path": "a"})] for _ in range(10_000))]
    agent = scene.agent(*turns, governed=scene.governed(effects={}), tools=[stop, scene.read])
    with pytest.raises(PlanCancelledError):
        run(agent, usage_limits=UsageLimits(request_limit=None))
    assert len(scene.ran) < 10_000
    status = scene.status()
    assert (status["state"], status["outcome"]) == ("cancelled", "cancelled")
    assert len([s for s in status["steps"] if s["tool"] == "read"]) == len(scene.ran)


def test_a_plan_that_was_cancelled_refuses_the_call_that_comes_next(scene: Scene) -> None:
    def stop() -> str:
        scene.installed("plan", "cancel", scene.plans[0])
        return "asked to stop"

    calls: list[Call] = [("stop", {}), *(("read", {"path": f"{n}"}) for n in range(5_000))]
    agent = scene.agent(
        calls,
        governed=scene.governed(effects={}),
        tools=[Tool(stop, sequential=True), Tool(scene.read, sequential=True)],
    )
    with pytest.raises(PlanCancelledError):
        run(agent)
    assert len(scene.ran) < 5_000


def test_time_that_a_body_used_up_is_missing_to_the_next(scene: Scene) -> None:
    def work() -> str:
        time.sleep(1.1)
        return "worked"

    agent = scene.agent(
        [("work", {}), ("read", {})],
        governed=scene.governed(effects={}, max_seconds=1),
        tools=[Tool(work, sequential=True), scene.read],
    )
    with pytest.raises(UsageLimitExceeded, match="seconds limit"):
        run(agent)
    assert scene.ran == []
    status = scene.status()
    assert status["outcome"] == "constrained"
    first = status["violations"][0]
    assert (first["kind"], first["tool"]) == ("budget_exceeded", "read")


def test_a_used_up_time_refuses(scene: Scene) -> None:
    governed = scene.governed(max_seconds=0)
    with pytest.raises(UsageLimitExceeded, match="seconds limit"):
        run(scene.agent([("read", {})], governed=governed))
    assert scene.ran == []
    assert scene.status()["outcome"] == "constrained"


def test_a_tool_that_comes_later_is_refused(scene: Scene) -> None:
    toolset: FunctionToolset[None] = FunctionToolset([scene.read])

    def grow() -> str:
        toolset.add_function(scene.wipe)
        return "grown"

    agent = Agent(
        FunctionModel(script([("grow", {})], [("wipe", {"path": "b"})])),
        tools=[grow],
        toolsets=[toolset],
        capabilities=[scene.governed()],
    )
    result = run(agent)
    assert scene.ran == []
    assert "no tool is named 'wipe'" in str(returns(result)[-1].content)


def test_odd_names_are_brought_to_ours(scene: Scene) -> None:
    def getWeather(city: str) -> str:  # noqa: N802  # what foreign tools are called
        scene.ran.append(("getWeather", city))
        return "sun"

    profile = SafetyProfile("weather", allowed_tools=("getweather",))
    agent = scene.agent(
        [("getWeather", {"city": "x"})],
        governed=scene.governed(safety_profile=profile, effects={"getWeather": {"read"}}),
        tools=[getWeather],
    )
    run(agent)
    assert scene.ran == [("getWeather", "x")]


def test_a_tool_may_know_its_run(scene: Scene) -> None:
    async def who(ctx: RunContext[None]) -> str:
        assert ctx.tool_name == "who"
        return str(asyncio.current_task() is not None)

    agent = scene.agent([("who", {})], governed=scene.governed(effects={}), tools=[who])
    assert run(agent).output == "True"


def test_what_cannot_be_recorded_does_not_run(scene: Scene) -> None:
    async def spoil(_: Any, *, call: Any, tool_def: Any, args: dict[str, Any]) -> dict[str, Any]:
        del call, tool_def
        return {**args, "path": "\ud800"}

    agent = scene.agent(
        [("read", {"path": "b"})],
        governed=scene.governed(),
        capabilities=[Hooks(before_tool_execute=spoil)],
    )
    result = run(agent)
    assert scene.ran == []
    assert str(returns(result)[0].content).startswith("arguments: they cannot be recorded")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"effects": {"raed": {"read"}}}, "no tool 'raed'; did you mean 'read'"),
        ({"effects": {"read": {"reading"}}}, "no effect is named 'reading'"),
        ({"resources": {"read": {"paht": "file"}}}, "no argument 'paht'; did you mean 'path'"),
        ({"cost_usd": {"read": "much"}}, "cost"),
        ({"safety_profile": "raed-only"}, "no safety profile is named 'raed-only'"),
        ({"max_cost_usd": "-1"}, "--max-cost"),
        ({"workspace": "/nowhere/at/all"}, "is no directory"),
    ],
)
def test_a_mistake_is_told_before_anything_is_asked(
    scene: Scene, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigurationError) as told:
        run(scene.agent([("read", {})], governed=scene.governed(**options)))
    assert sentence in str(told.value)
    assert scene.ran == []
    assert scene.plans == []


def test_two_tools_of_one_name_are_refused(scene: Scene) -> None:
    def getIt() -> str:  # noqa: N802  # as above
        return ""

    def getit() -> str:
        return ""

    agent = scene.agent(governed=scene.governed(effects={}), tools=[getIt, getit])
    with pytest.raises(ConfigurationError, match="'getIt' and 'getit' are both 'getit'"):
        run(agent)
