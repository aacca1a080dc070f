"""How does a script give back the outputs that it declares? By the ``result`` of its subplan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.config.reference_check import Scope, check_references
from cleveragents.policy.suggestion import hint_for
from cleveragents.terms.plan import ParallelStep, SubplanStep

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cleveragents.config.place import Keys
    from cleveragents.config.reader import Reader
    from cleveragents.terms.plan import ActorDefinition, Step, SubplanDefinition


def read_result(
    reader: Reader, *, actor: ActorDefinition, outputs: Collection[str], scope: Scope
) -> dict[str, object]:
    """Read what each declared output of a script is set to, references not yet filled in.

    Args:
        reader: The mapping.
        actor: Of the subplan; only a script has a ``result``.
        outputs: Names of the declared outputs.
        scope: What the subplan's steps have read, all of them.

    Raises:
        ConfigurationError: It sets what is not declared, leaves a declared
            output out, or reads what is not there.
    """
    if actor.kind != "script":
        raise reader.error(f"an actor of kind {actor.kind!r} hands its outputs in itself")
    found = reader.entries()
    for name, item in found.items():
        if name not in outputs:
            raise item.error("this output is not declared", hint_for(name, tuple(outputs)))
    missing = [name for name in outputs if name not in found]
    if missing:
        raise reader.error(f"the output {missing[0]!r} is declared and not set here")
    check_references(reader, scope)
    return {name: item.json() for name, item in found.items()}


def unset_outputs(steps: tuple[Step, ...], keys: Keys) -> Iterator[Keys]:
    """Give the place of every script below these steps that declares outputs and sets none.

    Args:
        steps: Of a plan or a subplan.
        keys: Where they stand.
    """
    for index, step in enumerate(steps):
        place = (*keys, index)
        if isinstance(step, SubplanStep):
            yield from _unset_in(step.subplan, (*place, "subplan"))
        elif isinstance(step, ParallelStep):
            for number, member in enumerate(step.members):
                yield from _unset_in(member.subplan, (*place, "parallel", number, "subplan"))


def _unset_in(subplan: SubplanDefinition, keys: Keys) -> Iterator[Keys]:
    if subplan.actor.kind == "script" and subplan.outputs and not subplan.result:
        yield (*keys, "outputs")
    yield from unset_outputs(subplan.steps, (*keys, "steps"))
