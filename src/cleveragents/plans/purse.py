"""What a plan may spend while it lives: its account, its chain, and who changed a limit.

A charter is fixed when its plan starts. What a person raises later stands in
the record beside it (``limits`` entries), and is read with it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from cleveragents.errors import RecordError
from cleveragents.record.entry import Entry
from cleveragents.terms.cost import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.plans.charter import Charter
    from cleveragents.plans.means import Means
    from cleveragents.record.log import RecordLog


def account_limits(limits: Limits) -> Limits:
    """Give the part of a plan's limits that its account keeps.

    Its time is the watch's: children that run side by side would count it twice.
    """
    return replace(limits, seconds=None)


def as_amended(charter: Charter, log: RecordLog) -> Charter:
    """Give a charter as the last ``limits`` entry of its plan changed it.

    Raises:
        RecordError: That entry cannot be read.
    """
    entry = log.last(charter.plan_id, "limits")
    if entry is None:
        return charter
    body = log.resolve(entry.body)
    try:
        limits = Limits(**cast("Mapping[str, int | None]", body["limits"]))
        accounts = tuple(str(name) for name in cast("list[object]", body["accounts"]))
    except (KeyError, TypeError) as error:
        raise RecordError(
            problem=f"a change of the limits of plan {charter.plan_id} cannot be read",
            hint="'agents audit verify' says whether the record was changed",
        ) from error
    return _changed(charter, limits, accounts)


def amend(
    means: Means, charter: Charter, *, limits: Limits, accounts: tuple[str, ...], who: str
) -> Charter:
    """Change what limits a plan, on record, and give its charter as it is now.

    Args:
        means: The shared parts; the plan's root is owned by this process.
        charter: The plan, as it was amended so far.
        limits: Its own limits from now on.
        accounts: Its chain from now on; empty when nobody limits it.
        who: Who changed it.
    """
    before = charter.limits
    with means.store.transaction():
        for key in accounts[:1]:
            means.accounts.set_limits(key, account_limits(limits))
        means.log.append(
            Entry(
                kind="limits",
                root_id=charter.root_id,
                plan_id=charter.plan_id,
                body={
                    "by": who,
                    "before": _mapping(before),
                    "limits": _mapping(limits),
                    "accounts": list(accounts),
                },
            )
        )
    return _changed(charter, limits, accounts)


def child_chain(child_id: str, budget: Limits, above: tuple[str, ...]) -> tuple[str, ...]:
    """Give the accounts of a subplan: its own and its parent's; none when nobody limits.

    >>> child_chain("b", Limits(), ("plan:a",)), child_chain("b", Limits(), ())
    (('plan:b', 'plan:a'), ())
    """
    if not above and account_limits(budget).is_unlimited:
        return ()
    return (f"plan:{child_id}", *above)


def take_up(means: Means, child: Charter, above: tuple[str, ...]) -> Charter:
    """Move a subplan's budget out of its parent's again, and give it the parent's chain of now.

    Args:
        means: The shared parts.
        child: A subplan that goes on.
        above: Its parent's accounts.

    Raises:
        BudgetExceededError: The parent has not that much left.
    """
    accounts = child_chain(child.plan_id, child.limits, above)
    for key in accounts[:1]:
        means.accounts.ensure(key, account_limits(child.limits))
    means.accounts.open_purse(child.plan_id, child.limits, above)
    return replace(child, accounts=accounts)


def give_back(means: Means, charter: Charter) -> None:
    """Hold nothing any more for a plan that does not run: its calls, then its purse."""
    if charter.accounts:
        means.accounts.release_plan(charter.plan_id)
        means.accounts.close_purse(charter.plan_id)


def _changed(charter: Charter, limits: Limits, accounts: tuple[str, ...]) -> Charter:
    # The grant's budget is what children are measured by.
    grant = replace(charter.grant, budget=limits)
    return replace(charter, limits=limits, accounts=accounts, grant=grant)


def _mapping(limits: Limits) -> dict[str, int | None]:
    return {
        "cost_microusd": limits.cost_microusd,
        "tokens": limits.tokens,
        "requests": limits.requests,
        "tool_calls": limits.tool_calls,
        "seconds": limits.seconds,
    }
