"""What runs inside the cell; for programs there: ``from cleveragents.guest import Client``."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cleveragents.guest.program_client import Client, FailedError, RefusedError

__all__ = ["Client", "FailedError", "RefusedError"]


def __getattr__(name: str) -> object:
    """Give the client for program actors, loaded when it is named: a cell's start is short."""
    if name in __all__:
        # As above.
        from cleveragents.guest import program_client  # noqa: PLC0415

        return getattr(program_client, name)
    msg = f"module 'cleveragents.guest' has no attribute {name!r}"
    raise AttributeError(msg)
