"""What a command answers: data for programs, sentences for people, an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

MessageLevel = Literal["info", "warning", "error"]


class Message(NamedTuple):
    """One sentence beside the data; never needed to understand the data."""

    level: MessageLevel
    text: str


class Answer(NamedTuple):
    """The whole answer of one command, before a format is chosen for it.

    A tuple, because ``plan status`` pays for making the class at each start.

    ``data`` is what ``--format json`` prints in the envelope; ``None`` means
    that there is nothing to show, as after an error.
    """

    data: Mapping[str, object] | None
    exit_code: int = 0
    messages: tuple[Message, ...] = ()
