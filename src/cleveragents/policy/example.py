"""Which calls does a profile promise to allow, and which to deny?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cleveragents.errors import ConfigurationError
from cleveragents.policy.shape import check_keys, join, json_mapping
from cleveragents.terms.tool import TOOL_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Example:
    """One call."""

    tool: str
    args: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Examples:
    """The calls that a profile must allow, and those that it must deny."""

    allows: tuple[Example, ...] = ()
    denies: tuple[Example, ...] = ()


NO_EXAMPLES: Final = Examples()


def examples_from(raw: object, *, where: str) -> Examples:
    """Read ``{allows: [{tool, args}], denies: [...]}``.

    Raises:
        ConfigurationError: The shape is another.
    """
    if isinstance(raw, Examples):
        return raw
    found = check_keys(raw, ("allows", "denies"), where=where)
    return Examples(
        allows=_list_from(found.get("allows", ()), join(where, "allows")),
        denies=_list_from(found.get("denies", ()), join(where, "denies")),
    )


def examples_to_mapping(examples: Examples) -> dict[str, object]:
    """The reverse of ``examples_from``."""
    return {
        key: [{"tool": one.tool, "args": one.args} for one in calls]
        for key, calls in (("allows", examples.allows), ("denies", examples.denies))
        if calls
    }


def _list_from(raw: object, where: str) -> tuple[Example, ...]:
    if not isinstance(raw, list | tuple):
        raise ConfigurationError(problem="expected a list of {tool, args}", where=where)
    return tuple(_one_from(item, f"{where}[{index}]") for index, item in enumerate(raw))


def _one_from(raw: object, where: str) -> Example:
    found = check_keys(raw, ("tool", "args"), where=where)
    tool = found.get("tool")
    if not isinstance(tool, str) or not TOOL_NAME.fullmatch(tool):
        raise ConfigurationError(problem="an example names its tool", where=where)
    return Example(tool=tool, args=json_mapping(found.get("args", {}), where=join(where, "args")))
