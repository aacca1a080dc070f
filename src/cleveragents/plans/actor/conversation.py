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
MAX_ANSWER_CHARS: Final = 5 * MAX_RESULT_CHARS
"""Of all results of one answer that are shown at once: a model may ask for hundreds."""
MAX_KEPT_CHARS: Final = 64 << 20
"""Of all results that can be read again; the oldest are let go first."""
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
        self._kept_chars = 0
        self._shown_chars = 0
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
        self._shown_chars = 0
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
        is_long = len(text) > WORTH_ELIDING_CHARS
        # What is read again is kept already.
        if is_long and name != RECALL:
            self._keep(call_id, text)
        shown = text
        if is_long and self._shown_chars + min(len(text), MAX_RESULT_CHARS) > MAX_ANSWER_CHARS:
            shown = self._aside(call_id, len(text))
        elif is_long:
            if len(text) > MAX_RESULT_CHARS and name != RECALL:
                shown = text[:MAX_RESULT_CHARS] + _more(call_id, MAX_RESULT_CHARS, len(text))
            self._places[call_id] = len(self._messages)
        self._shown_chars += len(shown)
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
        while (excess := size_of(self.request()) - limit) > 0:
            # By the size of each alone: counted whole every time, hundreds would take minutes.
            while excess > 0:
                oldest = next(iter(self._places.values()), 0)
                before = self._messages[oldest]
                if not self.elide():
                    return
                excess -= size_of(self._alone(before)) - size_of(
                    self._alone(self._messages[oldest])
                )

    def elide(self) -> bool:
        """Put the oldest result aside; False when only the newest are left."""
        if len(self._places) <= KEPT_RESULTS:
            return False
        call_id = next(iter(self._places))
        place = self._places.pop(call_id)
        message = self._messages[place]
        kept = self._results.get(call_id)
        length = len(str(message["text"])) if kept is None else len(kept)
        self._messages[place] = {**message, "text": self._aside(call_id, length)}
        self._new.append({"role": "elided", "call_id": call_id})
        self._turn("elided", call_id)
        return True

    @staticmethod
    def _alone(message: Mapping[str, object]) -> ModelRequest:
        return ModelRequest("", (message,))

    def _keep(self, call_id: str, text: str) -> None:
        self._results[call_id] = text
        self._kept_chars += len(text)
        while self._kept_chars > MAX_KEPT_CHARS:
            self._kept_chars -= len(self._results.pop(next(iter(self._results))))

    def _aside(self, call_id: str, length: int) -> str:
        how = f"{RECALL}(call_id={call_id!r}) reads" if call_id in self._results else "ask for"
        return f"[{length} characters, put aside: {how} them again]"

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
