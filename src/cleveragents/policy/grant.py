"""What may one plan use, and what may it hand on? Rights that only ever shrink."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

from cleveragents.errors import ConfigurationError, DelegationError, RecordError
from cleveragents.policy import host_rule, path_rule, shape
from cleveragents.policy.ceiling import Ceiling, Schema, narrowed
from cleveragents.terms.cost import NO_LIMITS, Limits, format_usd
from cleveragents.terms.digest import digest_value
from cleveragents.terms.tool import ALL_EFFECTS, Effect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cleveragents.policy.path_rule import PathRules
    from cleveragents.terms.plan import DelegationRequest

_RIGHTS: Final = ("tools", "effects", "read", "write", "hosts", "credentials", "where")
_DIMENSIONS: Final = tuple(one.name for one in fields(Limits))
DEFAULT_DEPTH: Final = 3
"""Generations below a root plan, unless the automation profile says otherwise."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The rights, the purse and the reach of one plan; frozen when it starts.

    ``Grant.root`` makes the first of a tree, ``attenuate`` every other one:
    by taking from ``delegates``, never by listing rights anew.
    """

    tools: frozenset[str]
    effects: frozenset[Effect]
    read: tuple[str, ...]
    write: tuple[str, ...]
    hosts: tuple[str, ...]
    credentials: frozenset[str]
    where: Mapping[str, tuple[Schema, ...]]
    budget: Limits
    depth_left: int
    """Generations that may still come below; 0: it spawns nothing."""
    deadline: str | None
    """RFC 3339 in UTC; ``None`` is no deadline of its own."""
    delegates: Ceiling
    """What it may hand on; a coordinator's may be wider than what it uses itself."""

    @classmethod
    def root(
        cls,
        *,
        tools: Iterable[str],
        effects: Iterable[Effect] = ALL_EFFECTS,
        read: Iterable[str] = (path_rule.WHOLE,),
        write: Iterable[str] = (path_rule.WHOLE,),
        hosts: Iterable[str] = (host_rule.ANY,),
        credentials: Iterable[str] = (),
        where: Mapping[str, tuple[Schema, ...]] | None = None,
        budget: Limits = NO_LIMITS,
        depth: int = DEFAULT_DEPTH,
        deadline: str | None = None,
        delegates: Ceiling | None = None,
    ) -> Grant:
        """Make the grant of a root plan.

        Args:
            tools: Exact names.
            effects: Ceiling of what its tools may do.
            read: Paths that may be read.
            write: Paths that may be written, and read.
            hosts: ``*`` is any public host; a private one needs its own entry.
            credentials: Handles.
            where: Argument conditions, all of which hold.
            budget: The plan's own limits.
            depth: Generations of subplans below it.
            deadline: When it must have ended.
            delegates: What it may hand on; left out, what it may use.

        Raises:
            ConfigurationError: An entry cannot be understood.

        >>> Grant.root(tools=["read_file"], read=["docs"], write=[]).read
        ('docs',)
        """
        own = Ceiling(
            tools=_names(tools, "tools"),
            effects=shape.effects(effects, where="grant: effects"),
            read=shape.strings(read, where="grant: read"),
            write=shape.strings(write, where="grant: write"),
            hosts=shape.strings(hosts, where="grant: hosts"),
            credentials=_names(credentials, "credentials"),
            where=where or {},
        )
        if depth < 0:
            raise ConfigurationError(problem=f"a depth of {depth}", where="grant: depth")
        return _granted(own, budget, depth, deadline, delegates or own)

    @property
    def readable(self) -> PathRules:
        """What may be read: the read paths and the write paths."""
        return path_rule.PathRules.of_normal(self.read + self.write)

    @property
    def writable(self) -> PathRules:
        """What may be written or deleted."""
        return path_rule.PathRules.of_normal(self.write, with_directories=False)

    def attenuate(self, request: DelegationRequest) -> Grant:
        """Make a child's grant out of what this one may hand on.

        The child is never equal to its parent: ``depth_left`` falls by one at
        least, every condition is kept, and it hands on no more than it got.

        Raises:
            DelegationError: The request asks for more; every excess is named.

        >>> from cleveragents.terms.plan import DelegationRequest
        >>> parent = Grant.root(tools=["read_file"], read=["docs/"], write=[])
        >>> child = parent.attenuate(DelegationRequest(tools=("read_file",), read=("docs/api/",)))
        >>> child.read, child.depth_left
        (('docs/api/',), 0)
        """
        child, excesses = narrowed(self.delegates, request)
        excesses += _purse_excesses(self.budget, request.budget)
        excesses += _depth_excesses(self.depth_left, request.depth)
        if excesses:
            raise DelegationError(excesses=excesses)
        return _granted(child, request.budget, request.depth, self.deadline, child)


def _names(raw: Iterable[str], key: str) -> frozenset[str]:
    # A registry or a settings mapping is a set of names too; a bare string is a slip.
    found = raw if isinstance(raw, str) else tuple(raw)
    return frozenset(shape.strings(found, where=f"grant: {key}"))


