"""Held before spent: the worst case up the whole chain first, the real use after."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from cleveragents.record import model_spending, spending
from cleveragents.runtime.tool_report import read_report
from cleveragents.terms.cost import NO_LIMITS, Amount, Limits, format_usd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cleveragents.record.account import AccountBook
    from cleveragents.record.store import Store
    from cleveragents.terms.tool import ToolSpec

DAY: Final = "day:"
SESSION: Final = "session:"
NO_VALUE: Final[Mapping[str, object]] = {}


@dataclass(frozen=True, slots=True)
class Bill:
    """What a call cost, and who is to be told."""

    body: Mapping[str, object]
    """For the outcome: the cost, and the accounts that it was booked on; empty for none."""
    warnings: tuple[Mapping[str, object], ...]
    """Bodies of ``budget_warning`` entries; ``text`` is for a person."""


@dataclass(frozen=True, slots=True)
class ModelUse:
    """What one request to a model used."""

    model: str
    amount: Amount
    cached_tokens: int = 0


class CostTracker:
    """Reserves and settles on every account of a plan's chain.

    A plan whose chain has no limit and whose tool has no price keeps no
    account: its calls are counted from the record.

    Args:
        book: The accounts.
        store: Where spending is added up; left out: it is not.
        today: The day whose account is charged, in UTC; left out: the day that
            the chain names, however late it is.
        per_day: The limits of a day's account that is opened at midnight.
    """

    def __init__(
        self,
        book: AccountBook,
        *,
        store: Store | None = None,
        today: Callable[[], str] | None = None,
        per_day: Limits = NO_LIMITS,
    ) -> None:
        self._book = book
        self._store = store
        self._today = today
        self._per_day = per_day
        self._opened: set[str] = set()

    def reserve(
        self,
        accounts: tuple[str, ...],
        spec: ToolSpec,
        *,
        reservation: str,
        worst: Amount | None = None,
    ) -> bool:
        """Hold one call on every account of the chain, all or none.

        Args:
            accounts: Keys from the plan up; empty when nobody limits.
            spec: The tool.
            reservation: Identity of the holding, the plan and call.
            worst: What it uses at most; left out: its declared price.

        Returns:
            Whether anything is held, that is, whether ``settle`` is owed.

        Raises:
            PlanBudgetExceededError: A plan of the chain has not that much left.
            BudgetExceededError: The session or the day has not.
        """
        if not accounts:
            return False
        self._book.reserve(self._of_today(accounts), worst or _worst(spec), reservation)
        return True

    def release(self, *, reservation: str) -> None:
        """Give a holding back: the call did not happen."""
        self._book.release(reservation)

    def settle(
        self,
        spec: ToolSpec,
        *,
        reservation: str,
        milliseconds: int,
        value: Mapping[str, object] = NO_VALUE,
        used: ModelUse | None = None,
    ) -> Bill:
        """Turn the holding into what was used.

        Args:
            spec: The tool; what it declares is booked unless it reports otherwise.
            reservation: As it was reserved.
            milliseconds: How long it took.
            value: Its result; an own tool may report there what the call cost.
            used: What a request to a model used; left out: as declared or reported.
        """
        amount, said = (used.amount, "") if used else self._used(spec, value)
        # A spawn takes as long as its child's own calls, which count already.
        amount = replace(amount, milliseconds=0 if spec.place == "door" else milliseconds)
        settled = self._book.settle(reservation, amount)
        warnings = [
            {
                "event": "nearly_spent",
                "account": one.account,
                "dimension": one.dimension,
                "limit": one.limit,
                "spent": one.spent,
                "text": one.text,
            }
            for one in settled.crossings
        ]
        if said:
            warnings.insert(0, {"event": "reported", "tool": spec.name, "text": said})
        is_counted = amount.cost_microusd or amount.input_tokens or amount.output_tokens
        if not (is_counted or amount.requests):
            return Bill({}, tuple(warnings))
        self._add_up(settled.chain, amount, used)
        body = {
            "cost_microusd": amount.cost_microusd,
            "input_tokens": amount.input_tokens,
            "output_tokens": amount.output_tokens,
            "charged": list(settled.chain),
        }
        return Bill(body, tuple(warnings))

    def _used(self, spec: ToolSpec, value: Mapping[str, object]) -> tuple[Amount, str]:
        """What a call used, and what is to be said about its own report."""
        declared = _worst(spec)
        if spec.origin != "own":
            return declared, ""
        report = read_report(value.get("value"))
        counted = replace(
            declared, input_tokens=report.input_tokens, output_tokens=report.output_tokens
        )
        if report.problem:
            return counted, f"{spec.name} reported {report.problem}: what it declares is booked"
        if report.cost_microusd is None:
            return counted, ""
        counted = replace(counted, cost_microusd=report.cost_microusd)
        if report.cost_microusd <= spec.cost_microusd:
            return counted, ""
        return counted, (
            f"{spec.name} reported {format_usd(report.cost_microusd)} USD and declares"
            f" {format_usd(spec.cost_microusd)} USD a call: what it reported is booked"
        )

    def _add_up(self, chain: tuple[str, ...], amount: Amount, used: ModelUse | None) -> None:
        if self._store is None:
            return
        named = {kind: name for kind, _, name in (key.partition(":") for key in chain[1:])}
        day = named.get("day") or (self._today() if self._today else "")
        plan_id = chain[0].removeprefix("plan:")
        session_id = named.get("session", spending.NO_SESSION)
        spending.book(self._store, day=day, plan_id=plan_id, session_id=session_id, amount=amount)
        if used is not None:
            model_spending.book(
                self._store,
                day=day,
                plan_id=plan_id,
                model=used.model,
                session_id=session_id,
                amount=amount,
                cached_tokens=used.cached_tokens,
            )

    def _of_today(self, accounts: tuple[str, ...]) -> tuple[str, ...]:
        """The chain with the account of the day that it is now, not when the plan began."""
        if self._today is None or not accounts[-1].startswith(DAY):
            return accounts
        key = DAY + self._today()
        if key == accounts[-1]:
            return accounts
        if key not in self._opened:
            self._book.ensure(key, self._per_day)
            self._opened.add(key)
        return (*accounts[:-1], key)


def _worst(spec: ToolSpec) -> Amount:
    return Amount(cost_microusd=spec.cost_microusd, tool_calls=1)
