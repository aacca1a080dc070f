"""Money, tokens and requests of models: held before they are sent, through the command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.llm.mind import MODEL, by_goal, lend, reach
from tests.models.loopback_server import LoopbackServer, calls, fails, says

if TYPE_CHECKING:
    from tests.plans.scene import Scene

READ = ("read_file", {"path": "README.md"})
PRICED = f"""\
max_output_tokens = 1000
[prices."{MODEL}"]
input = 1.00
output = 2.00
"""
"""Micro-dollars a token. A request of these tests has less than 30,000 bytes."""


def priced(scene: Scene, more: str = "") -> None:
    scene.write("home/config.toml", PRICED + more)


def test_usage_is_charged_at_the_operators_price_and_reported_by_model(scene: Scene) -> None:
    priced(scene)
    scene.file("README.md", "hello\n")
    turns = [calls(READ, usage=(1000, 100, 0)), says("done", usage=(2000, 50, 0))]
    with LoopbackServer(turns) as server:
        lend(scene, server)
        done = reach(scene, "look", "--max-cost", "1")
    cost = done.data["cost"]
    assert (cost["spent_usd"], cost["reserved_usd"], cost["limit_usd"]) == ("0.0033", "0", "1.00")
    assert cost["models"] == [
        {
            "model": MODEL,
            "cost_usd": "0.0033",
            "input_tokens": 3000,
            "cached_tokens": 0,
            "output_tokens": 150,
            "requests": 2,
        }
    ]
    report = scene.agents("cost", "--by", "model", expect=0).data
    assert [(r["model"], r["cost_usd"]) for r in report["rows"]] == [(MODEL, "0.0033")]
    scene.verify()


def test_a_request_that_could_pass_the_limit_is_not_sent(scene: Scene) -> None:
    priced(scene)
    with LoopbackServer([says("done")]) as server:
        lend(scene, server)
        done = reach(scene, "look", "--max-cost", "0.002", expect=4)
        assert server.bodies == []
        assert done.data["outcome"] == "constrained"
        (violation,) = done.data["violations"]
        assert violation["kind"] == "budget_exceeded"
        assert done.data["cost"]["spent_usd"] == "0"
        resumed = scene.agents("plan", "resume", done.plan_id, "--max-cost", "1", expect=0)
        assert len(server.bodies) == 1
    assert resumed.data["outcome"] is None


@pytest.mark.parametrize(
    "option", [("--max-requests", "1"), ("--max-tokens", "40000"), ("--max-tool-calls", "1")]
)
def test_each_limit_ends_a_model_that_goes_on(scene: Scene, option: tuple[str, str]) -> None:
    scene.environ["CLEVERAGENTS_MAX_OUTPUT_TOKENS"] = "1000"
    scene.file("README.md", "hello\n")
    turns = [calls(READ, usage=(30_000, 900, 0)), calls(READ, usage=(30_000, 900, 0)), says("x")]
    with LoopbackServer(turns) as server:
        lend(scene, server)
        done = reach(scene, "look", *option, expect=4)
        assert len(server.bodies) < 3
    assert done.data["outcome"] == "constrained"
    assert done.data["violations"][-1]["kind"] == "budget_exceeded"


def test_a_model_without_a_price_is_refused_under_a_cost_limit_and_says_the_setting(
    scene: Scene,
) -> None:
    with LoopbackServer([says("done")]) as server:
        lend(scene, server)
        done = reach(scene, "look", "--max-cost", "1", expect=4)
        assert server.bodies == []
    assert f'prices."{MODEL}"' in done.said
    with LoopbackServer([says("done")]) as server:
        lend(scene, server)
        reach(scene, "look", "--max-tokens", "100000")


def test_parallel_children_of_one_budget_do_not_pass_it_together(scene: Scene) -> None:
    priced(scene)
    session = scene.agents("session", "create", "--max-cost", "0.1", expect=0).data["session_id"]
    child = {
        "goal": "work",
        "actor": {"kind": "llm"},
        "delegate": {"tools": ["read_file"], "read": ["."]},
    }
    members = [{"subplan": {**child, "name": f"c{n}"}, "on_denied": "continue"} for n in range(8)]
    with LoopbackServer(by_goal({"work": [says("done", usage=(9_000, 900, 0))]})) as server:
        lend(scene, server)
        done = scene.run([{"parallel": members}], "--session", session, expect=None)
        asked = len(server.bodies)
    shown = scene.agents("session", "show", session, expect=0).data
    spent = round(float(shown["cost"]["spent_usd"]) * 1_000_000)
    assert spent == asked * 10_800
    assert spent <= 100_000
    assert done.data["cost"]["requests"] == asked
    scene.verify()


def test_a_provider_that_lies_about_usage_is_booked_what_it_says(scene: Scene) -> None:
    priced(scene)
    scene.file("README.md", "hello\n")
    turns = [calls(READ, usage=(5_000_000, 10, 0)), says("done")]
    with LoopbackServer(turns) as server:
        lend(scene, server)
        done = reach(scene, "look", "--max-cost", "1", expect=4)
        assert len(server.bodies) == 1
    assert float(done.data["cost"]["spent_usd"]) > 1
    scene.verify()


def test_a_provider_that_reports_no_usage_is_booked_at_the_worst(scene: Scene) -> None:
    priced(scene)
    with LoopbackServer([says("done", usage=None)]) as server:
        lend(scene, server)
        done = reach(scene, "look", "--max-cost", "1")
    assert float(done.data["cost"]["spent_usd"]) > 0.002
    assert done.data["cost"]["output_tokens"] == 1000


def test_an_overloaded_model_is_replaced_by_the_next_and_the_change_is_a_decision(
    scene: Scene,
) -> None:
    with LoopbackServer([fails(503)]) as first, LoopbackServer([says("done")]) as second:
        lend(scene, first)
        scene.write(
            "home/config.toml",
            f'fallback_models = [{{model = "openai:other", base_url = "{second.base_url}"}}]\n',
        )
        done = reach(scene, "look")
        assert (len(first.bodies), len(second.bodies)) == (1, 1)
    tree = scene.agents("plan", "tree", done.plan_id, expect=0).data
    assert "which model answers?" in json.dumps(tree["decisions"])
    assert "openai:other" in json.dumps(tree["decisions"])


def test_a_budget_is_no_reason_to_ask_another_model(scene: Scene) -> None:
    with LoopbackServer([says("x")]) as first, LoopbackServer([says("done")]) as second:
        lend(scene, first)
        cheap = f'fallback_models = [{{model = "openai:other", base_url = "{second.base_url}"}}]\n'
        scene.write("home/config.toml", cheap + PRICED)
        reach(scene, "look", "--max-cost", "0.002", expect=4)
        assert (first.bodies, second.bodies) == ([], [])


def test_a_key_reaches_its_host_and_nothing_else(scene: Scene) -> None:
    key = "sk-very-secret-value-123"
    scene.environ["TESTED_KEY"] = key
    scene.file("README.md", "hello\n")
    with LoopbackServer([calls(READ), says(f"I heard {key}")]) as server:
        scene.write(
            "home/config.toml",
            f'model = "{MODEL}"\nmodel_base_url = "{server.base_url}"\nmodel_credential = "K"\n'
            '[credentials]\nK = {env = "TESTED_KEY", hosts = ["127.0.0.1"]}\n',
        )
        done = reach(scene, "look")
        assert {headers["authorization"] for _, _, headers in server.requests} == {f"Bearer {key}"}
        assert all(key not in json.dumps(body) for body in server.bodies)
    assert key not in done.out + done.err
    assert key.encode() not in scene.kept()


def test_a_key_is_not_sent_to_a_host_that_it_is_not_declared_for(scene: Scene) -> None:
    scene.environ["TESTED_KEY"] = "sk-very-secret-value-123"
    with LoopbackServer([says("done")]) as server:
        scene.write(
            "home/config.toml",
            f'model = "{MODEL}"\nmodel_base_url = "{server.base_url}"\nmodel_credential = "K"\n'
            '[credentials]\nK = {env = "TESTED_KEY", hosts = ["api.example"]}\n',
        )
        done = reach(scene, "look", expect=1)
        assert server.bodies == []
    assert "not declared for '127.0.0.1'" in done.said
