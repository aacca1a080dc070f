"""Do one thing in the house, and close it whatever happens."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from cleveragents.assembly.house import House
    from cleveragents.cli.invocation import Invocation
    from cleveragents.terms.answer import Answer


def in_house(invocation: Invocation, act: Callable[[House], Answer]) -> Answer:
    """Open the house that the environment names, act, and close it again."""
    # The house is everything there is: help and completion are not to build it.
    from cleveragents.assembly.house import open_house  # noqa: PLC0415

    with closing(open_house(invocation.environ)) as house:
        # Read first: a setting that is wrong is told by every command, used by it or not.
        _ = house.settings
        return act(house)
