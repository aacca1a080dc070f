"""What an operator sees of budgets, through the installed command."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.budget.purchase import ASK, ask, hand_on, in_parallel
from tests.plans.scene import scene_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from tests.plans.scene import Scene

    Step = TypeVar("Step", bound=Callable[..., None])

    # behave has no types: its decorators would make every step an untyped function.
    def given(text: str) -> Callable[[Step], Step]: ...
    def when(text: str) -> Callable[[Step], Step]: ...
    def then(text: str) -> Callable[[Step], Step]: ...
else:
    from behave import given, then, when

Context = Any  # behave's context is a bag
SPENT = "SELECT sum(cost) FROM spending"


def _scene(context: Context) -> Scene:
    scene: Scene = context.scene
    return scene


def _amounts(context: Context) -> Decimal:
    found = _scene(context).rows(SPENT)
    return Decimal(found[0][0] or 0) / 1_000_000 if found else Decimal(0)


def _value(text: str) -> float | int:
    return float(text) if "." in text else int(text)


def _run(context: Context, steps: list[dict[str, Any]]) -> None:
    scene = _scene(context)
    automation = scene.automation(tools=["own_tools.py"], budget=context.budget)
    words = ["--automation-profile", automation, *context.options]
    if context.session:
        words += ["--session", context.session]
    context.done = scene.run(steps, *words, expect=None)


@given('a directory and the priced tool "ask"')
def a_directory(context: Context) -> None:
    entered = scene_for(is_ordinary=False)
    context.scene = entered.__enter__()
    context.add_cleanup(entered.__exit__, None, None, None)
    context.scene.own_tools(ASK)
    context.options, context.budget, context.delegated, context.session = [], {}, None, ""


@given("no price")
def no_price(context: Context) -> None:
    context.scene.own_tools(ASK.replace(', cost_usd="0.02"', ""))


@given("the options with {limit} of {value}")
def the_options(context: Context, limit: str, value: str) -> None:
    option = "--" + limit.removesuffix("_usd").replace("_", "-")
    context.options += [option, value]


@given("the automation profile with {limit} of {value}")
def the_automation_profile(context: Context, limit: str, value: str) -> None:
    context.budget = {limit: _value(value)}


@given("the plan settings with {limit} of {value}")
def the_plan_settings(context: Context, limit: str, value: str) -> None:
    context.scene.environ["CLEVERAGENTS_BUDGET_PER_PLAN"] = f"{{{limit}: {value}}}"


@given("the day settings with {limit} of {value}")
def the_day_settings(context: Context, limit: str, value: str) -> None:
    context.scene.environ["CLEVERAGENTS_BUDGET_PER_DAY"] = f"{{{limit}: {value}}}"


@given("the session with {limit} of {value}")
def the_session(context: Context, limit: str, value: str) -> None:
    option = "--" + limit.removesuffix("_usd").replace("_", "-")
    made = _scene(context).agents("session", "create", option, value, expect=0)
    context.session = made.data["session_id"]


@given("the subplan with {limit} of {value}")
def the_subplan(context: Context, limit: str, value: str) -> None:
    context.delegated = {limit: _value(value)}


@when('a plan calls "ask" {count:d} times')
def a_plan_calls(context: Context, count: int) -> None:
    steps = ask(count)
    _run(context, steps if context.delegated is None else [hand_on(context.delegated, steps)])


@when('a plan calls "ask" {count:d} times and then hands on {budget} dollars')
def a_plan_hands_on_too_much(context: Context, count: int, budget: str) -> None:
    _run(context, [*ask(count), hand_on({"max_cost_usd": float(budget)}, ask(1))])


@when(
    "a plan hands on {budget} dollars, of which 0.02 are spent, and then calls"
    ' "ask" {count:d} times'
)
def a_plan_hands_on(context: Context, budget: str, count: int) -> None:
    _run(context, [hand_on({"max_cost_usd": float(budget)}, ask(1)), *ask(count)])


@when('a plan has {count:d} subplans side by side that each call "ask"')
def a_plan_has_subplans(context: Context, count: int) -> None:
    _run(context, [in_parallel(count)])


@when("the session's limit becomes {value} and the plan is resumed")
def the_limit_of_the_session(context: Context, value: str) -> None:
    scene = _scene(context)
    scene.agents("session", "edit", context.session, "--max-cost", value, expect=0)
    context.done = scene.agents("plan", "resume", context.done.plan_id)


@when("the plan is resumed with {limit} of {value}")
def the_plan_is_resumed(context: Context, limit: str, value: str) -> None:
    option = "--" + limit.removesuffix("_usd").replace("_", "-")
    context.done = _scene(context).agents("plan", "resume", context.done.plan_id, option, value)


@when("a plan that waited for a person is resumed with max_tool_calls of {value}")
def a_waiting_plan_is_resumed(context: Context, value: str) -> None:
    scene = _scene(context)
    context.options = []
    automation = scene.automation(tools=["own_tools.py"], approvals=["ask"])
    waiting = scene.run(ask(1), "--automation-profile", automation, expect=7)
    assert scene.rows("SELECT name FROM account") == []
    scene.agents("plan", "approve", waiting.plan_id, "ask0", expect=0)
    context.done = scene.agents("plan", "resume", waiting.plan_id, "--max-tool-calls", value)


@when('a session is made with {option} "{value}"')
def a_session_is_made(context: Context, option: str, value: str) -> None:
    context.done = _scene(context).agents("session", "create", f"{option}={value}")


@when('a plan is run in the session "{name}"')
def a_plan_in_a_session(context: Context, name: str) -> None:
    context.session = name
    _run(context, ask(1))


@then("it exits with {code:d} having made {count:d} calls")
def it_exits(context: Context, code: int, count: int) -> None:
    assert context.done.exit_code == code, f"{context.done.out}\n{context.done.err}"
    sql = (
        "SELECT count(*) FROM record o JOIN record d ON d.plan_id = o.plan_id AND d.call_id ="
        " o.call_id AND d.kind = 'decision' WHERE o.kind = 'outcome'"
        " AND json_extract(o.body, '$.tool') = 'ask'"
    )
    found = _scene(context).rows(sql)
    assert found == [(count,)], found


@then('the plan is constrained and the refusal names "{named}"')
def the_plan_is_constrained(context: Context, named: str) -> None:
    data = context.done.data
    assert data["outcome"] == "constrained", data
    reasons = [one["reason"] for one in data["violations"] if one["kind"] == "budget_exceeded"]
    assert any(f"the {named} " in reason for reason in reasons), data["violations"]


@then("at most {amount} dollars were spent")
def at_most(context: Context, amount: str) -> None:
    assert _amounts(context) <= Decimal(amount), _amounts(context)
    assert Decimal(context.done.data["cost"]["spent_usd"]) == _amounts(context)


@then("the record is whole")
def the_record_is_whole(context: Context) -> None:
    _scene(context).verify()


@then('a person is told that "{amount}" of the limit are spent')
def a_person_is_told(context: Context, amount: str) -> None:
    assert f"{amount} of the cost limit of" in context.done.said, context.done.said
    assert _scene(context).count("budget_warning") == 1


@then("the plan has no subplan")
def no_subplan(context: Context) -> None:
    assert context.done.data["subplans"] == []


@then("session show and plan status agree with the record")
def they_agree(context: Context) -> None:
    scene = _scene(context)
    shown = scene.agents("session", "show", context.session, expect=0).data
    status = scene.status(context.done.plan_id)
    spent = _amounts(context)
    assert Decimal(shown["cost"]["spent_usd"]) == spent
    assert shown["cost"]["reserved_usd"] == "0"
    assert Decimal(status["cost"]["spent_usd"]) == spent
    (plan,) = shown["plans"]
    assert plan["cost"] == status["cost"]
    assert plan["violations"] == len(status["violations"])
    total = scene.agents("cost", "--by", "session", expect=0).data["total"]
    assert Decimal(total["cost_usd"]) == spent
    scene.verify()


@then("the record says who raised the limit from {before} to {after}")
def who_raised(context: Context, before: str, after: str) -> None:
    (entry,) = _scene(context).agents("audit", "list", "--kind", "limits", expect=0).data["records"]
    body = entry["body"]
    assert body["before"]["cost_microusd"] == float(before) * 1_000_000
    assert body["limits"]["cost_microusd"] == float(after) * 1_000_000
    assert body["by"]


@then('it exits with {code:d} and says in one sentence "{said}"')
def it_says(context: Context, code: int, said: str) -> None:
    assert context.done.exit_code == code, context.done.out
    (message,) = context.done.envelope["messages"]
    assert said in message["text"], message
    assert "\n" not in message["text"]