def _granted(
    own: Ceiling, budget: Limits, depth: int, deadline: str | None, delegates: Ceiling
) -> Grant:
    return Grant(
        tools=own.tools,
        effects=own.effects,
        read=own.read,
        write=own.write,
        hosts=own.hosts,
        credentials=own.credentials,
        where=own.where,
        budget=budget,
        depth_left=depth,
        deadline=deadline,
        delegates=delegates,
    )


def _purse_excesses(held: Limits, asked: Limits) -> tuple[str, ...]:
    # No limit of its own is no excess: every reservation goes up the chain.
    if held is NO_LIMITS or asked is NO_LIMITS:
        return ()
    found = []
    for dimension in _DIMENSIONS:
        has, wants = getattr(held, dimension), getattr(asked, dimension)
        if has is not None and wants is not None and wants > has:
            found.append(_purse_excess(dimension, wants, has))
    return tuple(found)


def _purse_excess(dimension: str, wants: int, has: int) -> str:
    if dimension == "cost_microusd":
        return f"a budget of {format_usd(wants)} USD out of {format_usd(has)} USD"
    return f"a budget of {wants} {dimension} out of {has}"


def _depth_excesses(left: int, asked: int) -> tuple[str, ...]:
    if left < 1:
        return ("a subplan: no generation is left below this plan",)
    if asked > left - 1:
        return (f"a depth of {asked}: {left - 1} generations are left below the child",)
    if asked < 0:
        return (f"a depth of {asked}",)
    return ()


def to_mapping(grant: Grant) -> dict[str, object]:
    """Plain JSON, as it is stored with the plan and re-read on resume."""
    return {
        **_rights_to_mapping(grant),
        "budget": {name: getattr(grant.budget, name) for name in _DIMENSIONS},
        "depth_left": grant.depth_left,
        "deadline": grant.deadline,
        "delegates": _rights_to_mapping(grant.delegates),
    }


def digest(grant: Grant) -> str:
    """``sha256:...`` of the canonical mapping."""
    return digest_value(to_mapping(grant))


def _rights_to_mapping(rights: Grant | Ceiling) -> dict[str, object]:
    return {
        "tools": sorted(rights.tools),
        "effects": sorted(effect.value for effect in rights.effects),
        "read": list(rights.read),
        "write": list(rights.write),
        "hosts": list(rights.hosts),
        "credentials": sorted(rights.credentials),
        "where": {tool: list(schemas) for tool, schemas in rights.where.items()},
    }


def grant_from_mapping(raw: Mapping[str, object]) -> Grant:
    """Read a stored grant back.

    Raises:
        RecordError: It is not what ``to_mapping`` writes; nothing is guessed.
    """
    try:
        found = _exactly(raw, {*_RIGHTS, "budget", "depth_left", "deadline", "delegates"})
        return _granted(
            _rights_from({key: found[key] for key in _RIGHTS}),
            _budget_from(found["budget"]),
            _count_from(found["depth_left"], "depth_left"),
            None if found["deadline"] is None else shape.text(found["deadline"], where="deadline"),
            _rights_from(found["delegates"]),
        )
    except ConfigurationError as error:
        raise RecordError(
            problem=f"a stored grant cannot be read ({error})",
            hint="'agents audit verify' says whether the record was changed",
        ) from error


def _exactly(raw: object, keys: set[str]) -> Mapping[str, object]:
    found = shape.check_keys(raw, keys, where="grant")
    for missing in sorted(keys - found.keys()):
        raise ConfigurationError(problem="is missing", where=missing)
    return found


def _budget_from(raw: object) -> Limits:
    found = _exactly(raw, set(_DIMENSIONS))
    return Limits(
        **{key: None if value is None else _count_from(value, key) for key, value in found.items()}
    )


def _count_from(raw: object, where: str) -> int:
    if type(raw) is not int or raw < 0:
        raise ConfigurationError(problem="is no count", where=where)
    return raw


def _rights_from(raw: object) -> Ceiling:
    found = _exactly(raw, set(_RIGHTS))
    return Ceiling(
        tools=frozenset(shape.strings(found["tools"], where="tools")),
        effects=shape.effects(found["effects"], where="effects"),
        read=shape.strings(found["read"], where="read"),
        write=shape.strings(found["write"], where="write"),
        hosts=shape.strings(found["hosts"], where="hosts"),
        credentials=frozenset(shape.strings(found["credentials"], where="credentials")),
        where=_conditions_from(found["where"]),
    )


def _conditions_from(raw: object) -> dict[str, tuple[Schema, ...]]:
    found = shape.json_mapping(raw, where="where")
    return {
        tool: tuple(
            shape.json_mapping(schema, where=f"where.{tool}[{index}]")
            for index, schema in enumerate(shape.items(schemas, where=f"where.{tool}"))
        )
        for tool, schemas in found.items()
    }
