"""Decisions in the record: once each, within limits, seen by their own plan only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from cleveragents.errors import ConfigurationError
from cleveragents.plans.decision_book import (
    MAX_ALTERNATIVE,
    MAX_ALTERNATIVES,
    MAX_CALLS,
    MAX_NAME,
    MAX_REASON,
    MAX_TEXT,
    Choice,
    DecisionBook,
)
from cleveragents.record import plan_row
from cleveragents.record.body import MAX_INLINE_BYTES
from cleveragents.record.decision_tree_view import MAX_NESTING, nest, plan_decisions
from cleveragents.record.redaction import Redactor
from tests.record.desk import CHILD, ROOT, Desk

if TYPE_CHECKING:
    from typing import Any

SECRET = "sk-hidden-value"
FIRST = Choice(key="ignored", question="how?", choice="so", by="person")


@dataclass(frozen=True)
class Ids:
    plan_id: str = ROOT
    root_id: str = ROOT


def book(desk: Desk) -> DecisionBook:
    return DecisionBook(desk.log, Redactor({"KEY": SECRET}), lock=desk.store.lock)


def choice(key: str, **more: Any) -> Choice:
    return replace(Choice(key=key, question=f"q {key}?", choice=f"c {key}"), **more)


def test_a_decision_has_a_short_id_and_belongs_to_the_first(any_desk: Desk) -> None:
    any_desk.own()
    one = book(any_desk)
    one.begin(Ids(), FIRST, is_fresh=True)
    assert one.record(Ids(), choice("a")) == "d2"
    assert one.record(Ids(), choice("b", parent="d2", calls=("x",))) == "d3"
    one.conclude(Ids(), "d3", "merged")
    found = one.listing(ROOT)
    assert [(d.decision_id, d.parent, d.by) for d in found] == [
        ("d1", "", "person"),
        ("d2", "d1", "actor"),
        ("d3", "d2", "actor"),
    ]
    assert found[2].outcome == "merged"
    assert found[2].calls == ("x",)


def test_the_same_key_is_answered_from_the_record(any_desk: Desk) -> None:
    any_desk.own()
    one = book(any_desk)
    one.begin(Ids(), FIRST, is_fresh=True)
    one.record(Ids(), choice("a"))
    one.conclude(Ids(), "d2", "failed")
    count = len(any_desk.log.entries(plan_id=ROOT))
    # Another process, and something else is said under the same key.
    other = book(any_desk)
    other.begin(Ids(), replace(FIRST, choice="otherwise"), is_fresh=False)
    assert other.record(Ids(), choice("a", choice="otherwise")) == "d2"
    other.conclude(Ids(), "d2", "failed")
    assert len(any_desk.log.entries(plan_id=ROOT)) == count
    assert [d.choice for d in other.listing(ROOT)] == ["so", "c a"]
    other.conclude(Ids(), "d2", "merged")
    assert book(any_desk).listing(ROOT)[1].outcome == "merged"
    assert other.record(Ids(), choice("b")) == "d3"


def test_what_is_forgotten_is_read_again(desk: Desk) -> None:
    desk.own()
    one = book(desk)
    one.record(Ids(), choice("a"))
    one.forget(ROOT)
    one.forget("nobody")
    assert one.record(Ids(), choice("a")) == "d1"
    assert one.find_key(ROOT, "a") == "d1"
    assert one.find_key(ROOT, "b") == ""
    assert one.find(ROOT, "d1") == one.listing(ROOT)[0]
    assert one.find(ROOT, "d2") is None


def test_each_plan_has_its_own(desk: Desk) -> None:
    desk.own()
    one = book(desk)
    one.record(Ids(), choice("a"))
    assert one.record(Ids(plan_id=CHILD), choice("a")) == "d1"
    assert [d.key for d in one.listing(CHILD)] == ["a"]
    with pytest.raises(ConfigurationError, match="no decision 'd2'"):
        one.conclude(Ids(plan_id=CHILD), "d2", "x")


def test_a_spawn_is_found_by_any_attempt_of_its_call(desk: Desk) -> None:
    desk.own()
    one = book(desk)
    one.record(Ids(), choice("spawn:docs"))
    assert one.find_spawn(ROOT, "docs~3") == "d1"
    assert one.find_spawn(ROOT, "other") == ""


def test_a_secret_is_nowhere_in_it(desk: Desk) -> None:
    desk.own()
    one = book(desk)
    said = choice(
        f"k {SECRET}",
        question=SECRET,
        choice="x" * (MAX_TEXT - 4) + SECRET,
        alternatives=(SECRET,),
        reason=SECRET,
        calls=(SECRET,),
    )
    name = one.record(Ids(), said)
    assert one.record(Ids(), said) == name
    one.conclude(Ids(), name, SECRET)
    bodies = str([entry.body for entry in desk.log.entries(plan_id=ROOT)])
    assert "[redacted:KEY]" in bodies
    # Redacted before it is cut: no half of it stays either.
    assert "sk-h" not in bodies


@pytest.mark.parametrize("letter", ["x", "\U0001f600", "\x01"])
def test_it_is_cut_so_that_its_row_holds_all_of_it(desk: Desk, letter: str) -> None:
    desk.own()
    text = letter * 3 * MAX_INLINE_BYTES
    name = book(desk).record(
        Ids(),
        choice("a", question=text, choice=text, alternatives=(text,) * 99, reason=text, calls=("c" * 999,) * 999),
    )  # fmt: skip
    book(desk).conclude(Ids(), name, text)
    desk.plan()
    (found,) = plan_decisions(desk.store, plan_row.get(desk.store, ROOT))
    assert len(found["question"]) == len(found["choice"]) == MAX_TEXT
    assert [len(one) for one in found["alternatives"]] == [MAX_ALTERNATIVE] * MAX_ALTERNATIVES
    assert len(found["reason"]) == MAX_REASON
    assert [len(one) for one in found["calls"]] == [MAX_NAME] * MAX_CALLS


def test_nesting_has_an_end(desk: Desk) -> None:
    desk.own()
    one, parent = book(desk), ""
    for number in range(3 * MAX_NESTING):
        parent = one.record(Ids(), choice(str(number), parent=parent))
    one.record(Ids(), choice("stray", parent="d999"))
    desk.plan()
    tree = nest(plan_decisions(desk.store, plan_row.get(desk.store, ROOT)))
    seen, depth, level = 0, 0, tree
    while level:
        seen, depth = seen + len(level), depth + 1
        level = [below for item in level for below in item["decisions"]]
    assert (seen, depth) == (3 * MAX_NESTING + 1, MAX_NESTING)
    assert [top["decision_id"] for top in tree] == ["d1", f"d{3 * MAX_NESTING + 1}"]


def test_an_answer_of_a_person_is_a_decision(any_desk: Desk) -> None:
    any_desk.own()
    any_desk.plan(state="waiting")
    one = book(any_desk)
    one.record(Ids(), FIRST)
    for allow, who in ((True, "ann"), (False, "")):
        any_desk.approvals.record_verdict(
            root_id=ROOT, plan_id=ROOT, call_id="build", digest="sha256:a", allow=allow, who=who
        )
    _, yes, no = plan_decisions(any_desk.store, plan_row.get(any_desk.store, ROOT))
    assert (yes["decision_id"], yes["choice"], yes["alternatives"]) == ("a1", "yes", ["no"])
    assert (yes["by"], yes["who"], yes["calls"], yes["parent"]) == (
        "person",
        "ann",
        ["build"],
        "d1",
    )
    assert (no["decision_id"], no["choice"], no["who"]) == ("a2", "no", None)
