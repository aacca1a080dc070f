"""What the plan of another program says of itself, and what there is to type next."""

from __future__ import annotations

import pytest
from pydantic_ai.exceptions import UsageLimitExceeded

from cleveragents.cli.plain_page import draw
from cleveragents.cli.status_view import next_commands, status_page
from tests.plans.scene import scene_for

from .scene import Scene, run


def test_nothing_of_it_is_shown_or_applied(scene: Scene) -> None:
    run(scene.agent([("read", {})], governed=scene.governed()))
    status = scene.status()
    plan_id = status["plan_id"]
    assert status["served"] == "program"
    text = draw(status_page(status), None)
    assert "nothing is left to apply" in text
    assert "your directory is unchanged" not in text
    assert next_commands(status) == (("see every decision", f"agents plan explain {plan_id}"),)
    for words in (("plan", "diff", plan_id), ("plan", "apply", plan_id, "--yes")):
        (said,) = scene.agents(*words, expect=2)["messages"]
        assert "it collects nothing to show or apply" in said["text"]
        assert f"agents plan explain {plan_id}" in said["text"]
    scene.verify()


def test_one_that_a_limit_ended_is_not_gone_on_with(scene: Scene) -> None:
    calls = [[("read", {"path": str(n)})] for n in range(3)]
    with pytest.raises(UsageLimitExceeded):
        run(scene.agent(*calls, governed=scene.governed(max_requests=1)))
    status = scene.status()
    plan_id = status["plan_id"]
    assert "what its calls did until then stays" in draw(status_page(status), None)
    assert next_commands(status) == (("see every decision", f"agents plan explain {plan_id}"),)
    scene.verify()


def test_it_cannot_be_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    # Whoever resumes a plan builds the wall first: at a place that cells may pass.
    with scene_for(is_inside=True) as place:
        for name, value in place.environment.items():
            monkeypatch.setenv(name, value)
        scene = Scene(place.home, place.work)
        with pytest.raises(UsageLimitExceeded):
            run(scene.agent([("read", {})], governed=scene.governed(max_requests=1)))
        (plan_id,) = scene.plans
        said = place.agents("plan", "resume", plan_id, expect=1).said
        assert f"plan {plan_id} served a program, which is gone; start that one again" in said
