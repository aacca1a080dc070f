"""What a tool's author says of it, checked; the host and the cell read it by the same rules."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

from cleveragents.errors import ConfigurationError
from cleveragents.terms.cost import MICRO
from cleveragents.terms.tool import ALL_EFFECTS, Effect, ResourceArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.terms.tool import Access

_FILE_EFFECTS: Final[Mapping[str, Access]] = {
    Effect.READ: "read",
    Effect.WRITE: "write",
    Effect.DELETE: "delete",
}
_RESOURCES: Final = (
    "file",
    "file:read",
    "file:write",
    "file:delete",
    "host",
    "credential",
)
_MAX_COST_USD: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Declaration:
    """What stands in the brackets of ``@tool(...)``, checked."""

    effects: frozenset[Effect] = ALL_EFFECTS
    resources: tuple[ResourceArgument, ...] = ()
    cost_microusd: int = 0


def declare(
    effects: object = None, resources: object = None, cost_usd: object = None, *, where: str
) -> Declaration:
    """Check what a tool declares of itself.

    Args:
        effects: A set, list or tuple of effect names; ``None``: nothing is
            declared, and the tool has all effects.
        resources: Argument name to ``file``, ``file:read``, ``file:write``,
            ``file:delete``, ``host`` or ``credential``. A plain ``file`` is
            used for each of reading, writing and deleting that the tool does.
        cost_usd: Price of one call, as decimal text or a number.
        where: File, line and name, for the message.

    Raises:
        ConfigurationError: A value is unknown, or two contradict each other.
    """
    declared = ALL_EFFECTS if effects is None else _effects(effects, where=where)
    return Declaration(
        effects=declared,
        resources=_resources(resources, declared, where=where),
        cost_microusd=_cost(cost_usd, where=where),
    )


def _effects(raw: object, *, where: str) -> frozenset[Effect]:
    if not isinstance(raw, set | frozenset | list | tuple):
        raise ConfigurationError(
            problem=f"'effects' is {raw!r}, not a set of names",
            where=where,
            hint='write it like effects={"read"}',
        )
    return frozenset(_effect(name, where=where) for name in raw)


def _effect(name: object, *, where: str) -> Effect:
    for effect in Effect:
        # A text is expected, of exactly this spelling: no folding, no plural.
        if isinstance(name, str) and name == effect.value:
            return effect
    raise ConfigurationError(
        problem=f"no effect is named {name!r}",
        where=where,
        hint=_suggest(str(name), tuple(effect.value for effect in Effect)),
    )


def _suggest(wrong: str, known: tuple[str, ...]) -> str:
    # Only an error needs it, and the guest starts with this module.
    import difflib  # noqa: PLC0415

    near = difflib.get_close_matches(wrong.lower(), known, n=1)
    return f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(known)


def _resources(
    raw: object, effects: frozenset[Effect], *, where: str
) -> tuple[ResourceArgument, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, dict):
        raise ConfigurationError(
            problem=f"'resources' is {raw!r}, not a mapping",
            where=where,
            hint='write it like resources={"path": "file"}',
        )
    found: list[ResourceArgument] = []
    for argument, kind in raw.items():
        if not isinstance(argument, str) or kind not in _RESOURCES:
            raise ConfigurationError(
                problem=f"no kind of resource is named {kind!r}",
                where=where,
                hint=_suggest(str(kind), _RESOURCES),
            )
        found.extend(_resource(argument, str(kind), effects, where=where))
    return tuple(found)


def _resource(
    argument: str, kind: str, effects: frozenset[Effect], *, where: str
) -> list[ResourceArgument]:
    name, _, access = kind.partition(":")
    if name == "credential":
        return [ResourceArgument(argument, "credential", "use")]
    if name == "host":
        if Effect.NETWORK not in effects:
            raise _contradiction(argument, "host", "network", where=where)
        return [ResourceArgument(argument, "host", "use")]
    done = {have for effect, have in _FILE_EFFECTS.items() if effect in effects}
    if access and access not in done:
        raise _contradiction(argument, kind, access, where=where)
    if not done:
        raise _contradiction(argument, kind, "read, write or delete", where=where)
    return [
        ResourceArgument(argument, "file", have)
        for have in _FILE_EFFECTS.values()
        if have == access or (not access and have in done)
    ]


def _contradiction(argument: str, kind: str, lacking: str, *, where: str) -> ConfigurationError:
    return ConfigurationError(
        problem=f"the resource {argument!r} is a {kind!r}, but the effects lack {lacking}",
        where=where,
    )


def _cost(raw: object, *, where: str) -> int:
    if raw is None:
        return 0
    amount = _dollars(raw)
    if amount is None or not 0 <= amount <= _MAX_COST_USD or amount * MICRO % 1:
        raise ConfigurationError(
            problem=f"'cost_usd' is {raw!r}, not an amount of dollars",
            where=where,
            hint='write it like cost_usd="0.02", with at most six decimals',
        )
    return int(amount * MICRO)


def _dollars(raw: object) -> Decimal | None:
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        return None
    try:
        amount = Decimal(str(raw))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None
