"""What does a plan file ask for? Read, checked and ready to be stored.

A plan file is untrusted input: whatever it says, it can only ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, assert_never

from cleveragents.config import plan_input, yaml_file
from cleveragents.config.actor_reader import actor_to_mapping
from cleveragents.config.delegation import delegation_to_mapping
from cleveragents.config.expression import has_reference, strings_in
from cleveragents.config.place import Keys, key_path
from cleveragents.config.profile_reference import profile_reference
from cleveragents.config.reader import Reader
from cleveragents.config.reference_check import Scope, refuse_references
from cleveragents.config.script_output import unset_outputs
from cleveragents.config.step_reader import (
    SPAWN,
    read_name,
    read_outputs,
    read_subplan,
    read_task,
)
from cleveragents.errors import UnknownToolError
from cleveragents.policy.profile import to_mapping as profile_to_mapping
from cleveragents.policy.shape import json_mapping
from cleveragents.terms.plan import (
    ActorDefinition,
    ParallelStep,
    PlanDefinition,
    Step,
    SubplanDefinition,
    SubplanStep,
    ToolStep,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

__all__ = [
    "LoadedPlan",
    "check_tools",
    "load_plan",
    "parse_plan",
    "plan_from_stored",
    "plan_to_mapping",
    "subplan_from_stored",
    "subplan_to_mapping",
]

KEYS: Final = (
    "name",
    "goal",
    "actor",
    "steps",
    "inputs",
    "outputs",
    "automation_profile",
    "safety_profile",
)
_STORED: Final = "the stored plan"


@dataclass(frozen=True, slots=True)
class LoadedPlan:
    """A plan that was read and found in order."""

    definition: PlanDefinition
    raw: Mapping[str, object]
    """The same as plain JSON, every default spelt out; ``plan_from_stored`` reads it back."""
    base: Path
    """What relative paths in the plan are relative to."""
    reader: Reader
    """The file itself, which knows its lines."""
    messages: tuple[str, ...] = ()
    """What the author should know, one sentence each."""

    @property
    def name(self) -> str:
        """The file, as errors call it."""
        return self.reader.name

    def where(self, keys: Keys = ()) -> str:
        """``plan.yaml:7: steps[2].tool``, for a sentence about a part of it."""
        return self.reader.at(*keys).where


def load_plan(path: Path) -> LoadedPlan:
    """Read a plan file.

    Raises:
        ConfigurationError: The file or its content is not in order.
    """
    return _loaded(yaml_file.load_file(path).reader, path.absolute().parent)


def parse_plan(raw: Mapping[str, object], *, name: str, base: Path) -> LoadedPlan:
    """Read a plan that is a mapping already.

    Args:
        raw: As a plan file would hold it.
        name: What it is called in errors.
        base: What relative paths in it are relative to.

    Raises:
        ConfigurationError: It is not in order.
    """
    return _loaded(_plain(raw, name), base)


def plan_from_stored(raw: Mapping[str, object]) -> PlanDefinition:
    """Read a plan back as ``LoadedPlan.raw`` stored it.

    Raises:
        ConfigurationError: It is not what was stored.
    """
    return _definition(_plain(raw, _STORED))


def subplan_from_stored(raw: Mapping[str, object]) -> SubplanDefinition:
    """Read a subplan out of the arguments of a ``spawn_subplan`` call.

    The values of its ``inputs`` are data by then: they were filled in, or a
    model wrote them, and no reference in them is read.

    Raises:
        ConfigurationError: It cannot be understood.
    """
    return read_subplan(_plain(raw, SPAWN), is_data=True)


def plan_to_mapping(definition: PlanDefinition) -> dict[str, object]:
    """Plain JSON that ``plan_from_stored`` reads back to an equal definition."""
    mapping: dict[str, object] = {"name": definition.name}
    if definition.goal:
        mapping["goal"] = definition.goal
    if definition.actor != ActorDefinition():
        mapping["actor"] = actor_to_mapping(definition.actor)
    if definition.input_types:
        mapping["inputs"] = plan_input.to_mapping(definition.input_types, definition.inputs)
    if definition.automation_profile:
        mapping["automation_profile"] = definition.automation_profile
    if definition.safety_profile:
        mapping["safety_profile"] = definition.safety_profile
    if definition.outputs:
        mapping["outputs"] = {name: dict(schema) for name, schema in definition.outputs.items()}
    if definition.steps:
        mapping["steps"] = [_step_to_mapping(step) for step in definition.steps]
    return mapping


def subplan_to_mapping(definition: SubplanDefinition) -> dict[str, object]:
    """The arguments of the ``spawn_subplan`` call that a subplan is."""
    mapping: dict[str, object] = {
        "name": definition.name,
        "delegate": delegation_to_mapping(definition.delegate),
    }
    if definition.goal:
        mapping["goal"] = definition.goal
    if definition.actor != ActorDefinition():
        mapping["actor"] = actor_to_mapping(definition.actor)
    if definition.inputs:
        mapping["inputs"] = dict(definition.inputs)
    if definition.outputs:
        mapping["outputs"] = {name: dict(schema) for name, schema in definition.outputs.items()}
    if definition.result:
        mapping["result"] = dict(definition.result)
    if definition.steps:
        mapping["steps"] = [_step_to_mapping(step) for step in definition.steps]
    if definition.merge_strategy:
        mapping["merge_strategy"] = definition.merge_strategy
    return mapping


def _step_to_mapping(step: Step) -> dict[str, object]:
    match step:
        case ToolStep():
            body: dict[str, object] = {"tool": step.tool, "args": dict(step.args)}
        case SubplanStep():
            body = {"subplan": subplan_to_mapping(step.subplan)}
            if step.retries:
                body["retries"] = step.retries
        case ParallelStep():
            members = [_step_to_mapping(member) for member in step.members]
            body = {"parallel": members, "fail_fast": step.fail_fast}
            return {"id": step.id, **body}
        case _:
            assert_never(step)
    return {"id": step.id, **body, "on_denied": step.on_denied, "on_error": step.on_error}


def check_tools(
    definition: PlanDefinition | SubplanDefinition,
    known: frozenset[str],
    *,
    where: Callable[[Keys], str] = key_path,
) -> None:
    """Check that every tool that a plan names is registered.

    Args:
        definition: The plan, with all its subplans.
        known: Exact names of the registered tools.
        where: Makes a place of a key path; ``LoadedPlan.where`` adds file and line.

    Raises:
        UnknownToolError: A step or a delegation names another.
    """
    for keys, tool in _tools_in(definition.steps, ("steps",)):
        if tool not in known:
            raise UnknownToolError(name=tool, known=tuple(sorted(known)), where=where(keys))


def _tools_in(steps: tuple[Step, ...], keys: Keys) -> Iterator[tuple[Keys, str]]:
    for index, step in enumerate(steps):
        place = (*keys, index)
        match step:
            case ToolStep():
                yield (*place, "tool"), step.tool
            case SubplanStep():
                yield from _tools_of_subplan(step.subplan, (*place, "subplan"))
            case ParallelStep():
                for number, member in enumerate(step.members):
                    yield from _tools_of_subplan(
                        member.subplan, (*place, "parallel", number, "subplan")
                    )
            case _:
                assert_never(step)


def _tools_of_subplan(subplan: SubplanDefinition, keys: Keys) -> Iterator[tuple[Keys, str]]:
    for index, tool in enumerate(subplan.delegate.tools):
        yield (*keys, "delegate", "tools", index), tool
    for tool in subplan.delegate.where:
        yield (*keys, "delegate", "where", tool), tool
    yield from _tools_in(subplan.steps, (*keys, "steps"))


def _plain(raw: Mapping[str, object], name: str) -> Reader:
    # A mapping of a program's may hold what no file can; after this it is plain JSON.
    return Reader(Reader(raw, name).checked(json_mapping), name)


def _loaded(reader: Reader, base: Path) -> LoadedPlan:
    definition = _definition(reader)
    return LoadedPlan(
        definition=definition,
        raw=plan_to_mapping(definition),
        base=base,
        reader=reader,
        messages=_messages(definition, reader),
    )


def _messages(definition: PlanDefinition, reader: Reader) -> tuple[str, ...]:
    # Worth a word: somebody may have expected it to be filled in.
    unfilled = (
        f"{reader.at('inputs', name).where}: the default holds '${{{{', which stays as it is"
        for name, value in definition.inputs.items()
        if any(has_reference(text) for _, text in strings_in(value))
    )
    unset = (
        f"{reader.at(*keys).where}: a script gives none back without a 'result' beside them"
        for keys in unset_outputs(definition.steps, ("steps",))
    )
    return (*unfilled, *unset)


def _definition(reader: Reader) -> PlanDefinition:
    found = reader.mapping(KEYS, required=("name",))
    for key, item in found.items():
        if key not in ("inputs", "steps"):
            refuse_references(item)
    declared = (
        plan_input.declared_in(found["inputs"])
        if "inputs" in found
        else plan_input.Declared({}, {})
    )
    actor, goal, steps = read_task(found, reader, Scope(inputs=tuple(declared.types)))
    return PlanDefinition(
        name=read_name(found["name"]),
        goal=goal,
        actor=actor,
        steps=steps,
        inputs=declared.defaults,
        input_types=declared.types,
        automation_profile=_automation_profile(found),
        safety_profile=_safety_profile(found),
        outputs=_outputs(found, actor),
    )


def _outputs(
    found: Mapping[str, Reader], actor: ActorDefinition
) -> dict[str, Mapping[str, object]]:
    if "outputs" in found and actor.kind == "script":
        raise found["outputs"].error("a script has no outputs of its own", "leave it out")
    return read_outputs(found.get("outputs"))


def _automation_profile(found: Mapping[str, Reader]) -> str:
    if "automation_profile" not in found:
        return ""
    reader = found["automation_profile"]
    reference = reader.text()
    if not reference or not reference.isprintable():
        raise reader.error("an automation profile is a name or the path of a file")
    return reference


def _safety_profile(found: Mapping[str, Reader]) -> str | Mapping[str, object]:
    if "safety_profile" not in found:
        return ""
    meant = profile_reference(found["safety_profile"])
    return meant if isinstance(meant, str) else profile_to_mapping(meant)
