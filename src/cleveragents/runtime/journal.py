"""What the record already says of a plan's calls, so that nothing is done twice.

The record is the journal (law 4). A call is found by its identity; a call of
the same identity with other arguments, or of a tool that has changed, is not a
fresh call but an error.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from cleveragents.errors import RecordError
from cleveragents.terms.connection import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.record.entry import StoredEntry
    from cleveragents.record.log import RecordLog

FINAL_VIOLATIONS = frozenset({"tool_access_denied", "security_boundary", "delegation_refused"})
"""Refusals that are replayed; a budget refusal is asked anew (law 4)."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What is recorded of one call."""

    decision: Mapping[str, object] | None = None
    outcome: Mapping[str, object] | None = None
    violation: Mapping[str, object] | None = None
    at: str = ""
    """When the outcome or the violation was recorded."""
    position: int = 0
    """Where the decision stands in the plan's chain."""

    @property
    def is_unfinished(self) -> bool:
        """Say whether the call was let in and never ended."""
        return self.decision is not None and self.outcome is None and self.violation is None


_NOTHING: Final = Trace()


class Journal:
    """The calls of one plan; opened when the plan starts or resumes.

    The identities are read once: only the plan's owner adds calls, and the
    owner goes through ``note``. A fresh plan's lookup is a set membership.
    """

    def __init__(self, log: RecordLog, plan_id: str, *, is_fresh: bool) -> None:
        self._log = log
        self._plan_id = plan_id
        self._known: set[str] = set() if is_fresh else log.call_ids(plan_id)
        numbers = (name.removeprefix(PREFIX) for name in self._known if name.startswith(PREFIX))
        self._connections = itertools.count(1 + max(map(int, numbers), default=0))

    def note(self, call_id: str) -> None:
        """Remember that something of this call is in the record."""
        self._known.add(call_id)

    def next_connection(self) -> str:
        """Give a connection an identity that nothing in the record has; for any thread."""
        return f"{PREFIX}{next(self._connections)}"

    def has_connected(self, *, since: int) -> bool:
        """Say whether a connection of a cell was let in after a place in the plan's chain."""
        return any(
            entry.kind == "decision" and entry.position > since
            for name in sorted(self._known)
            if name.startswith(PREFIX)
            for entry in self._log.call_entries(self._plan_id, name)
        )

    def find(self, call_id: str, *, tool: str, arguments_digest: str, tool_digest: str) -> Trace:
        """Read what is recorded of a call; an empty trace when nothing is.

        Raises:
            RecordError: The same identity was recorded with another tool,
                other arguments or another version of the tool.
        """
        if call_id not in self._known:
            return _NOTHING
        trace = _NOTHING
        for entry in self._log.call_entries(self._plan_id, call_id):
            body = self._log.resolve(entry.body)
            if entry.kind in {"decision", "violation", "approval_requested"}:
                self._compare(entry, body, tool, arguments_digest, tool_digest)
            trace = _add(trace, entry, body)
        return trace

    def _compare(
        self,
        entry: StoredEntry,
        body: Mapping[str, object],
        tool: str,
        arguments_digest: str,
        tool_digest: str,
    ) -> None:
        was = (body.get("tool"), body.get("arguments_digest"), body.get("tool_digest"))
        now = (tool, arguments_digest, tool_digest)
        if was != now:
            names = ("tool", "arguments", "definition of the tool")
            changed = [n for n, a, b in zip(names, was, now, strict=True) if a != b]
            raise RecordError(
                problem=f"call {entry.call_id} of plan {self._plan_id} was recorded with"
                f" another {' and another '.join(changed)}",
                hint="a changed plan is a new plan: start it with 'agents plan run'",
            )


def _add(trace: Trace, entry: StoredEntry, body: Mapping[str, object]) -> Trace:
    match entry.kind:
        case "decision":
            return Trace(decision=body, at=entry.at, position=entry.position)
        case "outcome":
            return replace(trace, outcome=body, at=entry.at)
        case "violation" if body.get("kind") in FINAL_VIOLATIONS:
            return replace(trace, violation=body, at=entry.at)
        case _:
            return trace
