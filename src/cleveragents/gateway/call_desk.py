"""What a client asks for becomes a call of the gateway's plan, and its end an answer.

Every call gets an id of its own, ``call-1`` and so on. One that waits for a
person keeps its id: the same call, asked again, is that call.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, cast

from cleveragents.errors import (
    ApprovalPendingError,
    CleverAgentsError,
    RecordError,
)
from cleveragents.terms.call import ToolCall
from cleveragents.terms.digest import digest_value
from cleveragents.tools.mcp_text import plain_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cleveragents.gateway.live_hands import LiveHands, Turn
    from cleveragents.terms.call import CallResult

MAX_SENTENCE: Final = 2_000
"""Characters of what is said about a call that did not do what it was asked for."""
UNKNOWN_TOOL: Final = "registry"
"""The rule that refuses a name that no tool has."""
MAX_WAITING: Final = 1_000
"""Calls that wait for a person and are remembered; the oldest is forgotten first."""


class Caller(Protocol):
    """The executor of the gateway's plan, as its client uses it."""

    def call(self, call: ToolCall) -> CallResult:
        """Take one call through the door."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the client is told about a call."""

    value: Mapping[str, object]
    """What the tool gave; empty when it failed or was refused."""
    problem: str = ""
    """One sentence; empty when the tool did what it was asked for."""
    is_unknown: bool = False
    """There is no tool of that name."""


class CallDesk:
    """Takes the calls of one gateway. Called from any thread.

    Args:
        plan_id: The gateway's plan.
        caller: Its executor.
        hands: Its cells.
        rule_of: Which rule refused a call, as the record has it.
        on_fatal: Told when no further call can be taken.
    """

    def __init__(
        self,
        plan_id: str,
        caller: Caller,
        hands: LiveHands,
        *,
        rule_of: Callable[[str], str],
        on_fatal: Callable[[], None],
    ) -> None:
        self._plan_id = plan_id
        self._caller = caller
        self._hands = hands
        self._rule_of = rule_of
        self._on_fatal = on_fatal
        self._lock = threading.Lock()
        self._number = 0
        self._waiting: dict[str, str] = {}
        self.fatal: RecordError | None = None
        """Why the record cannot be relied on; then the plan ends."""

    def call(self, tool: str, arguments: Mapping[str, object], turn: Turn) -> Told:
        """Take one call, and say how it ended. Nothing is raised for what a client sent."""
        key = _key(tool, arguments)
        call = ToolCall(
            step=self._step(key),
            tool=tool,
            # Not an object of JSON: the door records it and says so.
            arguments=arguments if key else cast("Mapping[str, object]", None),
        )
        try:
            with self._hands.turn(turn, tool, call.call_id):
                return Told(self._caller.call(call).value)
        except ApprovalPendingError:
            self._wait(key, call.step)
            return Told({}, self._pending(call))
        except RecordError as error:
            self.fatal = error
            self._on_fatal()
            return Told({}, _sentence(error, ""))
        except CleverAgentsError as error:
            rule = self._rule_of(call.call_id)
            return Told({}, _sentence(error, rule), is_unknown=rule == UNKNOWN_TOOL)

    def _step(self, key: str) -> str:
        with self._lock:
            # Taken out: of two that ask the same at once, one is the call that was approved.
            known = self._waiting.pop(key, "")
            if known:
                return known
            self._number += 1
            return f"call-{self._number}"

    def _wait(self, key: str, step: str) -> None:
        with self._lock:
            self._waiting[key] = step
            while len(self._waiting) > MAX_WAITING:
                del self._waiting[next(iter(self._waiting))]

    def _pending(self, call: ToolCall) -> str:
        return (
            f"{ApprovalPendingError.code}: {call.tool} waits for a person;"
            f" 'agents plan approve {self._plan_id} {call.call_id}' admits exactly this call,"
            " and asked again as it was it then runs"
        )


def _key(tool: str, arguments: Mapping[str, object]) -> str:
    """Name a call by what it asks for; empty when that is no JSON."""
    try:
        json.dumps([tool, arguments], allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, TypeError, RecursionError):
        return ""
    return digest_value([tool, arguments])


def _sentence(error: CleverAgentsError, rule: str) -> str:
    text = f"{error.code}: {error.message}" + (f" (rule {rule})" if rule else "")
    return plain_text(text, MAX_SENTENCE, is_line=True)
