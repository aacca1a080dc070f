"""A plan's words: ids, phases, states, outcomes and the parts of its definition."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NewType

from cleveragents.terms.cost import NO_LIMITS, Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

PlanId = NewType("PlanId", str)
"""A ULID."""

Phase = Literal["strategize", "execute", "apply"]
State = Literal["queued", "processing", "waiting", "complete", "errored", "cancelled"]
Outcome = Literal[
    "applied", "merged", "merge_refused", "constrained", "conflicted", "errored", "cancelled"
]
OnDenied = Literal["fail", "continue"]
ActorKind = Literal["script", "llm", "program", "gateway"]
"""A plan file names the first three; a gateway is another program's MCP client."""


@dataclass(frozen=True, slots=True)
class ActorDefinition:
    """What decides the next call."""

    kind: ActorKind = "script"
    command: tuple[str, ...] = ()
    """``program`` only."""
    model: str = ""
    """``llm`` only, as is what follows."""
    base_url: str = ""
    credential: str = ""


@dataclass(frozen=True, slots=True)
class DelegationRequest:
    """The ``delegate`` mapping of a subplan: what the parent wants to hand on.

    An absent key hands on nothing (design, section 11); the empty defaults
    say exactly that.
    """

    tools: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    credentials: tuple[str, ...] = ()
    where: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    budget: Limits = NO_LIMITS
    depth: int = 0


@dataclass(frozen=True, slots=True)
class ToolStep:
    """One call of the script actor."""

    id: str
    tool: str
    args: Mapping[str, object]
    on_denied: OnDenied = "fail"
    on_error: OnDenied = "fail"


@dataclass(frozen=True, slots=True)
class SubplanStep:
    """One child; the same thing as a ``spawn_subplan`` call."""

    id: str
    subplan: SubplanDefinition
    on_denied: OnDenied = "fail"
    on_error: OnDenied = "fail"
    retries: int = 0
    """How often a child that failed is tried again, each time as a new child."""


@dataclass(frozen=True, slots=True)
class ParallelStep:
    """Children that run side by side; merged in file order after the group ended."""

    id: str
    members: tuple[SubplanStep, ...]
    fail_fast: bool = False


Step = ToolStep | SubplanStep | ParallelStep


@dataclass(frozen=True, slots=True)
class SubplanDefinition:
    """What a child is asked to do and handed to do it with."""

    name: str
    delegate: DelegationRequest
    goal: str = ""
    actor: ActorDefinition = ActorDefinition()
    inputs: Mapping[str, object] = field(default_factory=dict)
    outputs: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """JSON Schema of each declared output."""
    result: Mapping[str, object] = field(default_factory=dict)
    """What a script sets its outputs to; read when its last step has ended."""
    steps: tuple[Step, ...] = ()
    merge_strategy: str = ""
    """Empty: the automation profile's."""


@dataclass(frozen=True, slots=True)
class PlanDefinition:
    """A plan file, read and checked."""

    name: str
    goal: str = ""
    actor: ActorDefinition = ActorDefinition()
    steps: tuple[Step, ...] = ()
    inputs: Mapping[str, object] = field(default_factory=dict)
    """Declared inputs with their defaults; ``--input`` overrides."""
    automation_profile: str = ""
    """Name or path as written; empty for none."""
    safety_profile: str | Mapping[str, object] = ""
    """Name or inline mapping; empty for none."""
    input_types: Mapping[str, str] = field(default_factory=dict)
    """JSON type of every declared input, also of those without a default; empty: any."""
    outputs: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """JSON Schema of each value that a program or a model has to hand in."""
