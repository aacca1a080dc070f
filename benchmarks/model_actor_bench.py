"""What our door adds to a model's turns and calls, against bare pydantic-ai (issue: models).

Both talk to the same scripted server over loopback HTTP, and both have the
answers streamed, as the actor has to: an answer of 200 calls comes in 600
pieces, and reading them takes longer than an answer in one piece. The floor's
tool is a plain function that reads a file in its own process; ours is
``read_file``: decided, recorded, in the cell. Against bare pydantic-ai that
does not stream, the second number is kept as well; it has no goal.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.usage import UsageLimits

from cleveragents.assembly import plan_command
from cleveragents.plans.actor import llm
from cleveragents.terms.interaction import Nobody
from tests.models.loopback_server import Answer, Body, LoopbackServer, calls, says

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from pydantic_ai import AgentStreamEvent, RunContext

TURNS = 200
CALLS = 200
ROUNDS = 3
INSTRUCTIONS = "Read what you are told to read, and say when you are done. " * 25
"""About as long as ours."""


def script(turns: int, side_by_side: int):
    """Answers that ask for so many calls in each of so many turns."""

    def answer(body: Body, _: int) -> Answer:
        turn = sum(message["role"] == "assistant" for message in body["messages"])
        if turn >= turns:
            return says("done")
        asked = [("read_file", {"path": f"{n % 10}.txt"}) for n in range(side_by_side)]
        return calls(*asked, text=f"turn {turn}")

    return answer


class ModelActor:
    """Seconds of a whole run, ours over the floor's."""

    timeout = 600

    def setup(self) -> None:
        self._place = tempfile.TemporaryDirectory(prefix="model-bench-")
        self.work = Path(self._place.name) / "work"
        self.work.mkdir()
        for n in range(10):
            (self.work / f"{n}.txt").write_text("hello\n" * 20)

    def teardown(self) -> None:
        self._place.cleanup()

    def bare_s(self, url: str, *, is_streamed: bool = True) -> float:
        """pydantic-ai's own loop."""
        model = OpenAIChatModel("m", provider=OpenAIProvider(base_url=url, api_key="none"))
        agent = Agent(model, instructions=INSTRUCTIONS)

        @agent.tool_plain
        def read_file(path: str) -> str:
            return (self.work / path).read_text()

        async def hear(_: RunContext[None], events: AsyncIterable[AgentStreamEvent]) -> None:
            async for _event in events:
                pass

        started = time.perf_counter()
        agent.run_sync(
            "go",
            usage_limits=UsageLimits(request_limit=None),
            event_stream_handler=hear if is_streamed else None,
        )
        return time.perf_counter() - started

    def ours_s(self, url: str) -> float:
        """The model actor alone: what a plan needs to start is no part of a turn."""
        took: list[float] = []
        run = llm.LlmActor.run

        def timed(actor: llm.LlmActor):
            started = time.perf_counter()
            try:
                return run(actor)
            finally:
                took.append(time.perf_counter() - started)

        environment = {
            "CLEVERAGENTS_HOME": f"{self._place.name}/home",
            "CLEVERAGENTS_MODEL": "openai:m",
            "CLEVERAGENTS_MODEL_BASE_URL": url,
            "CLEVERAGENTS_MAX_TURNS": "1000",
        }
        with (
            mock.patch.dict(os.environ, environment),
            mock.patch.object(llm.LlmActor, "run", timed),
            mock.patch.object(llm, "MAX_REPEATS", 10**6),
        ):
            request = plan_command.RunRequest(workspace=self.work, goal="go")
            answer = plan_command.run(request, Nobody())
        assert answer.exit_code == 0, answer.messages
        return took[0]

    def ratio(self, turns: int, side_by_side: int, *, is_streamed: bool = True) -> float:
        ratios = []
        with LoopbackServer(script(turns, side_by_side)) as server:
            # Once each for the imports and the warm connection.
            self.bare_s(server.base_url), self.ours_s(server.base_url)
            for _ in range(ROUNDS):
                floor = self.bare_s(server.base_url, is_streamed=is_streamed)
                ratios.append(self.ours_s(server.base_url) / floor)
        return statistics.median(ratios)

    def track_two_hundred_turns(self) -> float:
        """Goal: at most 1.1 times bare pydantic-ai."""
        return self.ratio(TURNS, 1)

    def track_two_hundred_calls_of_one_turn(self) -> float:
        """Goal: at most 1.5 times bare pydantic-ai."""
        return self.ratio(1, CALLS)

    def track_two_hundred_calls_of_one_turn_beside_one_piece(self) -> float:
        """The same beside bare pydantic-ai that gets its answer in one piece."""
        return self.ratio(1, CALLS, is_streamed=False)

    track_two_hundred_turns.unit = track_two_hundred_calls_of_one_turn.unit = "x bare"
    track_two_hundred_calls_of_one_turn_beside_one_piece.unit = "x bare, unstreamed"


class Import:
    """What ``import cleveragents`` adds to ``python -I -c pass``; goal: at most 30 ms."""

    def track_import(self) -> float:
        def median_s(code: str) -> float:
            times = []
            for _ in range(11):
                started = time.perf_counter()
                subprocess.run([sys.executable, "-I", "-c", code], check=True)
                times.append(time.perf_counter() - started)
            return statistics.median(times)

        return (median_s("import cleveragents") - median_s("pass")) * 1000

    track_import.unit = "ms"


if __name__ == "__main__":
    bench = ModelActor()
    bench.setup()
    found = {
        "200 turns": bench.track_two_hundred_turns(),
        "200 calls of one turn": bench.track_two_hundred_calls_of_one_turn(),
        "beside one piece": bench.track_two_hundred_calls_of_one_turn_beside_one_piece(),
        "import ms": Import().track_import(),
    }
    bench.teardown()
    sys.stdout.write(json.dumps(found) + "\n")
