"""A home of its own, an agent with tools that note that they ran, and the installed command."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_ai import Agent
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import FunctionModel

from cleveragents.integrations.pydantic_ai import Governed
from tests.cli.command_line import make_invocation, say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic_ai.messages import ModelMessage
    from pydantic_ai.models.function import AgentInfo

AGENTS = Path(sys.executable).with_name("agents")
TIMEOUT_S = 60
Call = tuple[str, dict[str, Any]]


@dataclass
class Scene:
    """One home and one workspace; ``ran`` says whose body ran, with what."""

    home: Path
    workspace: Path
    ran: list[tuple[str, object]] = field(default_factory=list)

    def agents(self, *words: str, expect: int = 0) -> dict[str, Any]:
        """Run a command in this process, which is faster, and give its envelope."""
        environ = {"CLEVERAGENTS_HOME": str(self.home)}
        said = say(make_invocation(*words, "--format", "json", environ=environ))
        assert said.exit_code == expect, said.out + said.err
        return said.envelope

    def installed(self, *words: str, expect: int = 0) -> dict[str, Any]:
        """Run the installed command, a process of its own, and give its envelope."""
        done = subprocess.run(
            [str(AGENTS), *words, "--format", "json"],
            env={**os.environ, "CLEVERAGENTS_HOME": str(self.home)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert done.returncode == expect, done.stdout + done.stderr
        value = json.loads(done.stdout)
        assert isinstance(value, dict)
        return value

    @property
    def plans(self) -> list[str]:
        """Every plan of the home, in the order of their starts."""
        plans = self.agents("plan", "list")["data"]["plans"]
        return sorted(one["plan_id"] for one in plans)

    def status(self) -> dict[str, Any]:
        """The status of the only plan that there is."""
        (plan_id,) = self.plans
        data = self.agents("plan", "status", plan_id)["data"]
        assert isinstance(data, dict)
        return data

    def calls(self, plan_id: str) -> dict[str, dict[str, Any]]:
        """The calls of a plan, by their ids."""
        found = self.agents("plan", "explain", plan_id)["data"]["calls"]
        return {one["call_id"]: one for one in found}

    def errors(self, plan_id: str) -> list[str]:
        """What the record says of the calls that failed, in their order."""
        found = self.agents("audit", "list", "--plan", plan_id, "--kind", "outcome")
        bodies = [one["body"] for one in found["data"]["records"]]
        return [str(body["error"]) for body in bodies if body["status"] == "failed"]

    def verify(self) -> None:
        """Have the record checked."""
        assert self.installed("audit", "verify")["data"]["ok"] is True

    def governed(self, **options: Any) -> Governed:
        """A capability over this workspace; reading is what ``read`` does."""
        given = {"workspace": self.workspace, "effects": {"read": {"read"}}, **options}
        return Governed(**given)

    def agent(
        self, *turns: Sequence[Call], governed: Governed | None, **options: Any
    ) -> Agent[None, str]:
        """An agent whose model makes these calls, turn by turn, and then says what it got."""
        capabilities = [] if governed is None else [governed]
        tools: list[Callable[..., Any]] = [self.read, self.wipe, self.slow]
        return Agent(
            FunctionModel(script(*turns)),
            tools=options.pop("tools", tools),
            capabilities=[*options.pop("capabilities", []), *capabilities],
            name="demo",
            **options,
        )

    def read(self, path: str = "a.txt") -> str:
        """Read a page."""
        self.ran.append(("read", path))
        return f"text of {path}"

    async def wipe(self, path: str) -> str:
        """Delete a page."""
        self.ran.append(("wipe", path))
        return f"{path} is gone"

    async def slow(self, n: int) -> int:
        """Let others run."""
        await asyncio.sleep(0)
        self.ran.append(("slow", n))
        return n


def run(agent: Agent[None, Any], **options: Any) -> Any:
    """Run an agent on a loop of its own; bounded, whatever it does."""
    return asyncio.run(asyncio.wait_for(agent.run("go", **options), TIMEOUT_S))


def script(*turns: Sequence[Call]) -> Callable[[list[ModelMessage], AgentInfo], ModelResponse]:
    """A model that makes the calls of one turn after another, then answers with what it saw."""

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        done = sum(isinstance(one, ModelResponse) for one in messages)
        if done < len(turns):
            return ModelResponse(
                parts=[
                    ToolCallPart(name, args, tool_call_id=f"{done}-{number}")
                    for number, (name, args) in enumerate(turns[done])
                ]
            )
        seen = [
            str(part.content)
            for message in messages
            for part in message.parts
            if part.part_kind == "tool-return"
        ]
        return ModelResponse(parts=[TextPart("\n".join(seen) or "nothing")])

    return answer
