"""A call in its canonical form, on its way through the door."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from cleveragents.terms.tool import Effect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.runtime.call_context import CallContext
    from cleveragents.terms.call import ToolCall
    from cleveragents.terms.cost import Amount
    from cleveragents.terms.decision import Allowed
    from cleveragents.terms.resource import Resource
    from cleveragents.terms.tool import ToolSpec


CHANGES: Final = frozenset({Effect.WRITE, Effect.DELETE, Effect.EXECUTE})
"""Effects after which a workspace, or a live directory, may differ."""


class Asked(NamedTuple):
    """What is decided, recorded and performed: one spelling for all three.

    A tuple, because one is made for every call.
    """

    call: ToolCall
    context: CallContext
    spec: ToolSpec
    arguments: Mapping[str, object]
    """Normalised, defaults filled in: what the tool really gets."""
    resources: tuple[Resource, ...]
    shown: Mapping[str, object]
    """The arguments redacted: what the record and a person get."""
    digests: Mapping[str, str]
    """``arguments_digest`` and ``tool_digest``."""
    worst: Amount | None = None
    """What it uses at most; ``None``: one call at the tool's declared price."""

    @property
    def reservation(self) -> str:
        """Identity of what is held for this call."""
        return f"{self.context.plan_id}/{self.call.call_id}"

    def may_change(self, decision: Allowed) -> bool:
        """Say whether files may differ after it, under the effects that it was let in with."""
        return bool((self.spec.effects - decision.imposed) & CHANGES)
