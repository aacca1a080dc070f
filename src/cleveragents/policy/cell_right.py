"""What may a plan's cell show, let change, and do? What the mounts are derived from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from cleveragents.policy.host_rule import PUBLIC, HostRules
from cleveragents.policy.path_rule import EVERYWHERE, PathRules
from cleveragents.policy.tool_rule import bounds_of
from cleveragents.terms.tool import ALL_EFFECTS, Effect

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cleveragents.policy.grant import Grant
    from cleveragents.policy.profile import SafetyProfile


@dataclass(frozen=True, slots=True)
class CellRights:
    """The rights of one cell: the same answers as the gate's, for the kernel."""

    read: tuple[str, ...]
    """Entries to be visible: ``.``, ``dir/`` or ``file``. Holds every write entry."""
    write: tuple[str, ...]
    """Entries to be writable; empty unless every ceiling has ``write`` or ``delete``."""
    effects: frozenset[Effect]
    """The meet of all ceilings."""


def cell_rights(profiles: Iterable[SafetyProfile], grant: Grant | None) -> CellRights:
    """Meet all profiles and the grant.

    Args:
        profiles: In force for the plan.
        grant: The plan's own; ``None`` adds no restriction.

    >>> from cleveragents.policy.profile import BUILT_IN
    >>> cell_rights([BUILT_IN["read-only"]], None).write
    ()
    """
    effects = ALL_EFFECTS
    readable = EVERYWHERE
    writable = PathRules.of_normal(EVERYWHERE.entries, with_directories=False)
    for profile in profiles:
        bounds = bounds_of(profile)
        effects &= profile.effects
        readable = readable.meet(bounds.readable)
        writable = writable.meet(bounds.writable)
    if grant is not None:
        effects &= grant.effects
        readable = readable.meet(grant.readable)
        writable = writable.meet(grant.writable)
    may_change = bool(effects & {Effect.WRITE, Effect.DELETE})
    # A delete-only ceiling still needs a writable mount: the gate keeps the two apart.
    write = writable.entries if may_change else ()
    return CellRights(
        read=tuple(dict.fromkeys(readable.entries + write)), write=write, effects=effects
    )


def reachable_hosts(profiles: Iterable[SafetyProfile]) -> HostRules:
    """The hosts that all profiles admit: what a root plan's grant and broker get."""
    every = [bounds_of(profile).hosts for profile in profiles]
    return reduce(HostRules.meet, every) if every else PUBLIC
