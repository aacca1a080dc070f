"""Every request of a governed agent is held before it is sent, and recorded with its answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from pydantic_ai import Agent
from pydantic_ai.capabilities import AbstractCapability, NativeTool
from pydantic_ai.exceptions import ModelHTTPError, UsageLimitExceeded, UserError
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.native_tools import AbstractNativeTool, WebSearchTool
from pydantic_ai.native_tools._tool_search import ToolSearchTool
from pydantic_ai.tools import DeferredToolRequests, ToolDefinition
from pydantic_ai.toolsets import ExternalToolset
from pydantic_ai.usage import RequestUsage

from cleveragents.errors import ConfigurationError
from cleveragents.integrations.pydantic_ai import Governed

from .scene import run, script

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pydantic_ai.messages import ModelMessage
    from pydantic_ai.models.function import AgentInfo

    from .scene import Scene

SPEND = RequestUsage(input_tokens=100, output_tokens=20)


def saying(text: str, sent: list[Any], usage: RequestUsage = SPEND) -> FunctionModel:
    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        sent.append(info.model_settings)
        return ModelResponse(parts=[TextPart(text)], usage=usage)

    return FunctionModel(answer)


class Priced(FunctionModel):
    """A model that says whose it is."""

    @property
    def system(self) -> str:
        return "openai"


def agent_of(model: Any, governed: Governed, **options: Any) -> Agent[None, Any]:
    return Agent(model, capabilities=[governed], name="thinker", **options)


def test_a_request_is_recorded_and_counted(scene: Scene) -> None:
    sent: list[Any] = []
    result = run(agent_of(saying("well", sent), scene.governed(effects={})))
    assert result.output == "well"
    status = scene.status()
    assert status["cost"]["requests"] == 1
    assert (status["cost"]["input_tokens"], status["cost"]["output_tokens"]) == (100, 20)
    (call,) = scene.calls(scene.plans[0]).values()
    assert call["tool"] == "model_request"
    assert call["arguments"]["model"].startswith("function:")
    assert "go" in str(call["arguments"]["messages"])
    scene.verify()


def test_only_what_is_new_is_recorded_of_a_conversation(scene: Scene) -> None:
    agent = scene.agent([("read", {"path": "once"})], governed=scene.governed())
    run(agent)
    first, second = (
        call["arguments"]["messages"]
        for call in scene.calls(scene.plans[0]).values()
        if call["tool"] == "model_request"
    )
    assert "go" in str(first)
    assert "text of once" in str(second)
    assert "go" not in str(second)


def test_a_limit_of_requests_is_held(scene: Scene) -> None:
    agent = scene.agent(
        *([("read", {"path": f"{n}"})] for n in range(5)), governed=scene.governed(max_requests=2)
    )
    with pytest.raises(UsageLimitExceeded, match="plan_budget_exceeded: the request limit"):
        run(agent)
    assert [path for _, path in scene.ran] == ["0", "1"]
    status = scene.status()
    assert (status["state"], status["outcome"]) == ("complete", "constrained")
    assert status["cost"]["requests"] == 2
    assert status["violations"][0]["tool"] == "model_request"


def test_a_limit_of_tokens_is_held_before_anything_is_sent(scene: Scene) -> None:
    sent: list[Any] = []
    with pytest.raises(UsageLimitExceeded, match="token"):
        run(agent_of(saying("well", sent), scene.governed(effects={}, max_tokens=5_000)))
    assert sent == []


def test_an_answer_is_no_longer_than_what_is_held_for_it(scene: Scene) -> None:
    sent: list[Any] = []
    governed = scene.governed(effects={}, max_tokens=50_000, max_output_tokens=77)
    run(agent_of(saying("well", sent), governed))
    run(agent_of(saying("well", sent), governed, model_settings={"max_tokens": 5}))
    run(agent_of(saying("well", sent), governed, model_settings={"max_tokens": 500}))
    assert [settings["max_tokens"] for settings in sent] == [77, 5, 77]


def test_without_a_limit_the_program_s_settings_stay(scene: Scene) -> None:
    sent: list[Any] = []
    run(agent_of(saying("well", sent), scene.governed(effects={})))
    assert not (sent[0] or {}).get("max_tokens")


def test_a_model_without_a_price_is_not_asked_under_a_limit_of_money(scene: Scene) -> None:
    sent: list[Any] = []
    with pytest.raises(UsageLimitExceeded, match="unpriced_model"):
        run(agent_of(saying("well", sent), scene.governed(effects={}, max_cost_usd="1.00")))
    assert sent == []


def test_a_price_of_the_settings_is_charged(scene: Scene) -> None:
    sent: list[Any] = []

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        sent.append(info.model_settings)
        return ModelResponse(parts=[TextPart("well")], usage=SPEND)

    model = Priced(answer, model_name="house-model")
    assert model.model_id == "openai:house-model"
    (scene.home / "config.toml").write_text(
        f'[prices."{model.model_id}"]\ninput = "10"\noutput = "20"\n'
    )
    governed = scene.governed(effects={}, max_cost_usd="1.00", max_output_tokens=100)
    run(agent_of(model, governed))
    # 100 tokens in at 10, 20 out at 20 dollars a million.
    assert scene.status()["cost"]["spent_usd"] == "0.0014"
    (scene.home / "config.toml").write_text(
        f'[prices."{model.model_id}"]\ninput = "10"\noutput = "90000"\n'
    )
    with pytest.raises(UsageLimitExceeded, match="cost"):
        run(agent_of(model, governed))
    assert len(sent) == 1


def test_a_stream_passes_the_door(scene: Scene) -> None:
    async def words(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        for word in ("one ", "two ", "three"):
            yield word

    agent = agent_of(FunctionModel(stream_function=words), scene.governed(effects={}))

    async def listen() -> list[str]:
        async with agent.run_stream("go") as stream:
            return [text async for text in stream.stream_text(delta=True, debounce_by=None)]

    assert "".join(asyncio.run(listen())) == "one two three"
    (call,) = scene.calls(scene.plans[0]).values()
    assert (call["tool"], call["status"]) == ("model_request", "done")
    assert scene.status()["state"] == "complete"
    scene.verify()


def test_a_stream_that_nobody_reads_to_its_end_is_booked_at_its_worst(scene: Scene) -> None:
    async def words(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        for n in range(1000):
            yield f"{n} "

    agent = agent_of(
        FunctionModel(stream_function=words),
        scene.governed(effects={}, max_tokens=50_000, max_output_tokens=500),
    )

    async def leave() -> None:
        async with agent.run_stream("go") as stream:
            async for _ in stream.stream_text(delta=True, debounce_by=None):
                break

    asyncio.run(leave())
    assert scene.status()["cost"]["output_tokens"] == 500


def test_a_request_that_fails_is_recorded_and_the_error_is_the_library_s(scene: Scene) -> None:
    def fail(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        raise ModelHTTPError(status_code=429, model_name="m", body={"message": "slow down"})

    with pytest.raises(ModelHTTPError):
        run(agent_of(FunctionModel(fail), scene.governed(effects={}, max_tokens=50_000)))
    status = scene.status()
    assert (status["state"], status["outcome"]) == ("errored", "errored")
    # The provider refused it: nothing but the request is counted.
    assert (status["cost"]["requests"], status["cost"]["input_tokens"]) == (1, 0)
    assert "slow down" in scene.errors(scene.plans[0])[0]


def test_each_model_of_a_fallback_serves_behind_the_door(scene: Scene) -> None:
    def fail(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        raise ModelHTTPError(status_code=503, model_name="m")

    sent: list[Any] = []
    model = FallbackModel(FunctionModel(fail), saying("second", sent))
    assert run(agent_of(model, scene.governed(effects={}))).output == "second"
    assert scene.status()["cost"]["requests"] >= 1


def test_native_tools_are_refused_before_anything_is_sent(scene: Scene) -> None:
    model = TestModel(profile={"supported_native_tools": frozenset({WebSearchTool})})
    agent = agent_of(
        model,
        scene.governed(effects={}),
    )
    with pytest.raises(ConfigurationError, match="the provider runs the native tool 'web_search'"):
        run(agent, capabilities=[NativeTool(WebSearchTool())])
    assert scene.status()["cost"]["requests"] == 0


def test_a_search_among_the_agent_s_own_tools_is_no_effect(scene: Scene) -> None:
    class Search(AbstractCapability[None]):
        async def prepare_model_request(self, ctx: Any, request_context: Any) -> Any:
            request_context.model_request_parameters.native_tools.append(ToolSearchTool())
            return request_context

    class Searching(TestModel):
        @classmethod
        def supported_native_tools(cls) -> frozenset[type[AbstractNativeTool]]:
            return frozenset({ToolSearchTool})

    agent = agent_of(Searching(call_tools=[]), scene.governed(effects={}))
    # It got as far as the model, which is what cannot do it.
    with pytest.raises(UserError, match="TestModel does not support built-in tools"):
        run(agent, capabilities=[Search()])


def test_tools_that_somebody_else_runs_are_refused(scene: Scene) -> None:
    toolset: ExternalToolset[None] = ExternalToolset([ToolDefinition(name="far_away")])
    agent = agent_of(
        TestModel(),
        scene.governed(effects={}),
        toolsets=[toolset],
        output_type=[str, DeferredToolRequests],
    )
    with pytest.raises(ConfigurationError, match="'far_away' is run outside of the agent"):
        run(agent)
    assert scene.plans == []


def test_what_no_limit_can_be_held_for_is_refused(scene: Scene) -> None:
    from cleveragents.integrations.governed_model import GovernedModel
    from cleveragents.integrations.governed_run import GovernedRun

    model = GovernedModel(TestModel(), GovernedRun(scene.governed(), agent=None))
    context: Any = None
    with pytest.raises(ConfigurationError, match="compacting messages"):
        asyncio.run(model.compact_messages(context))
    with pytest.raises(ConfigurationError, match="a batch of requests"):
        asyncio.run(model.batch_encode(context))


def test_a_run_of_its_own_is_a_plan_of_its_own(scene: Scene) -> None:
    agent = scene.agent([("read", {})], governed=scene.governed(max_tool_calls=1))
    run(agent)
    run(agent)
    assert len(scene.plans) == 2
    assert len(scene.ran) == 2


def test_runs_side_by_side_do_not_mix(scene: Scene) -> None:
    agent = scene.agent(
        [("read", {}), ("slow", {"n": 1})], governed=scene.governed(max_tool_calls=1)
    )

    async def both() -> None:
        await asyncio.gather(*(agent.run("go") for _ in range(4)))

    asyncio.run(both())
    assert len(scene.plans) == 4
    assert len(scene.ran) == 4
    scene.verify()


def test_it_cannot_be_loaded_later(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be loaded later"):
        Governed(id="gate", defer_loading=True)


def test_it_is_used_in_a_run_only() -> None:
    with pytest.raises(ConfigurationError, match="outside of a run"):
        Governed().get_wrapper_model(TestModel())


def test_a_realtime_session_is_refused(scene: Scene) -> None:
    class Context:
        model = object()

    context: Any = Context()

    async def never() -> Any:
        raise AssertionError

    with pytest.raises(ConfigurationError, match="realtime"):
        asyncio.run(Governed().wrap_run(context, handler=never))


def test_it_cannot_be_named_in_a_spec() -> None:
    assert Governed.get_serialization_name() is None


def test_another_capability_cannot_stand_between_it_and_the_model(scene: Scene) -> None:
    class Sly(AbstractCapability[None]):
        async def prepare_model_request(self, ctx: Any, request_context: Any) -> Any:
            request_context.model_request_parameters.native_tools.append(WebSearchTool())
            return request_context

    agent = scene.agent(governed=scene.governed(), capabilities=[Sly()])
    with pytest.raises(ConfigurationError, match="web_search"):
        run(agent)


def test_a_credential_in_an_answer_is_in_neither_record_nor_reply(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "open-sesame-1234")
    (scene.home / "config.toml").write_text(
        '[credentials.KEY]\nenv = "MY_KEY"\nhosts = ["example.com"]\n'
    )

    def tell() -> str:
        return "the word is open-sesame-1234"

    sent: list[Any] = []
    agent = Agent(
        FunctionModel(script([("tell", {})])),
        tools=[tell],
        capabilities=[scene.governed(effects={})],
    )
    result = run(agent)
    assert result.output == "the word is [redacted:KEY]"
    said = run(agent_of(saying("open-sesame-1234", sent), scene.governed(effects={})))
    assert said.output == "[redacted:KEY]"
    assert b"open-sesame" not in (scene.home / "cleveragents.db").read_bytes()
