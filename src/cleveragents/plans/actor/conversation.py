"""What a model has been told and has said, in the order that it is sent.

Only this module changes the conversation, and it does so by what the record
holds: a replay builds the same one, message by message. A result that no
longer fits is put aside, never lost: the model is told how to read it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cleveragents.terms.digest import digest_value
from cleveragents.terms.model import ModelRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cleveragents.terms.model import ModelReply, ModelTool

MAX_RESULT_CHARS: Final = 60_000
"""Of one result that a model is shown at once; the rest it may read by ``recall_result``."""
WORTH_ELIDING_CHARS: Final = 400
KEPT_RESULTS: Final = 2
"""The newest results are what the model is working with: they stay."""
RECALL: Final = "recall_result"


class Conversation:
    """One plan's conversation with a model.

    Args:
        instructions: What the model is told of itself and its rights.
        tools: What it may call.
        max_output_tokens: Upper bound of each answer.
    """

    def __init__(
        self, instructions: str, tools: tuple[ModelTool, ...], *, max_output_tokens: int
    ) -> None:
        self._instructions = instructions
        self._tools = tools
        self._max_output_tokens = max_output_tokens
        self._messages: list[Mapping[str, object]] = []
        self._new: list[Mapping[str, object]] = []
        self._results: dict[str, str] = {}
        self._places: dict[str, int] = {}
        self._digest = digest_value(
            {
                "instructions": instructions,
                "tools": [[t.name, t.description, t.parameters] for t in tools],
                "max_output_tokens": max_output_tokens,
            }
        )

    @property
    def digest(self) -> str:
        """Of everything that the next request holds."""
        return self._digest

    @property
    def new(self) -> tuple[Mapping[str, object], ...]:
        """What no request has held so far."""
        return tuple(self._new)

    def request(self) -> ModelRequest:
        """The whole of it, to be sent."""
        return ModelRequest(
            instructions=self._instructions,
            messages=tuple(self._messages),
            tools=self._tools,
            max_output_tokens=self._max_output_tokens,
        )

    def say(self, text: str) -> None:
        """Add words of the user or of the runtime."""
        self._add({"role": "user", "text": text})

    def answer(self, reply: ModelReply) -> None:
        """Add what the model answered; the record holds it as an outcome already."""
        self._new.clear()
        self._messages.append({"role": "assistant", "message": reply.message})
        self._turn("assistant", reply.message)

    def result(self, ask_id: str, name: str, call_id: str, text: str, *, is_failed: bool) -> None:
        """Add the result of a call that the model asked for.

        Args:
            ask_id: The provider's name for the call.
            name: The tool.
            call_id: Ours; the result can be read again by it.
            text: The result.
            is_failed: It was refused or failed.
        """
        shown = text
        if len(text) > MAX_RESULT_CHARS:
            self._results[call_id] = text
            shown = text[:MAX_RESULT_CHARS] + _more(call_id, MAX_RESULT_CHARS, len(text))
        elif len(text) > WORTH_ELIDING_CHARS:
            self._results[call_id] = text
        if call_id in self._results:
            self._places[call_id] = len(self._messages)
        self._add({"role": "tool", "id": ask_id, "name": name, "text": shown, "failed": is_failed})

    def recall(self, call_id: str, offset: int) -> str | None:
        """Read an earlier result again, from a character on; ``None`` when there is none."""
        text = self._results.get(call_id)
        if text is None:
            return None
        end = offset + MAX_RESULT_CHARS
        return text[offset:end] + (_more(call_id, end, len(text)) if end < len(text) else "")

    def shrink(self, limit: int, size_of: Callable[[ModelRequest], int]) -> None:
        """Put the oldest results aside until the rest fits.

        Args:
            limit: Tokens that the conversation may have.
            size_of: An upper bound of a request's tokens.
        """
        while size_of(self.request()) > limit and self.elide():
            pass

    def elide(self) -> bool:
        """Put the oldest result aside; False when only the newest are left."""
        if len(self._places) <= KEPT_RESULTS:
            return False
        call_id = next(iter(self._places))
        place = self._places.pop(call_id)
        length = len(self._results[call_id])
        text = f"[{length} characters, put aside: {RECALL}(call_id={call_id!r}) reads them again]"
        self._messages[place] = {**self._messages[place], "text": text}
        self._new.append({"role": "elided", "call_id": call_id})
        self._turn("elided", call_id)
        return True

    def _add(self, message: Mapping[str, object]) -> None:
        self._messages.append(message)
        self._new.append(message)
        self._turn("said", message)

    def _turn(self, kind: str, value: object) -> None:
        self._digest = digest_value([self._digest, kind, value])


def _more(call_id: str, end: int, length: int) -> str:
    return (
        f"\n[{length - end} more characters: {RECALL}(call_id={call_id!r}, offset={end}) reads on]"
    )
