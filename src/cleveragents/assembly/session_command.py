"""What ``agents session`` and ``agents cost`` do: one function each, an answer each."""

from __future__ import annotations

import os
import re
from datetime import date
from typing import TYPE_CHECKING, Final

from cleveragents.assembly.clock import new_id, timestamp
from cleveragents.assembly.house import person
from cleveragents.errors import ConfigurationError
from cleveragents.record import model_spending, session_row, spending
from cleveragents.record.account import AccountBook
from cleveragents.record.session_row import SessionRow
from cleveragents.record.session_view import session_brief, session_show
from cleveragents.terms.answer import Answer, Message

if TYPE_CHECKING:
    from cleveragents.assembly.allowance import Typed
    from cleveragents.assembly.house import House
    from cleveragents.terms.cost import Limits

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def create(house: House, typed: Typed) -> Answer:
    """Make a session with limits.

    Raises:
        ConfigurationError: A limit is no amount.
    """
    limits = typed.read()
    row = SessionRow(new_id(), "", timestamp())
    with house.store().transaction():
        session_row.create(house.store(), row)
        _set(house, row, "created", limits)
    text = f"agents plan run FILE --session {row.session_id}"
    return Answer(
        data=session_show(house.store(), row), messages=(Message("info", f"next: {text}"),)
    )


def list_sessions(house: House) -> Answer:
    """List the sessions, newest first."""
    rows = session_row.list_sessions(house.store())
    return Answer(data={"sessions": [session_brief(house.store(), row) for row in rows]})


def show(house: House, session_id: str) -> Answer:
    """Show a session with its plans.

    Raises:
        UnknownSessionError: There is none of that id.
    """
    return Answer(data=session_show(house.store(), session_row.get(house.store(), session_id)))


def edit(house: House, session_id: str, typed: Typed) -> Answer:
    """Change the limits of a session; what was not named stays.

    Raises:
        UnknownSessionError: There is none of that id.
        ConfigurationError: Nothing is named, or a limit is no amount.
    """
    if typed.is_empty:
        raise ConfigurationError(
            problem="nothing to change is named", hint="such as --max-cost 10, or --max-cost none"
        )
    store = house.store()
    row = session_row.get(store, session_id)
    with store.transaction():
        book = AccountBook(store)
        book.ensure(row.account)
        _set(house, row, "edited", typed.over(book.snapshot(row.account).limits))
    return Answer(data=session_show(store, row))


def delete(house: House, session_id: str) -> Answer:
    """Forget a session.

    Raises:
        UnknownSessionError: There is none of that id.
        ConfigurationError: A plan of it is not over.
    """
    store = house.store()
    row = session_row.get(store, session_id)
    data = session_show(store, row)
    with store.transaction():
        session_row.delete(store, row)
        session_row.note(house.log(), row, "deleted", who=person(os.environ), limits=None)
    text = f"session {row.session_id} is deleted; its plans and their record stay"
    return Answer(data=data, messages=(Message("info", text),))


def cost(house: House, by: str, since: str | None) -> Answer:
    """Add up what was spent.

    Raises:
        ConfigurationError: ``since`` is no day.
    """
    first = _day(since)
    if by == "model":
        return Answer(data=model_spending.report(house.store(), since=first))
    return Answer(data=spending.report(house.store(), by=by, since=first))


def _set(house: House, row: SessionRow, event: str, limits: Limits) -> None:
    AccountBook(house.store()).set_limits(row.account, limits)
    session_row.note(house.log(), row, event, who=person(os.environ), limits=limits)


def _day(text: str | None) -> str:
    if text is None:
        return ""
    try:
        is_day = bool(_DAY.fullmatch(text) and date.fromisoformat(text))
    except ValueError:
        is_day = False
    if not is_day:
        raise ConfigurationError(
            problem=f"{text[:40]!r} is no day", where="--since", hint="write it like 2026-01-31"
        )
    return text
