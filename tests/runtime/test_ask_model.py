"""One request to a model through the door: decided, held, recorded, answered once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.errors import (
    ModelFailedError,
    PlanBudgetExceededError,
    SecurityBoundaryViolation,
    ToolAccessDeniedError,
    UnpricedModelError,
)
from cleveragents.policy.grant import Grant
from cleveragents.policy.host_rule import HostRules
from cleveragents.runtime.model_ask import ModelAsk
from cleveragents.terms.cost import Limits
from cleveragents.terms.model import ModelEndpoint, ModelReply, ModelRequest, ModelUsage
from cleveragents.terms.plan import DelegationRequest
from cleveragents.tools.broker.credential import Credential
from cleveragents.tools.catalog import BUILT_IN as TOOLS
from tests.runtime.models_double import failure, reply
from tests.runtime.world import PLAN, Setting, World

if TYPE_CHECKING:
    from pathlib import Path

LENT = ModelEndpoint("openai:small", "http://models.example/v1", "KEY")
FOREIGN = ModelEndpoint("openai:large", "http://models.example/v1")
ACCOUNT = f"plan:{PLAN}"
SECRET = "a-secret-of-the-operator"


def asked(
    endpoint: ModelEndpoint = LENT, *, step: str = "turn1", attempt: int = 1, digest: str = "d1"
) -> ModelAsk:
    return ModelAsk(
        step=step,
        attempt=attempt,
        endpoint=endpoint,
        request=ModelRequest("be good", ({"role": "user", "text": "hi"},), max_output_tokens=50),
        new=({"role": "user", "text": "hi"},),
        digest=digest,
        on_text=lambda _: None,
        should_stop=lambda: False,
    )


def world(home: Path, *answers: ModelReply | BaseException, **more: Any) -> World:
    facts: dict[str, Any] = {
        "endpoints": frozenset({LENT}),
        "credentials": {"KEY": Credential(SECRET, HostRules.parse(("models.example",)))},
        "accounts": (ACCOUNT,),
        **more,
    }
    made = World(home, Setting(**facts))
    made.accounts.ensure(ACCOUNT, facts.pop("limits", Limits()))
    made.models.answers[:] = answers
    return made


def limit(one: World, limits: Limits) -> None:
    one.accounts.set_limits(ACCOUNT, limits)


def test_a_lent_model_is_asked_with_its_key_and_charged_what_it_used(tmp_path: Path) -> None:
    one = world(tmp_path, reply())
    found = one.door.ask_model(asked(), one.context)
    assert found == reply()
    assert one.models.secrets == [SECRET]
    assert one.kinds() == ["decision", "outcome"]
    decision, outcome = (one.log.resolve(e.body) for e in one.entries())
    assert decision["rule"] == "grant: model"
    assert SECRET not in str(decision)
    assert (outcome["cost_microusd"], outcome["model"]) == (37, "openai:small")
    account = one.accounts.snapshot(ACCOUNT)
    assert (account.spent.input_tokens, account.spent.output_tokens) == (30, 7)
    assert (account.spent.requests, account.spent.tool_calls) == (1, 0)
    assert account.reserved.cost_microusd == 0
    rows = one.store.execute("SELECT model, cost, input, cached, output FROM model_spending")
    assert rows == [("openai:small", 37, 30, 5, 7)]


def test_an_answer_is_given_again_and_not_asked_again(tmp_path: Path) -> None:
    one = world(tmp_path, reply("once"))
    first = one.door.ask_model(asked(), one.context)
    again = one.reopened()
    again.models.answers[:] = []
    assert again.door.ask_model(asked(), again.context) == first


def test_another_conversation_under_the_same_turn_is_no_replay(tmp_path: Path) -> None:
    one = world(tmp_path, reply("once"), reply("twice"))
    one.door.ask_model(asked(), one.context)
    with pytest.raises(Exception, match="another arguments"):
        one.door.ask_model(asked(digest="d2"), one.context)


def test_a_model_that_was_not_lent_needs_its_host_and_its_credential(tmp_path: Path) -> None:
    grant = Grant.root(tools=TOOLS.keys(), hosts=("other.example",)).attenuate(
        DelegationRequest(tools=("read_file",), hosts=("other.example",))
    )
    one = world(tmp_path, reply(), grant=grant, is_subplan=True)
    with pytest.raises(SecurityBoundaryViolation, match=r"host:models\.example"):
        one.door.ask_model(asked(FOREIGN), one.context)
    assert one.models.secrets == []
    assert one.kinds() == ["violation"]


def test_a_root_plan_is_refused_a_host_that_it_may_not_reach(tmp_path: Path) -> None:
    grant = Grant.root(tools=TOOLS.keys(), hosts=("other.example",))
    one = world(tmp_path, reply(), grant=grant)
    with pytest.raises(ToolAccessDeniedError):
        one.door.ask_model(asked(FOREIGN), one.context)
    assert one.models.secrets == []


def test_the_worst_case_is_held_before_anything_is_sent(tmp_path: Path) -> None:
    one = world(tmp_path, reply())
    limit(one, Limits(cost_microusd=299))
    with pytest.raises(PlanBudgetExceededError):
        one.door.ask_model(asked(), one.context)
    assert one.models.secrets == []
    limit(one, Limits(cost_microusd=300))
    one.door.ask_model(asked(step="turn2"), one.context)
    assert one.models.secrets == [SECRET]


@pytest.mark.parametrize("limits", [Limits(tokens=149), Limits(requests=0)])
def test_tokens_and_requests_are_limited_without_a_price(tmp_path: Path, limits: Limits) -> None:
    one = world(tmp_path, reply())
    one.models.priced = None
    limit(one, limits)
    with pytest.raises(PlanBudgetExceededError):
        one.door.ask_model(asked(), one.context)
    limit(one, Limits(tokens=150, requests=1))
    assert one.door.ask_model(asked(step="turn2"), one.context).text == "hello"


def test_a_model_without_a_price_is_refused_under_a_cost_limit(tmp_path: Path) -> None:
    one = world(tmp_path, reply())
    one.models.priced = None
    limit(one, Limits(cost_microusd=10**9))
    with pytest.raises(UnpricedModelError, match=r'prices\."openai:small"'):
        one.door.ask_model(asked(), one.context)
    assert one.models.secrets == []
    assert one.log.resolve(one.entries()[0].body)["kind"] == "budget_exceeded"


def test_a_usage_that_is_not_reported_is_booked_at_its_worst(tmp_path: Path) -> None:
    one = world(tmp_path, reply(usage=ModelUsage(is_reported=False)))
    one.door.ask_model(asked(), one.context)
    spent = one.accounts.snapshot(ACCOUNT).spent
    assert (spent.cost_microusd, spent.input_tokens, spent.output_tokens) == (300, 100, 50)


@pytest.mark.parametrize(("is_billed", "cost"), [(True, 300), (False, 0)])
def test_a_failure_is_recorded_charged_as_far_as_it_may_be_and_replayed(
    tmp_path: Path, is_billed: bool, cost: int
) -> None:
    one = world(tmp_path, failure("outage", is_billed=is_billed))
    with pytest.raises(ModelFailedError) as first:
        one.door.ask_model(asked(), one.context)
    spent = one.accounts.snapshot(ACCOUNT).spent
    assert (spent.cost_microusd, spent.requests) == (cost, 1)
    again = one.reopened()
    with pytest.raises(ModelFailedError) as second:
        again.door.ask_model(asked(), again.context)
    assert (second.value.kind, second.value.reason) == ("outage", first.value.reason)
    assert second.value.is_billed is is_billed


def test_a_request_that_the_host_did_not_survive_is_booked_and_asked_anew(tmp_path: Path) -> None:
    one = world(tmp_path, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        one.door.ask_model(asked(), one.context)
    again = one.reopened()
    again.models.answers[:] = [reply()]
    with pytest.raises(ModelFailedError, match="may have been billed") as cut:
        again.door.ask_model(asked(), again.context)
    assert cut.value.kind == "interrupted"
    assert again.models.secrets == []
    assert again.accounts.snapshot(ACCOUNT).spent.cost_microusd == 300
    again.door.ask_model(asked(attempt=2), again.context)
    assert again.accounts.snapshot(ACCOUNT).spent.cost_microusd == 337
    assert again.accounts.snapshot(ACCOUNT).reserved.cost_microusd == 0


@pytest.mark.parametrize(
    ("credentials", "words"),
    [
        ({}, "has no value"),
        ({"KEY": Credential(SECRET, HostRules.parse(("api.example",)))}, "not declared for"),
    ],
)
def test_a_key_goes_only_where_it_is_declared_for(
    tmp_path: Path, credentials: dict[str, Credential], words: str
) -> None:
    one = world(tmp_path, reply(), credentials=credentials)
    with pytest.raises(ModelFailedError, match=words) as found:
        one.door.ask_model(asked(), one.context)
    assert found.value.kind == "unauthorised"
    assert one.models.secrets == []
    assert SECRET not in str(found.value)


def test_secrets_in_an_answer_are_redacted_for_the_record_and_the_actor(tmp_path: Path) -> None:
    one = world(tmp_path, reply(f"the key is {SECRET}"), secrets={"KEY": SECRET})
    found = one.door.ask_model(asked(), one.context)
    assert found.text == "the key is [redacted:KEY]"
    assert SECRET not in str(found)
    assert all(SECRET not in str(one.log.resolve(e.body)) for e in one.entries())
