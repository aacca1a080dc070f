"""What does a parent want to hand on? The ``delegate`` mapping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cleveragents.config.budget import limits_of, limits_to_mapping
from cleveragents.policy import host_rule, path_rule, shape
from cleveragents.policy.argument import HANDLE
from cleveragents.terms.cost import NO_LIMITS
from cleveragents.terms.plan import DelegationRequest
from cleveragents.terms.tool import TOOL_NAME

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Mapping

    from cleveragents.config.reader import Reader

_KEYS: Final = ("tools", "read", "write", "hosts", "credentials", "where", "budget", "depth")
MAX_DEPTH: Final = 64
_NAME_HINT: Final = "exact names of at most 64 characters, without patterns"


def read_delegation(reader: Reader) -> DelegationRequest:
    """Read a ``delegate`` mapping; an absent key hands on nothing.

    Raises:
        ConfigurationError: It cannot be understood.
    """
    found = reader.mapping(_KEYS)
    return DelegationRequest(
        tools=_names(found, "tools", TOOL_NAME, "the exact name of a tool"),
        read=_entries(found, "read", path_rule.normalise_entry),
        write=_entries(found, "write", path_rule.normalise_entry),
        hosts=_entries(found, "hosts", host_rule.normalise_entry),
        credentials=_names(found, "credentials", HANDLE, "the name of a credential"),
        where=found["where"].checked(shape.schemas) if "where" in found else {},
        budget=limits_of(found["budget"]) if "budget" in found else NO_LIMITS,
        depth=found["depth"].integer(0, MAX_DEPTH) if "depth" in found else 0,
    )


def _names(
    found: Mapping[str, Reader], key: str, form: re.Pattern[str], what: str
) -> tuple[str, ...]:
    if key not in found:
        return ()
    return tuple(item.word(form, what, _NAME_HINT) for item in found[key].items())


def _entries(
    found: Mapping[str, Reader], key: str, normalise: Callable[..., str]
) -> tuple[str, ...]:
    if key not in found:
        return ()
    # One entry at a time, so that each error has its own line.
    return tuple(item.checked(normalise) for item in found[key].items())


def delegation_to_mapping(request: DelegationRequest) -> dict[str, object]:
    """The mapping that ``read_delegation`` reads back."""
    mapping: dict[str, object] = {
        key: list(entries)
        for key in ("tools", "read", "write", "hosts", "credentials")
        if (entries := getattr(request, key))
    }
    if request.where:
        mapping["where"] = {tool: dict(schema) for tool, schema in request.where.items()}
    if request.budget != NO_LIMITS:
        mapping["budget"] = limits_to_mapping(request.budget)
    if request.depth:
        mapping["depth"] = request.depth
    return mapping
