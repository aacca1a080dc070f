"""The host's edge towards the network: dear to load, so opened at its first use."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cleveragents.tools.broker.fetch import Fetch
    from cleveragents.tools.broker.tunnel import Tunnels


def open_fetch() -> Fetch:
    """Give what performs web requests for plans."""
    # httpx is dear to load, and most plans never send a request.
    from cleveragents.tools.broker.fetch import Fetch  # noqa: PLC0415

    return Fetch()


@cache
def open_edge() -> Tunnels:
    """Give what connects for cells; one for the process."""
    # As above.
    from cleveragents.tools.broker.tunnel import Tunnels  # noqa: PLC0415

    return Tunnels()
