"""A call that waits for a person: the model is told how, or the program asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic_ai import Agent
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.tools import DeferredToolRequests, DeferredToolResults

from .scene import run, script

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic_ai.messages import ModelMessage
    from pydantic_ai.models.function import AgentInfo

    from .scene import Scene


@pytest.fixture
def careful(scene: Scene) -> Path:
    file = scene.home.parent / "careful.yaml"
    file.write_text("name: careful\napprovals: [wipe]\n")
    return file


def test_the_model_is_told_the_command(scene: Scene, careful: Path) -> None:
    governed = scene.governed(automation_profile=str(careful))
    agent = scene.agent([("wipe", {"path": "b"})], governed=governed)
    result = run(agent)
    assert scene.ran == []
    (plan_id,) = scene.plans
    assert f"approval_pending: wipe waits for a person: agents plan approve {plan_id} 1.1" in (
        result.output
    )
    call = scene.calls(plan_id)["1.1"]
    assert (call["tool"], call["arguments"], call["status"]) == ("wipe", {"path": "b"}, "waiting")


def test_asked_again_as_it_was_it_runs_once_somebody_said_yes(scene: Scene, careful: Path) -> None:
    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        done = sum(isinstance(one, ModelResponse) for one in messages)
        if done == 1:
            # A person answers while the agent goes on.
            scene.installed("plan", "approve", scene.plans[0], "1.1")
        if done < 3:
            return ModelResponse(parts=[ToolCallPart("wipe", {"path": "b"})])
        return ModelResponse(parts=[TextPart("done")])

    agent = Agent(
        FunctionModel(answer),
        tools=[scene.wipe],
        capabilities=[scene.governed(effects={}, automation_profile=str(careful))],
    )
    result = run(agent)
    parts = [
        part
        for message in result.all_messages()
        for part in message.parts
        if isinstance(part, ToolReturnPart)
    ]
    # Each yes is for one call: the third asks anew.
    assert [part.outcome for part in parts] == ["failed", "success", "failed"]
    assert scene.ran == [("wipe", "b")]
    scene.verify()


def test_a_no_is_a_no(scene: Scene, careful: Path) -> None:
    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        done = sum(isinstance(one, ModelResponse) for one in messages)
        if done == 1:
            scene.installed(
                "plan", "approve", scene.plans[0], "1.1", "--deny", "--reason", "not now"
            )
        if done < 2:
            return ModelResponse(parts=[ToolCallPart("wipe", {"path": "b"})])
        return ModelResponse(parts=[TextPart("done")])

    agent = Agent(
        FunctionModel(answer),
        tools=[scene.wipe],
        capabilities=[scene.governed(effects={}, automation_profile=str(careful))],
    )
    result = run(agent)
    assert scene.ran == []
    assert "refused this call: not now" in str(result.all_messages())


def test_the_program_asks(scene: Scene, careful: Path) -> None:
    governed = scene.governed(automation_profile=str(careful), defer_approvals=True)
    agent: Agent[None, Any] = Agent(
        FunctionModel(script([("wipe", {"path": "b"})])),
        tools=[scene.wipe, scene.read],
        capabilities=[governed],
        output_type=[str, DeferredToolRequests],
    )
    first = run(agent)
    assert isinstance(first.output, DeferredToolRequests)
    (asked,) = first.output.approvals
    assert asked.tool_name == "wipe"
    assert scene.ran == []
    metadata = first.output.metadata[asked.tool_call_id]
    assert metadata["plan_id"] == scene.plans[0]
    second = run(
        agent,
        message_history=first.all_messages(),
        deferred_tool_results=DeferredToolResults(approvals={asked.tool_call_id: True}),
    )
    assert scene.ran == [("wipe", "b")]
    assert second.output == "b is gone"
    later = scene.plans[-1]
    (call,) = [c for c in scene.calls(later).values() if c["tool"] == "wipe"]
    assert call["approved_by"]
    scene.verify()
