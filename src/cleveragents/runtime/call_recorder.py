"""Written before done: what the door puts into the record about one call."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from cleveragents.record.entry import Entry
from cleveragents.runtime.connection import CONNECT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cleveragents.record.entry import Kind
    from cleveragents.record.log import RecordLog
    from cleveragents.record.redaction import Redactor
    from cleveragents.record.store import Store
    from cleveragents.runtime.asked import Asked
    from cleveragents.runtime.call_context import CallContext
    from cleveragents.runtime.cost_tracker import Bill, CostTracker, ModelUse
    from cleveragents.terms.decision import Allowed, Refusal


class CallRecorder:
    """Decision, outcome and violation of a call, each with what is held for it.

    Args:
        store: For one transaction of a record entry and its holding.
        log: The record.
        tracker: Holds before, settles after.
        redactor: Replaces credential values in what a rule or tool said.
        warn: Tells a person what a limit is about to do to which plan; left
            out: only the record is told.
    """

    def __init__(
        self,
        *,
        store: Store,
        log: RecordLog,
        tracker: CostTracker,
        redactor: Redactor,
        warn: Callable[[str, str], None] | None = None,
    ) -> None:
        self._store = store
        self._log = log
        self._tracker = tracker
        self._redactor = redactor
        self._warn = warn

    def decision(self, asked: Asked, decision: Allowed, *, extra: Mapping[str, object]) -> bool:
        """Put the decision on disk, holding the worst case in the same commit.

        Returns:
            Whether something is held and ``outcome`` has to settle it.

        Raises:
            BudgetExceededError: A limit of the chain does not admit the call;
                nothing was recorded.
        """
        # INVARIANT: the decision is on disk before the effect starts; resume relies on it.
        entry = self._entry(
            "decision",
            asked.context,
            asked.call.call_id,
            {
                "tool": asked.spec.name,
                "arguments": asked.shown,
                **asked.digests,
                "verdict": "allowed",
                "rule": decision.rule,
                "imposed": sorted(decision.imposed),
                **extra,
            },
        )
        # What reaches outside the workspace must not be forgotten by a power cut.
        is_live = asked.context.is_live and asked.may_change(decision)
        is_outside = asked.spec.place == "host" or is_live
        durable = is_outside or asked.spec is CONNECT
        held = False
        if asked.context.accounts:
            with self._store.transaction():
                held = self.hold(asked)
                self._log.append(entry, durable=durable)
        else:
            self._log.append(entry, durable=durable)
        asked.context.journal.note(asked.call.call_id)
        return held

    def apply(self, kind: Kind, plan_id: str, body: Mapping[str, object]) -> None:
        """Put the start or the end of a root plan's apply on disk, whatever the power does."""
        self._log.append(
            Entry(kind=kind, root_id=plan_id, plan_id=plan_id, call_id="apply", body=body),
            durable=True,
        )

    def hold(self, asked: Asked) -> bool:
        """Hold the worst case of a call up its chain of accounts.

        Returns:
            Whether something is held; nothing is where nobody limits.

        Raises:
            BudgetExceededError: A limit of the chain does not admit it.
        """
        return self._tracker.reserve(
            asked.context.accounts,
            asked.spec,
            reservation=asked.reservation,
            worst=asked.worst,
        )

    def outcome(
        self,
        asked: Asked,
        body: Mapping[str, object],
        *,
        milliseconds: int,
        held: bool,
        used: ModelUse | None = None,
    ) -> None:
        """Put the outcome on disk and settle what was held, in one commit.

        Args:
            asked: The call.
            body: How it ended.
            milliseconds: How long it took.
            held: What ``decision`` said.
            used: What a request to a model used.
        """
        entry = self._entry(
            "outcome",
            asked.context,
            asked.call.call_id,
            {"tool": asked.spec.name, **body, "duration_ms": milliseconds},
        )
        if not held:
            self._log.append(entry)
            return
        with self._store.transaction():
            bill = self._settle(asked, body, milliseconds, used)
            self._log.append(entry._replace(body={**entry.body, **bill.body}))
            for warning in bill.warnings:
                self._log.append(
                    self._entry("budget_warning", asked.context, asked.call.call_id, warning)
                )
        if self._warn is not None:
            for warning in bill.warnings:
                self._warn(asked.context.plan_id, str(warning["text"]))

    def give_back(self, asked: Asked, *, held: bool) -> None:
        """Hold nothing any more for a call that came to nothing and is asked anew."""
        if held:
            self._tracker.release(reservation=asked.reservation)

    def _settle(
        self,
        asked: Asked,
        body: Mapping[str, object],
        milliseconds: int,
        used: ModelUse | None,
    ) -> Bill:
        value = body.get("value")
        return self._tracker.settle(
            asked.spec,
            reservation=asked.reservation,
            milliseconds=milliseconds,
            value=value if isinstance(value, dict) else {},
            used=used,
        )

    def violation(
        self,
        context: CallContext,
        call_id: str,
        body: Mapping[str, object],
        refusals: tuple[Refusal, ...],
    ) -> str:
        """Put one refused call on disk: its first refusal, the others beside it.

        Returns:
            When it was recorded.
        """
        first, *others = (self._refusal(refusal) for refusal in refusals)
        stored = self._log.append(
            self._entry("violation", context, call_id, {**body, **first, "refusals": others})
        )
        context.journal.note(call_id)
        return stored.at

    @contextmanager
    def one_commit(self) -> Iterator[None]:
        """Put all that is recorded inside on disk together, or nothing of it."""
        with self._store.transaction():
            yield

    def merge_violation(
        self, context: CallContext, plan_id: str, refusals: tuple[Refusal, ...]
    ) -> None:
        """Put on disk that what a plan made is refused: the context's plan, or a child of it."""
        first, *others = (self._refusal(refusal) for refusal in refusals)
        body = {"tool": "", **first, "refusals": others}
        entry = self._entry("violation", context, "", body)
        self._log.append(entry._replace(plan_id=plan_id))

    def violation_of(
        self, asked: Asked, refusals: tuple[Refusal, ...], extra: Mapping[str, object] | None = None
    ) -> str:
        """The same for a call whose tool is known."""
        body = {
            "tool": asked.spec.name,
            "arguments": asked.shown,
            **asked.digests,
            **(extra or {}),
        }
        return self.violation(asked.context, asked.call.call_id, body, refusals)

    def _refusal(self, refusal: Refusal) -> dict[str, object]:
        return {
            "kind": refusal.kind,
            "rule": refusal.rule,
            "profile": refusal.profile,
            "reason": self._redactor.text(refusal.reason),
            "resource_name": self._redactor.text(refusal.resource_name),
        }

    def _entry(
        self, kind: Kind, context: CallContext, call_id: str, body: Mapping[str, object]
    ) -> Entry:
        return Entry(
            kind=kind,
            root_id=context.root_id,
            plan_id=context.plan_id,
            call_id=call_id,
            body=body,
        )
