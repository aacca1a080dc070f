"""How resources are named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cleveragents.terms.path import WORKSPACE, is_outside, normalise_path

if TYPE_CHECKING:
    from cleveragents.terms.tool import Access, ResourceKind

__all__ = ["WORKSPACE", "Resource", "is_outside", "normalise_path", "parse_resource"]


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing that a call names: a file, a host, a credential, a plan's part."""

    kind: ResourceKind
    value: str
    access: Access

    @property
    def name(self) -> str:
        """``file:docs/a.md``, ``host:example.com``, ``plan:<id>/context``, ..."""
        return f"{self.kind}:{self.value}"


def parse_resource(name: str) -> Resource | None:
    """Read a resource name that a subplan asked for; ``None`` when it is none.

    >>> parse_resource("file:docs//a.md").value
    'docs/a.md'
    >>> parse_resource("plan:01J/context").kind
    'plan'
    >>> parse_resource("secrets") is None
    True
    """
    kind, colon, value = name.partition(":")
    if not colon or not value or not value.isprintable():
        return None
    match kind:
        case "file":
            return Resource("file", normalise_path(value), "read")
        case "host":
            return Resource("host", value.lower(), "use")
        case "credential":
            return Resource("credential", value, "use")
        case "plan":
            return Resource("plan", value, "read")
    return None
