"""All attempts and all controls, as the user that runs this: one half of the table."""

from __future__ import annotations

import os
import platform
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.probes import act, aftermath, naive
from tests.probes.control import attempts_outside
from tests.probes.hostile import ask
from tests.probes.hostile.__main__ import MODULES
from tests.probes.hostile.kit import ATTEMPTS, GROUPS
from tests.probes.world import world

if TYPE_CHECKING:
    from tests.probes.act import Found
    from tests.probes.hostile.kit import Attempt
    from tests.probes.world import World

HELD = "held"
GAP = "known gap"
THROUGH = "GOT THROUGH"
BROKEN = "BROKEN"
SHOWN = "shown"
NOT_SHOWN = "not shown"
LISTS = (*MODULES, *naive.MORE, ask)
"""Every module that declares attempts."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of one attempt, and of its control."""

    verdict: str
    how: str
    """What it met, or what it got."""
    control: str
    control_how: str


@dataclass(frozen=True, slots=True)
class Half:
    """What was seen as one user."""

    is_root: bool
    seen: dict[str, Seen] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    """Of kernel and bubblewrap, where they decide."""


def attempts() -> list[Attempt]:
    """Give every attempt in the order of the table."""
    order = list(GROUPS)
    return sorted(ATTEMPTS.values(), key=lambda one: order.index(one.group))


def judge(attempt: Attempt, found: dict[str, str], control: dict[str, str]) -> Seen:
    """Say what became of an attempt."""
    if "held" in found:
        verdict, how = HELD, found["held"]
    elif "got" in found:
        verdict, how = (GAP if attempt.gap else THROUGH), found["got"]
    else:
        verdict, how = BROKEN, found["broken"]
    if "got" in control:
        return Seen(verdict, how, SHOWN, control["got"])
    if "held" in control:
        return Seen(verdict, how, NOT_SHOWN, control["held"])
    return Seen(verdict, how, BROKEN, control["broken"])


def half() -> Half:
    """Make every attempt behind the wall and without it."""
    with world() as one, world() as other, ThreadPoolExecutor(1) as beside:
        # Its attempts wait for deadlines most of the time.
        waiting = beside.submit(act.messages, other)
        asked, given = act.asked(one)
        found: Found = {
            **act.inside(one),
            **asked,
            **aftermath.trees(one),
            **aftermath.burdens(one),
            **aftermath.survival(one),
        }
        outside = {
            **attempts_outside(one),
            **given,
            **naive.messages(one),
            **naive.trees(one),
            **naive.burdens(one),
        }
        found.update(waiting.result())
        features = _features(one)
    missing = ATTEMPTS.keys() ^ found.keys() | ATTEMPTS.keys() ^ outside.keys()
    assert not missing, f"no result for, or no attempt of: {sorted(missing)}"
    seen = {one.name: judge(one, found[one.name], outside[one.name]) for one in attempts()}
    return Half(is_root=os.geteuid() == 0, seen=seen, features=features)


def own_half() -> Half:
    """Make the attempts that a program makes by itself, and their controls: the quick part."""
    with world() as one:
        found, outside = act.inside(one), attempts_outside(one)
    assert found.keys() == outside.keys()
    seen = {
        one.name: judge(one, found[one.name], outside[one.name])
        for one in attempts()
        if one.name in found
    }
    return Half(is_root=os.geteuid() == 0, seen=seen)


def _features(one: World) -> tuple[str, ...]:
    data: dict[str, Any] = one.agents("doctor").data
    layers = {layer["layer"]: layer["detail"] for layer in data["layers"]}
    kernel = ".".join(platform.release().split(".")[:2])
    return (
        f"Linux {kernel} on {platform.machine()}",
        f"bubblewrap {data['bubblewrap']}",
        f"Landlock {layers.get('landlock', 'absent')}",
        f"workspaces by {data['workspace']}",
    )
