"""Children that merge together: in file order, after the whole group ended."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cleveragents.errors import MergeConflictError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class GroupEndedError(Exception):
    """A member may not go on: another one has ended the group.

    Not of the public tree: the nursery says what becomes of the member.

    Args:
        reason: In one sentence.
        is_late: The member ended after that; what it made is dropped. Else it
            is kept for a later run.
    """

    def __init__(self, reason: str, *, is_late: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_late = is_late


@dataclass(frozen=True, slots=True)
class MemberEnding:
    """How a member's last attempt ended."""

    failure: str = ""
    """What ends the plan with it; empty for nothing, or when the plan goes on over it."""
    is_waiting: bool = False
    """A person is asked; a later run goes on."""


class Group:
    """A barrier, then a queue: nobody merges before all have ended.

    Args:
        steps: The members' steps, in file order.
        fail_fast: The first failure ends the others.
        end: Ends a running child.
    """

    def __init__(
        self,
        steps: tuple[str, ...],
        *,
        fail_fast: bool = False,
        end: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._order = steps
        self._fail_fast = fail_fast
        self._end = end
        self._running: dict[str, str] = {}
        self._ended: set[str] = set()
        self._merged: set[str] = set()
        self._fallen: set[str] = set()
        self._broken = ""
        self._is_failed = False
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        """Waited on by those who may start, at most as many as have a place."""
        # One each: a member that ends wakes the one whose turn it is, and not all that wait.
        self._turns = {step: threading.Condition(self._lock) for step in steps}
        self._places = {step: place for place, step in enumerate(steps)}
        self._next = 0
        """Of the order: everybody before it has had a turn."""
        self._line = {step: threading.Condition(self._lock) for step in steps}
        self._passed: set[str] = set()
        self._first = 0
        """Of the order: everybody before it has come to the head of the line, or never will."""

    def begin(self, step: str) -> None:
        """Say that a member asks for a place, for its first attempt or another one."""
        with self._changed:
            self._fallen.discard(step)
            self._changed.notify_all()

    def wait_in_line(self, step: str) -> None:
        """Wait until every earlier member has come to its place, so that they start in order."""
        with self._lock:
            self._line[step].wait_for(lambda: self._places[step] <= self._first)

    def pass_on(self, step: str) -> None:
        """Say that a member has come to its place, and the next one may come up."""
        with self._lock:
            self._pass(step)

    def _pass(self, step: str) -> None:
        self._passed.add(step)
        while self._first < len(self._order) and self._order[self._first] in self._passed:
            self._first += 1
        if self._first < len(self._order):
            self._line[self._order[self._first]].notify_all()

    @property
    def is_broken(self) -> bool:
        """Say whether no member may be started any more."""
        with self._lock:
            return bool(self._broken)

    def fall(self, step: str) -> None:
        """Say that a member's attempt ended badly; what follows of it is not known yet."""
        if self._fail_fast:
            with self._changed:
                self._fallen.add(step)

    def check(self, step: str) -> None:
        """Say whether another member may still be started, once that is known.

        Raises:
            GroupEndedError: One of them failed, and the group is ``fail_fast``.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._broken or not self._fallen - {step})
            if self._broken:
                raise GroupEndedError(self._broken, is_late=False)

    def enter(self, step: str, plan_id: str) -> None:
        """Say that a member's child is about to run.

        Raises:
            GroupEndedError: As ``check``.
        """
        with self._changed:
            if self._broken:
                raise GroupEndedError(self._broken, is_late=False)
            self._running[step] = plan_id

    @contextmanager
    def turn(self, step: str) -> Iterator[None]:
        """Wait until every member has ended and every earlier one has had its turn.

        A conflict in one member's turn keeps the later ones for afterwards: what
        a person decides about it is decided about the tree as it is then.

        Raises:
            GroupEndedError: Another member failed or conflicts.
        """
        with self._lock:
            self._running.pop(step, None)
            is_late = self._is_failed
            self._ended.add(step)
            self._wake()
            self._turns[step].wait_for(lambda: self._broken or self._is_turn(step))
            if self._broken:
                raise GroupEndedError(self._broken, is_late=is_late)
        try:
            yield
        except MergeConflictError as conflict:
            with self._lock:
                reason = f"it waits until the conflict of {conflict.plan_id} is settled"
                self._broken = self._broken or reason
            raise
        finally:
            with self._lock:
                self._merged.add(step)
                self._wake()

    def leave(self, step: str, ending: MemberEnding) -> None:
        """Say that a member is done, merged or not; the others need not wait for it.

        One that waits for a person has not ended, and neither has the group:
        what the others made is kept until it has.
        """
        with self._changed:
            self._running.pop(step, None)
            self._ended.add(step)
            self._merged.add(step)
            if ending.is_waiting:
                self._broken = self._broken or f"{step} waits for a person"
            ends_others = bool(ending.failure) and self._fail_fast
            if ends_others:
                self._is_failed = True
                reason = f"{step} failed and the group is fail_fast: {ending.failure}"
                self._broken = self._broken or reason
            self._fallen.discard(step)
            self._pass(step)
            running = tuple(self._running.values()) if ends_others else ()
            self._changed.notify_all()
            self._wake()
        for plan_id in running:
            self._end(plan_id)

    def _is_turn(self, step: str) -> bool:
        # Not after: one that is tried again has had its turn.
        return len(self._ended) == len(self._order) and self._places[step] <= self._next

    def _wake(self) -> None:
        """Wake the one whose turn it is, if it is anybody's; all when the group is broken."""
        while self._next < len(self._order) and self._order[self._next] in self._merged:
            self._next += 1
        if self._broken:
            for waiting in self._turns.values():
                waiting.notify_all()
        elif self._next < len(self._order):
            self._turns[self._order[self._next]].notify_all()


class GroupBook:
    """The open groups of this process, by plan and step.

    Args:
        end: Ends a running child.
    """

    def __init__(self, end: Callable[[str], None] = lambda _: None) -> None:
        self._end = end
        self._groups: dict[tuple[str, str], Group] = {}
        self._lock = threading.Lock()

    def open(self, plan_id: str, steps: tuple[str, ...], *, fail_fast: bool = False) -> None:
        """Announce a group before its members start."""
        group = Group(steps, fail_fast=fail_fast, end=self._end)
        with self._lock:
            for step in steps:
                self._groups[plan_id, step] = group

    def find(self, plan_id: str, step: str) -> Group:
        """The group of a step; one of its own when nothing was announced."""
        with self._lock:
            return self._groups.get((plan_id, step)) or Group((step,))

    def leave(self, plan_id: str, step: str, ending: MemberEnding) -> None:
        """Say that an announced member is done, after its last attempt; see ``Group.leave``."""
        with self._lock:
            group = self._groups.pop((plan_id, step))
        group.leave(step, ending)
