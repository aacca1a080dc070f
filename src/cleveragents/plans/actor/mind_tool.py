"""Which tools a model is offered, and how they are described to it: as they are for this plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cleveragents.plans.actor.conversation import RECALL
from cleveragents.terms.model import ModelTool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.policy.grant import Grant
    from cleveragents.policy.scope import Scope
    from cleveragents.terms.tool import Effect

SPAWN: Final = "spawn_subplan"
DECIDE: Final = "record_decision"
SUBMIT: Final = "submit_result"
LOCAL: Final = frozenset({RECALL, DECIDE, SUBMIT})
"""They touch nothing: they are the model's own notes, answered by its loop."""

_DECIDE_TOOL: Final = ModelTool(
    name=DECIDE,
    description=(
        "Write a decision down before you act on it: what the question was, what you chose, what"
        " else was possible and why. People read it; it changes nothing."
    ),
    parameters={
        "type": "object",
        "properties": {
            "question": {"type": "string", "minLength": 1, "maxLength": 500},
            "choice": {"type": "string", "minLength": 1, "maxLength": 2000},
            "alternatives": {
                "type": "array",
                "items": {"type": "string", "maxLength": 500},
                "maxItems": 10,
            },
            "reason": {"type": "string", "maxLength": 2000},
        },
        "required": ["question", "choice"],
        "additionalProperties": False,
    },
)
_RECALL_TOOL: Final = ModelTool(
    name=RECALL,
    description="Read the result of an earlier call again that was cut or put aside.",
    parameters={
        "type": "object",
        "properties": {
            "call_id": {"type": "string", "description": "As the note about the result names it."},
            "offset": {"type": "integer", "minimum": 0, "description": "First character; 0."},
        },
        "required": ["call_id"],
        "additionalProperties": False,
    },
)


def offered(
    scope: Scope, grant: Grant, outputs: Mapping[str, Mapping[str, object]]
) -> tuple[ModelTool, ...]:
    """Give the tools that a plan's model is told of, by name.

    Args:
        scope: What is decided for the plan: a tool of which no call can be
            admitted is not offered.
        grant: What it may use and hand on.
        outputs: JSON Schema of each value that it has to give back.
    """
    found = []
    for name, rule in sorted(scope.rules.items()):
        if rule.allowed is None or (name == SPAWN and not grant.depth_left):
            continue
        parameters = _spawn_parameters(grant) if name == SPAWN else rule.spec.parameters
        description = rule.spec.description + _taken_away(rule.allowed.imposed)
        found.append(ModelTool(name=name, description=description, parameters=parameters))
    found += [_DECIDE_TOOL, _RECALL_TOOL]
    if outputs:
        found.append(_submit_tool(outputs))
    return tuple(found)


def _taken_away(imposed: frozenset[Effect]) -> str:
    if not imposed:
        return ""
    return f" In this plan it cannot {', '.join(sorted(imposed))}: the machine refuses it."


def _submit_tool(outputs: Mapping[str, Mapping[str, object]]) -> ModelTool:
    return ModelTool(
        name=SUBMIT,
        description="Hand in the result and end the plan. Call it once, when all is done.",
        parameters={
            "type": "object",
            "properties": {
                "outputs": {
                    "type": "object",
                    "properties": {name: dict(schema) for name, schema in outputs.items()},
                    "required": sorted(outputs),
                    "additionalProperties": False,
                },
                "summary": {"type": "string", "description": "What was done, in a few sentences."},
            },
            "required": ["outputs"],
            "additionalProperties": False,
        },
    )


def _spawn_parameters(grant: Grant) -> Mapping[str, object]:
    """The plan contract of a child (design, section 6), as narrow as what may be handed on."""
    ceiling = grant.delegates
    paths = {
        "type": "array",
        "items": {"type": "string"},
        "description": "Files, directories ending in '/', or '.' for all. Absent: none.",
    }
    delegate: dict[str, object] = {
        "tools": {
            "type": "array",
            "items": {"type": "string", "enum": sorted(ceiling.tools)},
            "description": "Names of the tools that the child gets.",
        },
        "read": {**paths, "description": f"May read. {paths['description']}"},
        "write": {**paths, "description": f"May change. {paths['description']}"},
        "budget": {
            "type": "object",
            "properties": {
                "max_cost_usd": {"type": "number", "minimum": 0},
                "max_tokens": {"type": "integer", "minimum": 0},
                "max_tool_calls": {"type": "integer", "minimum": 0},
                "max_seconds": {"type": "integer", "minimum": 0},
            },
            "additionalProperties": False,
            "description": "Taken out of yours; what is left comes back.",
        },
    }
    if ceiling.hosts:
        delegate["hosts"] = {"type": "array", "items": {"type": "string"}}
    if ceiling.credentials:
        delegate["credentials"] = {
            "type": "array",
            "items": {"type": "string", "enum": sorted(ceiling.credentials)},
        }
    if grant.depth_left > 1:
        delegate["depth"] = {
            "type": "integer",
            "minimum": 0,
            "maximum": grant.depth_left - 1,
            "description": "Generations of children that the child may have. Absent: none.",
        }
    return {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 64},
            "goal": {
                "type": "string",
                "minLength": 1,
                "description": "All that the child is told: it sees nothing of this conversation.",
            },
            "delegate": {
                "type": "object",
                "properties": delegate,
                "required": ["tools"],
                "additionalProperties": False,
                "description": "What the child gets; what is not listed it does not get.",
            },
            "outputs": {
                "type": "object",
                "additionalProperties": {"type": "object"},
                "description": "JSON Schema of each value that the child has to give back.",
            },
        },
        "required": ["name", "goal", "delegate"],
        "additionalProperties": False,
    }
