"""Models that are scripted by what they are asked to reach, over real HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.models.loopback_server import LoopbackServer, says

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.models.loopback_server import Answer, Body
    from tests.plans.scene import Done, Scene

MODEL = "openai:loopback"
"""No list of prices knows it."""


def goal_of(body: Body) -> str:
    """The first words of the user in a request."""
    return next(str(m["content"]) for m in body["messages"] if m["role"] == "user")


def by_goal(scripts: Mapping[str, Sequence[Answer]]) -> Any:
    """Answer each plan by its own script: several plans ask at the same time."""

    def answer(body: Body, number: int) -> Answer:
        goal = goal_of(body)
        turn: int = sum(message["role"] == "assistant" for message in body["messages"])
        for words, answers in scripts.items():
            if words in goal:
                return answers[min(turn, len(answers) - 1)]
        return says(f"nobody scripted {goal!r}, request {number}")

    return answer


def lend(scene: Scene, server: LoopbackServer, model: str = MODEL) -> None:
    """Let every plan of a scene think with a server."""
    scene.environ |= {"CLEVERAGENTS_MODEL": model, "CLEVERAGENTS_MODEL_BASE_URL": server.base_url}


def reach(scene: Scene, goal: str, *more: str, expect: int | None = 0) -> Done:
    """Run a plan that has only a goal."""
    words = ("plan", "run", "--goal", goal, "--workspace", str(scene.work), *more)
    return scene.agents(*words, expect=expect)


def told(body: Body) -> list[str]:
    """What the model of a request was told by its tools, in order."""
    return [str(m["content"]) for m in body["messages"] if m["role"] == "tool"]


def offered(body: Body) -> dict[str, dict[str, Any]]:
    """The tools that a request offers, by name."""
    return {tool["function"]["name"]: tool["function"] for tool in body.get("tools", [])}
