"""What may be handed on: asked for in full, refused in full, never trimmed."""

from __future__ import annotations

import json
import pickle
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given

from cleveragents.errors import ConfigurationError, DelegationError, RecordError
from cleveragents.policy.ceiling import Ceiling
from cleveragents.policy.grant import Grant, digest, grant_from_mapping, to_mapping
from cleveragents.policy.subplan_context import SubplanSecurityContext
from cleveragents.terms.cost import Limits
from cleveragents.terms.plan import DelegationRequest
from cleveragents.terms.tool import ALL_EFFECTS, Effect

from . import generated as g

PARENT = Grant.root(
    tools=["read_file", "write_file", "send_request"],
    read=["src/", "README.md"],
    write=["docs/"],
    hosts=["*.example.com", "127.0.0.1"],
    credentials=["API_KEY"],
    where={"write_file": ({"properties": {"content": {"maxLength": 100}}},)},
    budget=Limits(cost_microusd=2_000_000, tool_calls=10),
    depth=2,
    deadline="2030-01-01T00:00:00Z",
)


def refused(request: DelegationRequest, parent: Grant = PARENT) -> tuple[str, ...]:
    with pytest.raises(DelegationError) as caught:
        parent.attenuate(request)
    for excess in caught.value.excesses:
        assert excess in caught.value.message
    return caught.value.excesses


def test_an_absent_key_hands_on_nothing() -> None:
    child = PARENT.attenuate(DelegationRequest())
    assert child.tools == frozenset()
    assert child.read == child.write == child.hosts == ()
    assert child.credentials == frozenset()
    assert child.depth_left == 0
    assert child.deadline == PARENT.deadline
    assert child.effects == ALL_EFFECTS


def test_what_is_within_is_handed_on() -> None:
    child = PARENT.attenuate(
        DelegationRequest(
            tools=("read_file", "write_file"),
            read=("./src/app/", "docs/a.md", "README.md"),
            write=("docs/api/",),
            hosts=("api.example.com", "*.eu.example.com", "127.0.0.1"),
            credentials=("API_KEY",),
            where={"write_file": {"properties": {"path": {"pattern": "^docs/api/"}}}},
            budget=Limits(cost_microusd=200_000),
            depth=1,
        )
    )
    assert child.tools == {"read_file", "write_file"}
    assert child.read == ("src/app/", "docs/a.md", "README.md")
    assert child.budget == Limits(cost_microusd=200_000)
    assert child.where["write_file"] == (
        {"properties": {"content": {"maxLength": 100}}},
        {"properties": {"path": {"pattern": "^docs/api/"}}},
    )
    assert child.readable.admits("docs/api/x")
    assert child.writable.admits("docs/api/x")
    assert not child.writable.admits("docs/x")


def test_every_excess_is_named() -> None:
    assert refused(
        DelegationRequest(
            tools=("read_file", "run_command"),
            read=("tests/", "/etc/passwd", "."),
            write=("src/app/", "docs", "../x"),
            hosts=("*", "example.com", "localhost", "127.1"),
            credentials=("OTHER_KEY",),
            where={"delete_file": {}},
            budget=Limits(cost_microusd=5_000_000, tool_calls=11),
            depth=2,
        )
    ) == (
        "file:/etc/passwd to read",
        "file:../x to write",
        "host:127.1",
        "tool:run_command",
        "file:tests/ to read",
        "file:. to read",
        "file:src/app/ to write",
        "file:docs to write",
        "host:*",
        "host:example.com",
        "host:localhost",
        "credential:OTHER_KEY",
        "a condition for tool:delete_file, which is not among its tools",
        "a budget of 5.00 USD out of 2.00 USD",
        "a budget of 11 tool_calls out of 10",
        "a depth of 2: 1 generations are left below the child",
    )


def test_a_private_host_is_not_part_of_the_star() -> None:
    wide = Grant.root(tools=[])
    assert refused(DelegationRequest(hosts=("169.254.169.254",)), wide) == ("host:169.254.169.254",)


def test_no_generation_left_is_told() -> None:
    leaf = Grant.root(tools=[], depth=0)
    assert refused(DelegationRequest(), leaf) == (
        "a subplan: no generation is left below this plan",
    )
    assert refused(DelegationRequest(depth=-1)) == ("a depth of -1",)


