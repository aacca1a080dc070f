"""What the hostile program does when it is told to do one thing: a message, a tree, a burden."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.probes.hostile import ask, burden, message, tree

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> None:
    """Do what the first argument says with what the others say."""
    kind, *rest = arguments
    match kind:
        case "message":
            message.main(rest[0])
        case "tree":
            tree.leave(rest[0], rest[1])
        case "burden":
            burden.BURDENS[rest[0]](int(rest[1]))
        case "ask":
            ask.main(rest[0])
        case "spend":
            ask.spend(int(rest[0]))
        case "codes":
            ask.show_codes()
        case _:
            raise ValueError(kind)
