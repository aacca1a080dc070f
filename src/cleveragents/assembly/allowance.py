"""Who limits a run: the plan itself, its session, the day; and what a resume changes."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from cleveragents.assembly.clock import new_id, timestamp
from cleveragents.assembly.house import person
from cleveragents.config.amount import parse_count, parse_usd
from cleveragents.plans import purse
from cleveragents.record import session_row
from cleveragents.record.session_row import SessionRow
from cleveragents.terms.cost import NO_LIMITS, Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.assembly.house import House
    from cleveragents.plans.charter import Charter
    from cleveragents.plans.means import Means
    from cleveragents.runtime.tool_registry import ToolRegistry

OPTIONS = {
    "cost_microusd": "--max-cost",
    "tokens": "--max-tokens",
    "requests": "--max-requests",
    "tool_calls": "--max-tool-calls",
    "seconds": "--max-seconds",
}
"""The option that sets each limit."""


@dataclass(frozen=True, slots=True)
class Typed:
    """The limits that a person typed, unread; ``None`` where nothing was."""

    cost: str | None = None
    tokens: str | None = None
    requests: str | None = None
    tool_calls: str | None = None
    seconds: str | None = None

    def read(self) -> Limits:
        """Give them as limits.

        Raises:
            ConfigurationError: One is no amount; names the option.
        """
        return self.over(NO_LIMITS, none="")

    def over(self, limits: Limits, *, none: str = "none") -> Limits:
        """Give some limits with what was typed in their place.

        Args:
            limits: Those in force.
            none: The word that lifts a limit; empty: no word does.

        Raises:
            ConfigurationError: One is no amount; names the option.
        """
        typed = (self.cost, self.tokens, self.requests, self.tool_calls, self.seconds)
        changed: dict[str, int | None] = {}
        for item, text in zip(fields(Limits), typed, strict=True):
            if text is None:
                continue
            parse = parse_usd if item.name == "cost_microusd" else parse_count
            is_lifted = bool(none) and text == none
            changed[item.name] = None if is_lifted else parse(text, where=OPTIONS[item.name])
        return replace(limits, **changed)

    @property
    def is_empty(self) -> bool:
        """Say whether nothing was typed."""
        return self == Typed()


def session_of(house: House, asked: str | None, workspace: str) -> SessionRow:
    """Give the session that a run belongs to: the one asked for, or the directory's own.

    A directory's own one is not stored yet when no plan was run there.

    Raises:
        UnknownSessionError: No session has the id that was asked for.
    """
    if asked is not None:
        return session_row.get(house.store(), asked)
    own = session_row.of_workspace(house.store(), workspace)
    return own or SessionRow(new_id(), workspace, timestamp())


def chain_of(
    house: House,
    plan_id: str,
    *,
    session_id: str,
    limits: Limits,
    registry: ToolRegistry,
    has_mind: bool,
) -> tuple[str, ...]:
    """Give the accounts of a root plan; none when nobody limits and nothing has a price."""
    per_day = house.settings.budget_per_day
    has_price = has_mind or any(spec.cost_microusd for spec in registry.specs.values())
    session = f"session:{session_id}"
    is_day = has_price or not per_day.is_unlimited
    is_session = has_price or _is_limited(house, session)
    if purse.account_limits(limits).is_unlimited and not is_day and not is_session:
        return ()
    above = ((session, is_session), (f"day:{house.today()}", is_day))
    return (f"plan:{plan_id}", *(name for name, counts in above if counts))


def joined(house: House, means: Means, charter: Charter, *, is_default: bool) -> Charter:
    """Give the charter of a plan that starts, its session and accounts opened.

    Args:
        house: Settings.
        means: The shared parts.
        charter: The plan.
        is_default: It runs in the directory's own session, made with the first plan there.
    """
    if is_default:
        new = SessionRow(charter.session_id, charter.workspace, timestamp())
        row = session_row.create(means.store, new)
        if row != new:
            # Another process was faster: it is that one's.
            names = {new.account: row.account}
            charter = replace(
                charter,
                session_id=row.session_id,
                accounts=tuple(names.get(name, name) for name in charter.accounts),
            )
    open_accounts(house, means, charter.accounts)
    return charter


def open_accounts(house: House, means: Means, accounts: tuple[str, ...]) -> None:
    """Open the accounts of a session and of the day; the day's limits are the settings'."""
    for name in accounts:
        if name.startswith("session:"):
            means.accounts.ensure(name)
        elif name.startswith("day:"):
            means.accounts.set_limits(name, house.settings.budget_per_day)


def amended(
    house: House, means: Means, charter: Charter, typed: Typed, environ: Mapping[str, str]
) -> Charter:
    """Give the charter of a plan that goes on, with the limits and the day of now.

    Args:
        house: Settings and tools.
        means: The shared parts; the plan is owned by this process.
        charter: The plan, as it was amended so far.
        typed: What a person raises or lowers by it.
        environ: Says who.

    Raises:
        ConfigurationError: An amount cannot be understood.
    """
    limits = typed.over(charter.limits)
    accounts = chain_of(
        house,
        charter.plan_id,
        session_id=charter.session_id,
        limits=limits,
        registry=house.tools_of(charter),
        has_mind=bool(charter.mind.endpoints),
    )
    # A chain only grows: what an account has counted is not forgotten.
    accounts = accounts or charter.accounts[:1]
    open_accounts(house, means, accounts)
    if (limits, accounts) == (charter.limits, charter.accounts):
        return charter
    return purse.amend(means, charter, limits=limits, accounts=accounts, who=person(environ))


def _is_limited(house: House, name: str) -> bool:
    rows = house.store().execute(
        "SELECT 1 FROM account WHERE name = ? AND (limit_cost IS NOT NULL OR limit_tokens IS NOT"
        " NULL OR limit_requests IS NOT NULL OR limit_tool_calls IS NOT NULL OR limit_ms IS NOT"
        " NULL)",
        (name,),
    )
    return bool(rows)
