"""The laws of the decision, over random rules and calls."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleveragents.errors import DelegationError
from cleveragents.policy.gate import cell_rights, compile_scope, decide, prepare
from cleveragents.policy.path_rule import PathRules
from cleveragents.policy.profile import UNRESTRICTED, SafetyProfile, admits
from cleveragents.policy.scope import refusals_of
from cleveragents.terms.decision import Allowed, Denied
from cleveragents.terms.plan import DelegationRequest
from cleveragents.terms.resource import is_outside
from cleveragents.terms.tool import ALL_EFFECTS, Effect

from . import generated as g

if TYPE_CHECKING:
    from cleveragents.policy.grant import Grant
    from cleveragents.terms.decision import Decision
    from cleveragents.terms.tool import ToolSpec

Call = tuple["ToolSpec", dict[str, object]]


def ask(
    call: Call,
    *profiles: SafetyProfile,
    grant: Grant | None = None,
    in_subplan: bool = False,
) -> Decision:
    scope = compile_scope(
        profiles=profiles or (UNRESTRICTED,),
        grant=grant,
        in_subplan=in_subplan,
        tools=g.TOOLS,
        plan_id="P",
    )
    prepared = prepare(*call)
    return decide(scope, call[0], prepared.arguments, prepared.resources)


@given(g.lenient_profiles(), g.name_lists, g.calls())
def test_adding_a_denial_never_allows_more(
    profile: SafetyProfile, names: list[str], call: Call
) -> None:
    stricter = replace(profile, denied_tools=profile.denied_tools + tuple(names))
    if isinstance(ask(call, profile), Denied):
        assert isinstance(ask(call, stricter), Denied)


@given(
    st.none() | st.frozensets(g.tool_names),
    st.frozensets(g.tool_names),
    g.tool_names,
)
def test_the_allow_list_alone_decides_when_there_is_one(
    allowed: frozenset[str] | None, denied: frozenset[str], tool: str
) -> None:
    expected = tool in allowed if allowed is not None else tool not in denied
    assert admits(allowed, denied, tool) is expected
    profile = SafetyProfile(
        "p", allowed_tools=None if allowed is None else tuple(allowed), denied_tools=tuple(denied)
    )
    decision = ask((g.TOOLS[tool], {}), profile)
    rules = {one.rule for one in decision.refusals} if isinstance(decision, Denied) else set()
    assert bool(rules & {"allowed_tools", "denied_tools"}) is not expected


@given(st.lists(g.lenient_profiles(), min_size=1, max_size=3), g.lenient_profiles(), g.calls())
def test_one_more_profile_only_tightens(
    profiles: list[SafetyProfile], more: SafetyProfile, call: Call
) -> None:
    if isinstance(ask(call, *profiles), Denied):
        assert isinstance(ask(call, *profiles, more), Denied)
    # Every one must admit: the answer is the conjunction of the single answers.
    alone = [isinstance(ask(call, one), Allowed) for one in (*profiles, more)]
    assert isinstance(ask(call, *profiles, more), Allowed) is all(alone)


@given(st.lists(g.lenient_profiles(), min_size=2, max_size=4), g.calls(), st.randoms())
def test_the_order_of_profiles_does_not_change_the_answer(
    profiles: list[SafetyProfile], call: Call, random: object
) -> None:
    named = [replace(one, name=f"p{number}") for number, one in enumerate(profiles)]
    shuffled = list(named)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # a random.Random
    one, other = ask(call, *named), ask(call, *shuffled)
    assert type(one) is type(other)
    if isinstance(one, Denied) and isinstance(other, Denied):
        of_rules = [{r for r in d.refusals if r.rule != "workspace"} for d in (one, other)]
        assert of_rules[0] == of_rules[1]
    if isinstance(one, Allowed) and isinstance(other, Allowed):
        assert one.imposed == other.imposed


@given(g.lenient_profiles(), g.grants(), g.calls())
def test_asking_the_grant_first_or_last_does_not_change_the_answer(
    profile: SafetyProfile, grant: Grant, call: Call
) -> None:
    # A root plan's "*" is no list of its own; every other entry means the same in both.
    named = replace(grant, hosts=tuple(one for one in grant.hosts if one != "*"))
    as_root = ask(call, profile, grant=named)
    as_subplan = ask(call, profile, grant=named, in_subplan=True)
    assert type(as_root) is type(as_subplan)
    if isinstance(as_subplan, Denied) and any(
        one.kind == "security_boundary" for one in as_subplan.refusals
    ):
        assert as_subplan.refusals[0].kind == "security_boundary"


@given(g.lenient_profiles(), g.lenient_profiles(), st.none() | g.grants(), g.calls(), st.booleans())
def test_the_short_form_says_yes_exactly_where_the_long_form_has_no_objection(
    one: SafetyProfile, two: SafetyProfile, grant: Grant | None, call: Call, in_subplan: bool
) -> None:
    scope = compile_scope(
        profiles=(one, two),
        grant=grant,
        in_subplan=in_subplan and grant is not None,
        tools=g.TOOLS,
        plan_id="P",
    )
    spec, sent = call
    prepared = prepare(spec, sent)
    decision = decide(scope, spec, prepared.arguments, prepared.resources)
    refusals = refusals_of(scope, scope.rules[spec.name], prepared.arguments, prepared.resources)
    assert isinstance(decision, Allowed) is not bool(refusals)
    if isinstance(decision, Denied):
        assert decision.refusals == refusals


@given(st.data())
def test_attenuate_never_grows_over_random_trees(data: st.DataObject) -> None:
    parent = data.draw(g.grants())
    ancestors = [parent]
    for _ in range(data.draw(st.integers(1, 4))):
        request = data.draw(g.requests(parent))
        try:
            child = parent.attenuate(request)
        except DelegationError:
            break
        assert child != parent
        assert child.depth_left < parent.depth_left
        assert child.delegates.tools <= parent.delegates.tools
        for call in data.draw(st.lists(g.calls(), min_size=3, max_size=6)):
            if isinstance(ask(call, grant=child, in_subplan=True), Allowed):
                for above in ancestors:
                    assert isinstance(ask(call, grant=above, in_subplan=True), Allowed)
        ancestors.append(child)
        parent = child


@given(g.grants(), g.calls())
def test_the_widest_request_that_is_granted_is_still_not_the_parent(
    grant: Grant, call: Call
) -> None:
    everything = DelegationRequest(
        tools=tuple(grant.tools),
        read=grant.read,
        write=grant.write,
        hosts=grant.hosts,
        credentials=tuple(grant.credentials),
        budget=grant.budget,
        depth=max(0, grant.depth_left - 1),
    )
    if grant.depth_left == 0:
        with pytest.raises(DelegationError, match="no generation is left"):
            grant.attenuate(everything)
        return
    child = grant.attenuate(everything)
    assert child != grant
    assert type(ask(call, grant=child, in_subplan=True)) is type(
        ask(call, grant=grant, in_subplan=True)
    )


@given(st.lists(g.profiles(), min_size=1, max_size=3), st.none() | g.grants(), g.paths)
def test_gate_and_cell_give_one_answer_for_one_path(
    profiles: list[SafetyProfile], grant: Grant | None, path: str
) -> None:
    named = [
        replace(one, allowed_tools=None, denied_tools=(), effects=ALL_EFFECTS, where={})
        for one in profiles
    ]
    wide = grant and replace(grant, tools=frozenset(g.TOOLS), effects=ALL_EFFECTS, where={})
    rights = cell_rights(named, wide)
    reads = ask((g.TOOLS["read_file"], {"path": path}), *named, grant=wide)
    writes = ask((g.TOOLS["write_file"], {"path": path, "content": ""}), *named, grant=wide)
    normal = str(prepare(g.TOOLS["read_file"], {"path": path}).arguments["path"])
    visible = PathRules.parse(rights.read).admits(normal)
    writable = PathRules.parse(rights.write, with_directories=False).admits(normal)
    assert isinstance(reads, Allowed) is visible
    assert isinstance(writes, Allowed) is writable
    assert not (is_outside(normal) and (visible or writable))


@given(st.lists(g.profiles(), min_size=1, max_size=3))
def test_the_cell_writes_only_where_every_ceiling_lets_it(profiles: list[SafetyProfile]) -> None:
    rights = cell_rights(profiles, None)
    assert rights.effects == ALL_EFFECTS.intersection(*(one.effects for one in profiles))
    if not rights.effects & {Effect.WRITE, Effect.DELETE}:
        assert rights.write == ()
    assert set(rights.write) <= set(rights.read)
