"""Who thinks for the model actors of a plan, and within which bounds: fixed when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from cleveragents.terms.model import ModelEndpoint
from cleveragents.terms.plan import ParallelStep, SubplanStep

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cleveragents.terms.plan import ActorDefinition, PlanDefinition, SubplanDefinition


@dataclass(frozen=True, slots=True)
class Mind:
    """The models that were lent to a plan and to every plan below it.

    A model's host thinks *for* a plan and is no right of it: it is asked by
    our own loop, with the operator's key. So it is the operator's choice, made
    when the root plan starts; a subplan that names another model needs its
    host and its credential in what it was handed.
    """

    endpoints: tuple[ModelEndpoint, ...] = ()
    """The plan's own first, then those that its file names for subplans."""
    fallbacks: tuple[ModelEndpoint, ...] = ()
    """Asked in this order when the one before is overloaded or out of order."""
    max_output_tokens: int = 8_192
    context_tokens: int = 100_000
    """Beyond it the oldest results are put aside; an upper bound of tokens."""
    max_turns: int = 100
    max_refusals: int = 5
    """Refusals in a row that end the plan."""

    def endpoints_for(self, actor: ActorDefinition) -> tuple[ModelEndpoint, ...]:
        """Who is asked for an actor, the first choice first; empty when nobody is lent."""
        own = self._own(actor)
        return tuple(dict.fromkeys((*own, *self.fallbacks)))

    def _own(self, actor: ActorDefinition) -> tuple[ModelEndpoint, ...]:
        if not actor.model:
            return self.endpoints[:1]
        written = ModelEndpoint(actor.model, actor.base_url, actor.credential)
        for lent in self.endpoints:
            # One that names no credential is lent with the operator's.
            if lent == written or (
                not written.credential
                and (lent.model, lent.base_url) == (written.model, written.base_url)
            ):
                return (lent,)
        return (written,)


NO_MIND: Final = Mind()
"""Nobody thinks for the plan; its bounds are the settings' defaults."""


def mind_to_mapping(mind: Mind) -> dict[str, object]:
    """Plain JSON, for the charter."""
    return {
        "endpoints": [_endpoint_to_list(one) for one in mind.endpoints],
        "fallbacks": [_endpoint_to_list(one) for one in mind.fallbacks],
        "max_output_tokens": mind.max_output_tokens,
        "context_tokens": mind.context_tokens,
        "max_turns": mind.max_turns,
        "max_refusals": mind.max_refusals,
    }


def mind_from_mapping(raw: Mapping[str, object]) -> Mind:
    """The reverse of ``mind_to_mapping``."""
    numbers = cast("Mapping[str, int]", raw)
    return Mind(
        endpoints=_endpoints(raw["endpoints"]),
        fallbacks=_endpoints(raw["fallbacks"]),
        max_output_tokens=numbers["max_output_tokens"],
        context_tokens=numbers["context_tokens"],
        max_turns=numbers["max_turns"],
        max_refusals=numbers["max_refusals"],
    )


def llm_actors(definition: PlanDefinition | SubplanDefinition) -> Iterator[ActorDefinition]:
    """Give every model actor that a plan's own definition holds, its own first."""
    if definition.actor.kind == "llm":
        yield definition.actor
    for step in definition.steps:
        match step:
            case SubplanStep():
                yield from llm_actors(step.subplan)
            case ParallelStep():
                for member in step.members:
                    yield from llm_actors(member.subplan)


def _endpoint_to_list(one: ModelEndpoint) -> list[str]:
    return [one.model, one.base_url, one.credential]


def _endpoints(raw: object) -> tuple[ModelEndpoint, ...]:
    return tuple(ModelEndpoint(*one) for one in cast("list[list[str]]", raw))
