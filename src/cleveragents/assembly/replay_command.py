"""What ``agents audit replay`` answers: what another profile would have said. Nothing is run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cleveragents.assembly.profile_command import enforcer_for
from cleveragents.policy import connection
from cleveragents.policy.cell_right import cell_rights
from cleveragents.policy.connection import PROGRAM, SERVER, Caller
from cleveragents.policy.scope import compile_scope
from cleveragents.record import plan_row
from cleveragents.record.call_view import explain_plan
from cleveragents.terms.answer import Answer
from cleveragents.terms.decision import Denied
from cleveragents.terms.resource import Resource
from cleveragents.terms.tool import Effect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.assembly.house import House
    from cleveragents.policy.enforcer import SafetyProfileEnforcer
    from cleveragents.terms.decision import Decision

    Call = Mapping[str, Any]
    """One call, as ``agents plan explain`` shows it."""

CONNECT: Final = "connect"
_START: Final = "program"
_NO_TOOLS: Final = {
    "model_request": "a model is asked by what was lent or handed to the plan",
    "open": "a resource is opened by what was handed to the plan",
    "apply": "a person applies a plan",
}
"""What passes the door and is no tool, with what decides it in a profile's place."""


def replay_plan(house: House, plan_id: str, safety_profile: str) -> Answer:
    """Decide the calls of a plan and its subplans again, under one other profile.

    Nothing is run. Values that were redacted in the record are decided on as
    they stand there.

    Raises:
        UnknownPlanError: There is no such plan.
        UnknownSafetyProfileError: There is no such profile.
    """
    store = house.store()
    replay = _Replay(house, enforcer_for(house, safety_profile))
    calls: list[dict[str, object]] = []
    for row in plan_row.family(store, plan_id):
        explained = explain_plan(store, row.plan_id)["calls"]
        calls += [replay.call(row.plan_id, call) for call in explained]
    changed = sum(call["was"] != call["now"] for call in calls)
    return Answer(
        {"plan_id": plan_id, "profile": safety_profile, "changed": changed, "calls": calls}
    )


class _Replay:
    """Decides recorded calls by one profile alone: no grant, no budget."""

    def __init__(self, house: House, enforcer: SafetyProfileEnforcer) -> None:
        self._house = house
        self._tools = house.registry()
        self._enforcer = enforcer
        self._effects = cell_rights(enforcer.profiles, None).effects

    def call(self, plan_id: str, call: Call) -> dict[str, object]:
        was = call["verdict"] or call["status"]
        return {
            "plan_id": plan_id,
            "call_id": call["call_id"],
            "tool": call["tool"],
            "was": was,
            **self._now(call, was),
        }

    def _now(self, call: Call, was: str) -> dict[str, object]:
        tool = str(call["tool"])
        arguments = self._house.log().resolve({"of": call["arguments"]})["of"]
        arguments = arguments if isinstance(arguments, dict) else {}
        if tool == CONNECT:
            return self._connection(call, arguments, was)
        if tool == _START:
            return self._start()
        if tool in _NO_TOOLS:
            return _unknown("no profile", f"{_NO_TOOLS[tool]}, not by a profile")
        spec = self._tools.find(tool)
        if spec is None:
            return _gone(tool)
        return _told(self._enforcer.check(spec, arguments))

    def _connection(
        self, call: Call, arguments: Mapping[str, object], was: str
    ) -> dict[str, object]:
        host, caller = str(arguments.get("host")), str(arguments.get("caller"))
        if not host:
            # As it was: no rule was asked.
            return {"now": was, "rule": "arguments", "reason": "the request could not be read"}
        tool = "" if caller == PROGRAM or caller.startswith(SERVER) else caller
        spec = self._tools.find(tool) if tool else None
        if tool and spec is None:
            return _gone(tool)
        scope = compile_scope(
            profiles=self._enforcer.profiles,
            grant=None,
            in_subplan=False,
            tools={spec.name: spec} if spec else {},
            plan_id="",
        )
        decision = connection.decided(
            scope, Resource("host", host, "use"), Caller(tool=tool), self._effects
        )
        refused = next((one for one in _refusals(call) if one["rule"] == "server.hosts"), None)
        if refused and not isinstance(decision, Denied):
            # What its definition says of a server is the same under every profile.
            return {"now": "denied", "rule": refused["rule"], "reason": refused["reason"]}
        return _told(decision)

    def _start(self) -> dict[str, object]:
        if Effect.EXECUTE in self._effects:
            return {"now": "allowed", "rule": "effects: execute", "reason": None}
        reason = "a program actor needs 'execute', which the profile does not have"
        return {"now": "denied", "rule": "effects", "reason": reason}


def _refusals(call: Call) -> list[Call]:
    return [{"rule": call["rule"], "reason": call["reason"]}, *call["refusals"]]


def _told(decision: Decision) -> dict[str, object]:
    if isinstance(decision, Denied):
        first = decision.refusals[0]
        return {
            "now": "denied",
            "rule": first.rule,
            "decided_by": first.profile,
            "reason": first.reason,
        }
    return {"now": "allowed", "rule": decision.rule, "reason": None}


def _gone(tool: str) -> dict[str, object]:
    return _unknown("registry", f"no tool is named {tool!r} any more")


def _unknown(rule: str, reason: str) -> dict[str, object]:
    return {"now": "unknown", "rule": rule, "reason": reason}
