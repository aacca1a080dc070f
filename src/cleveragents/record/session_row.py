"""The ``session`` table: plans that share one limit, and a directory's own session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cleveragents.errors import ConfigurationError, UnknownSessionError
from cleveragents.record.entry import Entry

if TYPE_CHECKING:
    from cleveragents.record.log import RecordLog
    from cleveragents.record.store import Store
    from cleveragents.terms.cost import Limits

_SELECT: Final = "SELECT session_id, workspace_dir, created FROM session"
LIVING: Final = ("queued", "processing", "waiting")
"""States of plans that keep their session from being deleted."""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session; its limits and sums are its account's."""

    session_id: str
    workspace_dir: str
    """The directory whose own session it is; empty for one that a person made."""
    created: str
    """RFC 3339, UTC."""

    @property
    def account(self) -> str:
        """The name of its account."""
        return f"session:{self.session_id}"


def list_sessions(store: Store) -> tuple[SessionRow, ...]:
    """Give every session, the newest first."""
    return tuple(SessionRow(*row) for row in store.execute(f"{_SELECT} ORDER BY session_id DESC"))


def get(store: Store, text: str) -> SessionRow:
    """Give the session whose id is, or alone begins with, a text.

    Raises:
        UnknownSessionError: There is none.
        ConfigurationError: It begins several.
    """
    name = text.upper()
    # No id holds anything else, and what is no ASCII may change its length in capitals.
    is_id = name.isascii() and name.isalnum()
    found = (
        store.execute(
            f"{_SELECT} WHERE session_id >= ? AND session_id < ? ORDER BY session_id LIMIT 2",
            (name, name + "~"),
        )
        if is_id
        else []
    )
    if not found:
        raise UnknownSessionError(session_id=text)
    if len(found) > 1:
        raise ConfigurationError(
            problem=f"{text!r} begins the ids of several sessions", hint="give more of it"
        )
    return SessionRow(*found[0])


def of_workspace(store: Store, workspace: str) -> SessionRow | None:
    """Give a directory's own session; ``None`` until a plan was run there."""
    rows = store.execute(f"{_SELECT} WHERE workspace_dir = ?", (workspace,))
    return SessionRow(*rows[0]) if rows else None


def create(store: Store, row: SessionRow) -> SessionRow:
    """Insert a session; for a directory that has its own already, give that one."""
    with store.transaction():
        added = store.change(
            "INSERT INTO session (session_id, workspace_dir, created) VALUES (?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (row.session_id, row.workspace_dir, row.created),
        )
        if added:
            return row
        return of_workspace(store, row.workspace_dir) or get(store, row.session_id)


def delete(store: Store, row: SessionRow) -> None:
    """Forget a session. Its account stays: what was spent was spent.

    Raises:
        ConfigurationError: A plan of it is not over.
    """
    marks = ", ".join("?" * len(LIVING))
    with store.transaction():
        living = store.execute(
            f"SELECT plan_id FROM plan WHERE session_id = ? AND state IN ({marks})"  # noqa: S608  # constants
            " ORDER BY plan_id LIMIT 1",
            (row.session_id, *LIVING),
        )
        if living:
            raise ConfigurationError(
                problem=f"session {row.session_id} has a plan that is not over: {living[0][0]}",
                hint=f"agents plan cancel {living[0][0]}",
            )
        store.change("DELETE FROM session WHERE session_id = ?", (row.session_id,))


def note(log: RecordLog, row: SessionRow, event: str, *, who: str, limits: Limits | None) -> None:
    """Record who made, changed or deleted a session; each has a chain of its own."""
    body: dict[str, object] = {"event": event, "by": who, "workspace": row.workspace_dir}
    if limits is not None:
        body["limits"] = {
            "cost_microusd": limits.cost_microusd,
            "tokens": limits.tokens,
            "requests": limits.requests,
            "tool_calls": limits.tool_calls,
            "seconds": limits.seconds,
        }
    log.append(Entry(kind="session", root_id=row.session_id, plan_id="", body=body))
