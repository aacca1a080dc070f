"""How far do rights reach, and by how much does a request exceed them?"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from cleveragents.errors import ConfigurationError
from cleveragents.policy import host_rule, path_rule, shape
from cleveragents.policy.host_rule import HostRules
from cleveragents.policy.path_rule import PathRules
from cleveragents.terms.tool import ALL_EFFECTS, Effect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cleveragents.terms.plan import DelegationRequest

Schema = dict[str, object]
NO_CONDITIONS: Final[Mapping[str, tuple[Schema, ...]]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Rights without a purse: what may be used, or what may be handed on.

    Raises:
        ConfigurationError: An entry cannot be understood.
    """

    tools: frozenset[str]
    effects: frozenset[Effect] = ALL_EFFECTS
    read: tuple[str, ...] = (path_rule.WHOLE,)
    write: tuple[str, ...] = (path_rule.WHOLE,)
    """May also be read."""
    hosts: tuple[str, ...] = (host_rule.ANY,)
    credentials: frozenset[str] = frozenset()
    """Names of handles, never values."""
    where: Mapping[str, tuple[Schema, ...]] = field(default_factory=dict)
    """For each tool, schemas that must all hold."""

    def __post_init__(self) -> None:
        for name, value in normal_rights(self).items():
            object.__setattr__(self, name, value)

    @classmethod
    def of_normal(cls, **rights: object) -> Ceiling:
        """Build from rights that were normalised already: spawning is a hot path."""
        made = cls.__new__(cls)
        for name, value in rights.items():
            object.__setattr__(made, name, value)
        return made

    @property
    def readable(self) -> PathRules:
        """What may be read: the read paths and the write paths."""
        return PathRules.of_normal(self.read + self.write)

    @property
    def writable(self) -> PathRules:
        """What may be written or deleted."""
        return PathRules.of_normal(self.write, with_directories=False)


def normal_rights(rights: Ceiling) -> dict[str, object]:
    """Each field of rights in its one form.

    Raises:
        ConfigurationError: An entry cannot be understood.
    """
    return {
        "tools": _names(rights.tools, "tools"),
        "effects": shape.effects(rights.effects, where="grant: effects"),
        "read": _entries(rights.read, path_rule.normalise_entry, "read"),
        "write": _entries(rights.write, path_rule.normalise_entry, "write"),
        "hosts": _entries(rights.hosts, host_rule.normalise_entry, "hosts"),
        "credentials": _names(rights.credentials, "credentials"),
        "where": {tool: tuple(schemas) for tool, schemas in rights.where.items()},
    }


def _names(raw: Iterable[str], key: str) -> frozenset[str]:
    if type(raw) is frozenset:
        return raw
    return frozenset(shape.strings(raw, where=f"grant: {key}"))


def _entries(raw: object, normalise: Callable[..., str], key: str) -> tuple[str, ...]:
    return shape.entries(raw, normalise, where=f"grant: {key}")


def narrowed(ceiling: Ceiling, request: DelegationRequest) -> tuple[Ceiling, tuple[str, ...]]:
    """Meet rights with a request, and say where the request asks for more.

    Nothing is trimmed in silence: when there are excesses, the rights given
    back are for nobody. Conditions are conjoined, never replaced.
    """
    excesses: list[str] = []
    read = _asked_paths(request.read, "read", excesses)
    write = _asked_paths(request.write, "write", excesses)
    hosts = _asked_hosts(request.hosts, excesses)
    tools = frozenset(request.tools)
    credentials = frozenset(request.credentials)
    readable, writable = ceiling.readable, ceiling.writable
    host_rules = HostRules.of_normal(ceiling.hosts)
    excesses += [f"tool:{name}" for name in sorted(tools - ceiling.tools)]
    excesses += [f"file:{e} to read" for e in read if not readable.covers(e)]
    excesses += [f"file:{e} to write" for e in write if not writable.covers(e)]
    excesses += [f"host:{e}" for e in hosts if not host_rules.covers(e)]
    excesses += [f"credential:{name}" for name in sorted(credentials - ceiling.credentials)]
    excesses += [
        f"a condition for tool:{name}, which is not among its tools"
        for name in request.where
        if name not in tools
    ]
    if excesses:
        return ceiling, tuple(excesses)
    child = Ceiling.of_normal(
        tools=ceiling.tools & tools,
        effects=ceiling.effects,
        read=read,
        write=write,
        hosts=hosts,
        credentials=ceiling.credentials & credentials,
        where=_conjoined(ceiling.where, request, tools),
    )
    return child, ()


def _conjoined(
    held: Mapping[str, tuple[Schema, ...]], request: DelegationRequest, tools: frozenset[str]
) -> Mapping[str, tuple[Schema, ...]]:
    if not held and not request.where:
        return NO_CONDITIONS
    # INVARIANT: every condition of the parent on a tool that is handed on binds the child too.
    found = {tool: schemas for tool, schemas in held.items() if tool in tools}
    for tool, schema in request.where.items():
        own = shape.json_mapping(schema, where=f"delegate.where.{tool}")
        found[tool] = (*found.get(tool, ()), own)
    return found


def _asked_paths(raw: Iterable[str], verb: str, excesses: list[str]) -> tuple[str, ...]:
    found = []
    for entry in raw:
        try:
            found.append(path_rule.normalise_entry(entry))
        except ConfigurationError:
            # A path outside the workspace is asking for more, not a spelling mistake.
            excesses.append(f"file:{entry} to {verb}")
    return tuple(found)


def _asked_hosts(raw: Iterable[str], excesses: list[str]) -> tuple[str, ...]:
    found = []
    for entry in raw:
        try:
            found.append(host_rule.normalise_entry(entry))
        except ConfigurationError:
            excesses.append(f"host:{entry}")
    return tuple(found)
