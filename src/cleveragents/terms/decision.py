"""A decision is a value that carries its reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from cleveragents.terms.tool import Effect

ViolationKind = Literal[
    "tool_access_denied",
    "security_boundary",
    "delegation_refused",
    "budget_exceeded",
    "merge_refused",
]


@dataclass(frozen=True, slots=True)
class Refusal:
    """One rule that does not admit the call."""

    kind: ViolationKind
    rule: str
    """``allowed_tools``, ``denied_tools``, ``effects``, ``read``, ``write``,
    ``hosts``, ``where``, ``workspace``, ``arguments``, or ``grant.<field>``."""
    profile: str
    """Name of the profile that refused; empty when the grant did."""
    reason: str
    """One sentence that a person can act on."""
    resource_name: str
    """``tool:write_file``, ``file:/etc/passwd``, ..."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """Every rule admits the call."""

    rule: str
    """Which rule of which profile let it in, such as ``unrestricted: no list``."""
    imposed: frozenset[Effect] = frozenset()
    """Effects of the tool that the cell takes away instead of refusing the call."""


@dataclass(frozen=True, slots=True)
class Denied:
    """At least one rule refuses; the first in the documented order is given."""

    refusals: tuple[Refusal, ...]

    @property
    def rule(self) -> str:
        """The rule of the first refusal."""
        return self.refusals[0].rule

    @property
    def reason(self) -> str:
        """The sentence of the first refusal."""
        return self.refusals[0].reason


Decision = Allowed | Denied
