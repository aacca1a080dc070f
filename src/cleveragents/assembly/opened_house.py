"""A house, and a plan's means, for as long as one command runs."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cleveragents.assembly.house import open_house

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cleveragents.assembly.house import House
    from cleveragents.plans.charter import Charter
    from cleveragents.plans.means import Means
    from cleveragents.terms.interaction import Interaction


@contextmanager
def opened_house(isolation: str = "") -> Iterator[House]:
    """Open a house over the home that the environment names."""
    house = open_house(os.environ, isolation=isolation)
    try:
        yield house
    finally:
        house.close()


@contextmanager
def opened_means(
    house: House, interaction: Interaction, charter: Charter | None = None
) -> Iterator[Means]:
    """Make what a plan's life is made of; with the credentials that a charter declares."""
    means = house.means(interaction, charter.credentials if charter else None)
    try:
        yield means
    finally:
        means.watch.close()