def test_no_limit_of_its_own_is_no_excess_and_zero_stays_zero() -> None:
    child = PARENT.attenuate(DelegationRequest(budget=Limits(requests=7, tool_calls=0)))
    assert child.budget == Limits(requests=7, tool_calls=0)
    with pytest.raises(DelegationError, match="1 tool_calls out of 0"):
        replace(child, depth_left=1).attenuate(DelegationRequest(budget=Limits(tool_calls=1)))


def test_a_read_only_coordinator_hands_out_writing_and_its_child_no_more() -> None:
    coordinator = Grant.root(
        tools=["read_file"],
        effects=[Effect.READ, Effect.SPAWN],
        write=[],
        depth=2,
        delegates=Ceiling(tools=frozenset({"read_file", "write_file"}), write=("docs/",)),
    )
    child = coordinator.attenuate(
        DelegationRequest(tools=("write_file",), write=("docs/",), depth=1)
    )
    assert child.tools == {"write_file"}
    assert Effect.WRITE in child.effects
    assert child.delegates.tools == {"write_file"}
    assert refused(DelegationRequest(tools=("read_file",)), child) == ("tool:read_file",)


def test_conditions_of_the_ceiling_bind_the_child() -> None:
    schema: dict[str, object] = {"maxProperties": 1}
    parent = Grant.root(tools=["a", "b"], where={"a": (schema,), "b": (schema,)})
    child = parent.attenuate(DelegationRequest(tools=("a",)))
    assert child.where == {"a": (schema,)}


@given(g.grants())
def test_a_stored_grant_reads_back_equal(grant: Grant) -> None:
    stored = json.loads(json.dumps(to_mapping(grant)))
    assert grant_from_mapping(stored) == grant
    assert digest(grant_from_mapping(stored)) == digest(grant)
    assert pickle.loads(pickle.dumps(grant)) == grant  # noqa: S301  # made one line above


@pytest.mark.parametrize(
    "change",
    [
        {"tools": None},
        {"tools": "read_file"},
        {"effects": ["fly"]},
        {"read": ["/etc/"]},
        {"hosts": ["127.1"]},
        {"credentials": [3]},
        {"where": []},
        {"where": {"a": {}}},
        {"where": {"a": [3]}},
        {"budget": {}},
        {
            "budget": {
                **dict.fromkeys(["cost_microusd", "tokens", "requests", "seconds"]),
                "tool_calls": -1,
            }
        },
        {"depth_left": -1},
        {"depth_left": True},
        {"depth_left": "3"},
        {"deadline": 3},
        {"delegates": None},
        {"delegates": {}},
        {"more": 1},
    ],
)
def test_a_stored_grant_that_was_changed_is_not_guessed_at(change: dict[str, object]) -> None:
    with pytest.raises(RecordError, match="a stored grant cannot be read"):
        grant_from_mapping({**to_mapping(PARENT), **change})


def test_a_stored_grant_with_a_key_missing_is_not_guessed_at() -> None:
    raw = to_mapping(PARENT)
    del raw["deadline"]
    with pytest.raises(RecordError, match="deadline: is missing"):
        grant_from_mapping(raw)


@pytest.mark.parametrize(
    "wrong",
    [
        {"tools": "abc"},
        {"read": "docs/"},
        {"credentials": "KEY"},
        {"depth": -1},
        {"effects": ["x"]},
    ],
)
def test_a_root_grant_that_cannot_be_understood_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        Grant.root(**{"tools": [], **wrong})  # type: ignore[arg-type]  # the point of the test


def test_a_ceiling_takes_any_names_and_refuses_what_is_none() -> None:
    assert Ceiling(tools=["a"]).tools == {"a"}  # type: ignore[arg-type]  # a list from YAML
    with pytest.raises(ConfigurationError, match="grant: tools"):
        Ceiling(tools="abc")  # type: ignore[arg-type]  # the point of the test


def test_a_grant_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        PARENT.depth_left = 9  # type: ignore[misc]  # the point of the test


def test_a_context_is_frozen_and_below_its_parent() -> None:
    context = SubplanSecurityContext(
        subplan_id="C",
        parent_id="P",
        root_id="P",
        depth=1,
        grant=PARENT,
        profile_digests=(),
        deadline=None,
    )
    with pytest.raises(FrozenInstanceError):
        context.grant = PARENT  # type: ignore[misc]  # the point of the test
    for wrong in ({"depth": 0}, {"subplan_id": "P"}, {"subplan_id": ""}):
        with pytest.raises(ValueError, match="below its parent"):
            replace(context, **wrong)
