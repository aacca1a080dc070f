"""What does each step of a plan ask for? From the file to typed, checked values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cleveragents.config.actor_reader import read_actor
from cleveragents.config.delegation import read_delegation
from cleveragents.config.expression import NAME
from cleveragents.config.plan_input import NAME_HINT
from cleveragents.config.reference_check import (
    SUBPLAN_FIELDS,
    Readable,
    Scope,
    check_references,
    fields_of,
    refuse_references,
)
from cleveragents.config.script_output import read_result
from cleveragents.policy.condition import compile_output
from cleveragents.policy.shape import json_mapping
from cleveragents.terms.plan import (
    ActorDefinition,
    OnDenied,
    ParallelStep,
    Step,
    SubplanDefinition,
    SubplanStep,
    ToolStep,
)
from cleveragents.terms.tool import TOOL_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.config.reader import Reader

SPAWN: Final = "spawn_subplan"
"""A call of this tool is a ``subplan`` step, written another way."""
MERGE_STRATEGIES: Final = ("git_three_way", "sequential_apply", "fail_on_conflict", "last_wins")
_ON: Final[Mapping[str, OnDenied]] = {"fail": "fail", "continue": "continue"}
_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "tool": ("id", "tool", "args", "on_denied", "on_error"),
    "subplan": ("id", "subplan", "on_denied", "on_error", "retries"),
    "parallel": ("id", "parallel", "fail_fast"),
}
_STEP_KEYS: Final = tuple(dict.fromkeys(key for keys in _KINDS.values() for key in keys))
_SUBPLAN_KEYS: Final = (
    "name",
    "delegate",
    "goal",
    "actor",
    "inputs",
    "outputs",
    "result",
    "steps",
    "merge_strategy",
)
MAX_STEPS: Final = 100_000
MAX_MEMBERS: Final = 256
"""Of one group; each is a subplan with a copy of the tree of its own."""
MAX_RETRIES: Final = 10
_MAX_NAME_CHARS: Final = 64


def read_steps(reader: Reader, scope: Scope) -> tuple[Step, ...]:
    """Read a list of steps; each may refer to those before it.

    Raises:
        ConfigurationError: A step cannot be understood, an id is used twice,
            or a reference reads what is not there.
    """
    items = reader.items()
    if not items:
        raise reader.error("there is no step")
    if len(items) > MAX_STEPS:
        raise reader.error(f"there are more than {MAX_STEPS} steps")
    kinds = [_kind(item) for item in items]
    ids = _ids(items)
    members = {
        name: _member_ids(item, name)
        for item, kind, name in zip(items, kinds, ids, strict=True)
        if kind == "parallel"
    }
    _refuse_twice(items, ids, members)
    scope.ids = (*ids, *(member for group in members.values() for member in group))
    return tuple(
        _step(item, kind, name, members.get(name, ()), scope)
        for item, kind, name in zip(items, kinds, ids, strict=True)
    )


def _kind(reader: Reader) -> str:
    found = reader.mapping(_STEP_KEYS)
    kinds = [kind for kind in _KINDS if kind in found]
    if not kinds:
        raise reader.error("a step is one of " + ", ".join(_KINDS))
    if len(kinds) > 1:
        raise reader.error(f"a step cannot be both {kinds[0]!r} and {kinds[1]!r}")
    reader.mapping(_KINDS[kinds[0]])
    return kinds[0]


def _id(reader: Reader, default: str) -> str:
    entries = reader.entries()
    if "id" not in entries:
        return default
    return entries["id"].word(NAME, "the id of a step", NAME_HINT)


def _ids(items: tuple[Reader, ...]) -> list[str]:
    return [_id(item, f"step{number}") for number, item in enumerate(items, 1)]


def _member_ids(group: Reader, name: str) -> tuple[str, ...]:
    members = group.entries()["parallel"].items()
    if not members:
        raise group.error("there is no member in the group")
    if len(members) > MAX_MEMBERS:
        raise group.error(f"there are more than {MAX_MEMBERS} members in the group")
    for member in members:
        if _kind(member) == "parallel" or not _is_subplan(member):
            raise member.error("a member of a group is a subplan")
    return tuple(_id(member, f"{name}_{number}") for number, member in enumerate(members, 1))


def _is_subplan(reader: Reader) -> bool:
    found = reader.entries()
    return "subplan" in found or ("tool" in found and found["tool"].value == SPAWN)


def _refuse_twice(
    items: tuple[Reader, ...], ids: list[str], members: Mapping[str, tuple[str, ...]]
) -> None:
    # Members stand beside the steps of the list: both are read as steps.<id>.
    seen: set[str] = set()
    for item, name in zip(items, ids, strict=True):
        for one in (name, *members.get(name, ())):
            if one in seen:
                raise item.error(f"the id {one!r} is used twice", "ids are unique in their list")
            seen.add(one)


def _step(reader: Reader, kind: str, name: str, members: tuple[str, ...], scope: Scope) -> Step:
    if kind == "parallel":
        return _group(reader, name, members, scope)
    if _is_subplan(reader):
        step = _subplan_step(reader, name, scope)
        scope.steps[name] = _readable(step)
        return step
    found = reader.entries()
    tool = found["tool"].word(TOOL_NAME, "the name of a tool", "a-z, 0-9 and '_', at most 64")
    arguments: dict[str, object] = {}
    if "args" in found:
        found["args"].entries()
        check_references(found["args"], scope)
        arguments = found["args"].checked(json_mapping)
    scope.steps[name] = Readable(f"a call of {tool}", fields_of(tool))
    return ToolStep(
        name, tool, arguments, on_denied=_on(found, "on_denied"), on_error=_on(found, "on_error")
    )


def _on(found: Mapping[str, Reader], key: str) -> OnDenied:
    return found[key].choice(_ON) if key in found else "fail"


def _readable(step: SubplanStep) -> Readable:
    return Readable(f"subplan {step.subplan.name!r}", SUBPLAN_FIELDS, tuple(step.subplan.outputs))


def _group(reader: Reader, name: str, ids: tuple[str, ...], scope: Scope) -> ParallelStep:
    found = reader.entries()
    members = tuple(
        # None of them reads another: they run side by side.
        _subplan_step(item, member, scope)
        for item, member in zip(found["parallel"].items(), ids, strict=True)
    )
    scope.groups[name] = ids
    scope.steps.update({member.id: _readable(member) for member in members})
    fail_fast = found["fail_fast"].truth() if "fail_fast" in found else False
    return ParallelStep(name, members, fail_fast=fail_fast)


def _subplan_step(reader: Reader, name: str, scope: Scope) -> SubplanStep:
    found = reader.entries()
    if "subplan" in found:
        body = found["subplan"]
    elif "args" in found:
        body = found["args"]
    else:
        raise reader.error(f"a call of {SPAWN} needs 'args'")
    definition = read_subplan(body, default_name=name)
    inputs = body.entries().get("inputs")
    if inputs is not None:
        check_references(inputs, scope)
    return SubplanStep(
        name,
        definition,
        on_denied=_on(found, "on_denied"),
        on_error=_on(found, "on_error"),
        retries=found["retries"].integer(0, MAX_RETRIES) if "retries" in found else 0,
    )


def read_subplan(
    reader: Reader, *, default_name: str = "", is_data: bool = False
) -> SubplanDefinition:
    """Read a ``subplan`` mapping: its steps see its own inputs and steps only.

    The values of ``inputs`` are kept as they are: whether they are still to be
    filled in is known to the caller.

    Args:
        reader: The mapping.
        default_name: The name of one that has none; empty: it must have one.
        is_data: It was not written by the author of a plan file: a goal that
            holds a ``${{`` is a text like any other.

    Raises:
        ConfigurationError: It cannot be understood.
    """
    found = reader.mapping(_SUBPLAN_KEYS, required=("delegate",))
    for key, item in found.items():
        if not is_data and key not in ("inputs", "steps", "result"):
            refuse_references(item)
    name = read_name(found["name"]) if "name" in found else default_name
    if not name:
        raise reader.error("a subplan needs a name")
    inputs = _named_values(found.get("inputs"), "an input")
    scope = Scope(inputs=tuple(inputs))
    actor, goal, steps = read_task(found, reader, scope)
    outputs, result = read_outputs(found.get("outputs")), {}
    if "result" in found:
        result = read_result(found["result"], actor=actor, outputs=outputs, scope=scope)
    strategy = ""
    if "merge_strategy" in found:
        strategy = found["merge_strategy"].choice({known: known for known in MERGE_STRATEGIES})
    return SubplanDefinition(
        name=name,
        delegate=read_delegation(found["delegate"]),
        goal=goal,
        actor=actor,
        inputs=inputs,
        outputs=outputs,
        result=result,
        steps=steps,
        merge_strategy=strategy,
    )


def read_task(
    found: Mapping[str, Reader], reader: Reader, scope: Scope
) -> tuple[ActorDefinition, str, tuple[Step, ...]]:
    """Read ``actor``, ``goal`` and ``steps``, which have to fit each other.

    Raises:
        ConfigurationError: They do not, or cannot be understood.
    """
    actor = read_actor(found["actor"]) if "actor" in found else ActorDefinition()
    goal = found["goal"].text() if "goal" in found else ""
    if actor.kind != "script":
        if "steps" in found:
            raise found["steps"].error(f"an actor of kind {actor.kind!r} has no steps")
        if actor.kind == "llm" and not goal:
            raise reader.error("an actor of kind 'llm' needs a 'goal'")
        return actor, goal, ()
    if "steps" not in found:
        raise reader.error("needs 'steps', or an 'actor' of kind llm or program")
    return actor, goal, read_steps(found["steps"], scope)


def read_name(reader: Reader) -> str:
    """Read the name of a plan or a subplan: what people see, not an identifier.

    Raises:
        ConfigurationError: It is empty, long, or more than one line.
    """
    name = reader.text()
    if not name.strip() or len(name) > _MAX_NAME_CHARS or not name.isprintable():
        raise reader.error("a name is printable text of 1 to 64 characters")
    return name


def _named_values(reader: Reader | None, what: str) -> dict[str, object]:
    if reader is None:
        return {}
    return {name: item.json() for name, item in _named(reader, what).items()}


def _named(reader: Reader, what: str) -> dict[str, Reader]:
    found = reader.entries()
    for name, item in found.items():
        if not NAME.fullmatch(name):
            raise item.error(f"cannot be the name of {what}", NAME_HINT)
    return found


def read_outputs(reader: Reader | None) -> dict[str, Mapping[str, object]]:
    """Read declared outputs, each with the JSON Schema that its value has to fit.

    Raises:
        ConfigurationError: A name or a schema cannot be understood.
    """
    if reader is None:
        return {}
    return {name: _output(item) for name, item in _named(reader, "an output").items()}


def _output(reader: Reader) -> Mapping[str, object]:
    schema = reader.checked(json_mapping)
    # Compiled to be checked: a misspelt keyword must not admit everything.
    compile_output(schema, where=reader.where)
    return schema
