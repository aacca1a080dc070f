"""Random trees of plans: nobody gains a right, every no is on record, the tree is the merge."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cleveragents import decide
from cleveragents.config.plan_file import parse_plan
from cleveragents.errors import (
    DelegationError,
    MergeConflictError,
    MergeRefusedError,
    RefusalError,
    SubplanRefusedError,
)
from cleveragents.plans.charter import Charter, Conduct, Isolation, read_charter
from cleveragents.policy.grant import Grant, digest, grant_from_mapping, to_mapping
from cleveragents.policy.profile import BUILT_IN as PROFILES
from cleveragents.record import plan_row
from cleveragents.terms.decision import Allowed
from cleveragents.terms.plan import DelegationRequest
from cleveragents.tools.catalog import BUILT_IN
from features.doubles.in_memory_house import EVIL, Disk, KilledError, host, service, three_way

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.plans.means import Means

# -- rights -----------------------------------------------------------------------

TOOLS = ("read_file", "write_file", "fetch_url", "send_request", "spawn_subplan")
PATHS = (".", "a/", "a/x", "b/", "top")
HOSTS = ("*", "example.com", "*.example.com", "127.0.0.1")
NAMES = ("ONE", "TWO")
LENGTHS = (5, 50)
PROBES: list[tuple[str, Mapping[str, Any]]] = [
    *(("read_file", {"path": p}) for p in ("a/x", "a/y", "b/x", "top", "../x", "/etc/passwd")),
    *(("write_file", {"path": p, "content": c})
      for p in ("a/x", "b/x", "top") for c in ("", "x" * 9, "x" * 99)),
    *(("fetch_url", {"url": u}) for u in ("http://example.com/", "http://a.example.com/", "http://127.0.0.1/")),
    *(("send_request", {"url": "http://example.com/", "method": "GET", "headers": {"h": f"${{credential:{n}}}"}})
      for n in NAMES),
]  # fmt: skip


def some(*values: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), unique=True, max_size=len(values)).map(tuple)


REQUESTS = st.builds(
    DelegationRequest,
    tools=some(*TOOLS),
    read=some(*PATHS),
    write=some(*PATHS),
    hosts=some(*HOSTS),
    credentials=some(*NAMES),
    where=st.sampled_from(
        [{}, *({"write_file": {"properties": {"content": {"maxLength": n}}}} for n in LENGTHS)]
    ),
    depth=st.integers(0, 3),
)


def rights(grant: Grant) -> frozenset[int]:
    """Which of the probes a subplan of this grant may do."""
    return frozenset(
        index
        for index, (tool, arguments) in enumerate(PROBES)
        if isinstance(
            decide(BUILT_IN[tool], arguments, profile=PROFILES["unrestricted"], grant=grant),
            Allowed,
        )
    )


def ceiling_rights(grant: Grant) -> frozenset[int]:
    """Which of the probes it may hand on."""
    own = grant.delegates
    as_grant = Grant.root(
        tools=own.tools, effects=own.effects, read=own.read, write=own.write, hosts=own.hosts,
        credentials=own.credentials, where=own.where,
    )  # fmt: skip
    return rights(as_grant)


class Rights(RuleBasedStateMachine):
    """Grants only: spawn, delegate, retry, resume."""

    plans = Bundle("plans")

    @initialize(target=plans, read_only=st.booleans(), depth=st.integers(0, 4))
    def root(self, read_only: bool, depth: int) -> tuple[Grant, ...]:
        wide = Grant.root(tools=TOOLS, credentials=NAMES, hosts=("*",), depth=depth)
        if not read_only:
            return (wide,)
        # A coordinator that may read and hands on writing in one place.
        handing = Grant.root(tools=TOOLS, write=["a/"], read=["."], credentials=["ONE"]).delegates
        narrow = Grant.root(tools=["read_file", "spawn_subplan"], write=[], hosts=[], depth=depth,
                            delegates=handing)  # fmt: skip
        return (narrow,)

    @rule(target=plans, line=plans, request=REQUESTS)
    def spawn(self, line: tuple[Grant, ...], request: DelegationRequest) -> tuple[Grant, ...]:
        parent = line[-1]
        try:
            child = parent.attenuate(request)
        except DelegationError as error:
            if not error.excesses:
                raise AssertionError from error
            return line
        assert child != parent
        assert child.depth_left < parent.depth_left
        for ancestor in line:
            assert rights(child) <= ceiling_rights(ancestor)
            assert ceiling_rights(child) <= ceiling_rights(ancestor)
        # A retry is the same again, and so is what a resume reads back.
        assert parent.attenuate(request) == child
        assert grant_from_mapping(to_mapping(child)) == child
        assert digest(grant_from_mapping(to_mapping(child))) == digest(child)
        return (*line, child)


def test_no_grant_holds_what_an_ancestor_could_not_hand_on() -> None:
    run_state_machine_as_test(
        Rights, settings=settings(max_examples=60, stateful_step_count=12, derandomize=True,
                                  deadline=None, database=None, suppress_health_check=list(HealthCheck)),
    )  # fmt: skip


# -- lives ------------------------------------------------------------------------

FILES = ("a/x", "a/y", "b/x", "top")
WRITES = (".", "a/", "b/", "a/x")
PLAN_TOOLS = ("read_file", "write_file", "spawn_subplan")
ON = st.sampled_from(["continue", "continue", "continue", "fail"])
CONTENTS = st.sampled_from(["1", "2", "3", EVIL + "top", EVIL + "b/evil"])


def mostly(usual: tuple[str, ...], *values: str) -> st.SearchStrategy[list[str]]:
    """The usual names three times of four, else any of them."""
    rare = some(*values)
    return st.one_of(st.just(usual), st.just(usual), st.just(usual), rare).map(list)


@st.composite
def tool_steps(draw: st.DrawFn) -> dict[str, Any]:
    path = draw(st.sampled_from(FILES))
    if draw(st.sampled_from([False, False, True])):
        return {
            "tool": "read_file",
            "args": {"path": path},
            "on_denied": draw(ON),
            "on_error": "continue",
        }
    args = {"path": path, "content": draw(CONTENTS)}
    return {"tool": "write_file", "args": args, "on_denied": draw(ON)}


@st.composite
def subplans(draw: st.DrawFn, depth: int) -> dict[str, Any]:
    delegate: dict[str, Any] = {
        "tools": draw(mostly(PLAN_TOOLS, *PLAN_TOOLS)),
        "read": draw(mostly((".",), *WRITES)),
        "write": draw(mostly((".",), *WRITES)),
        "depth": draw(st.sampled_from([depth - 1, depth - 1, depth - 1, 0, 2])),
    }
    body = {
        "name": "child",
        "delegate": delegate,
        "steps": draw(steps(depth - 1)),
        "merge_strategy": draw(
            st.sampled_from(["git_three_way", "git_three_way", "last_wins", "fail_on_conflict"])
        ),
    }
    return {"subplan": body, "on_denied": draw(ON), "on_error": "continue"}


def is_within(path: str, entries: list[str]) -> bool:
    return any(one in (".", path) or (one[-1] == "/" and path.startswith(one)) for one in entries)


def steps(depth: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    one: st.SearchStrategy[dict[str, Any]] = tool_steps()
    if depth > 0:
        members = st.lists(subplans(depth), min_size=2, max_size=3)
        groups = st.builds(
            lambda members, fast: {"parallel": members, "fail_fast": fast}, members, st.booleans()
        )
        one = st.one_of(groups, subplans(depth), one)
    return st.lists(one, min_size=1, max_size=3)


class Lives(RuleBasedStateMachine):
    """Whole plans, over the real lifecycle, door, merge and record."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = Disk(Path(tempfile.mkdtemp(prefix="lives-")))
        self.root_id = ""
        self.is_cancelled = False

    @property
    def is_conflicted(self) -> bool:
        with host(self.disk) as means:
            return bool(means.log.entries(kind="conflict"))

    def teardown(self) -> None:
        shutil.rmtree(self.disk.root)

    @initialize(plan=steps(2), killed_after=st.one_of(st.none(), st.integers(3, 60)))
    def begin(self, plan: list[dict[str, Any]], killed_after: int | None) -> None:
        loaded = parse_plan({"name": "root", "steps": plan}, name="plan", base=Path())
        self.root_id = self.disk.new_id()
        profiles = (PROFILES["unrestricted"],)
        self.charter = Charter(
            plan_id=self.root_id, root_id=self.root_id, name="root", definition=loaded.raw,
            grant=Grant.root(tools=BUILT_IN, depth=2), profiles=profiles, child_profiles=profiles,
            conduct=Conduct(max_parallel=2), isolation=Isolation("memory", True, False),
            base_tree=self.disk.git.keep({"top": "0", "a/x": "0"}),
        )  # fmt: skip
        self.go(killed_after)

    @rule(killed_after=st.one_of(st.none(), st.integers(1, 40)))
    def go_on(self, killed_after: int | None) -> None:
        self.go(killed_after)

    def go(self, killed_after: int | None) -> None:
        with host(self.disk, killed_after=killed_after) as means:
            rows = plan_row.of_root(means.store, self.root_id)
            try:
                if not rows:
                    service(means).start_root(self.charter, left_out=[])
                elif not self.is_cancelled and rows[0].state != "complete":
                    service(means).resume_root(self.root_id)
            except KilledError:
                pass

    @precondition(lambda self: self.is_conflicted)
    @rule(take=st.sampled_from(["ours", "theirs", "base"]))
    def settle(self, take: str) -> None:
        with host(self.disk) as means:
            for row in plan_row.of_root(means.store, self.root_id):
                for one in means.conflicts.open_conflicts(row.plan_id):
                    with means.owned(self.root_id):
                        means.conflicts.resolve(
                            read_charter(means.log, row.plan_id), one.path, take=take
                        )

    @precondition(lambda self: len(self.disk.effects) > 4)
    @rule()
    def cancel(self) -> None:
        with host(self.disk) as means:
            rows = plan_row.of_root(means.store, self.root_id)
            if rows and rows[0].state not in {"complete", "errored", "cancelled"}:
                self.is_cancelled = True
                service(means).cancel_unowned(self.root_id)

    @invariant()
    def holds(self) -> None:
        with host(self.disk) as means:
            rows = {row.plan_id: row for row in plan_row.of_root(means.store, self.root_id)}
            charters = {plan_id: read_charter(means.log, plan_id) for plan_id in rows}
            self._nobody_gained(charters)
            self._every_no_is_on_record(means)
            spawned = [(e.plan_id, e.call_id) for e in means.log.entries(kind="spawn")]
            assert len(spawned) == len(set(spawned)), "spawned twice"
            for plan_id, row in rows.items():
                assert len(means.log.entries(plan_id=plan_id, kind="plan_started")) == 1
                if row.state in {"complete", "errored"} and row.outcome != "cancelled":
                    self._tree_is_the_merge(means, charters[plan_id])

    def _nobody_gained(self, charters: Mapping[str, Charter]) -> None:
        for plan_id, tool, path in self.disk.effects:
            charter = charters[plan_id]
            while charter.parent_id:
                # Out of what was asked for, word by word; not out of any grant.
                asked: Mapping[str, Any] = charter.definition["delegate"]  # type: ignore[assignment]  # written by this test
                assert tool in asked.get("tools", ())
                paths = list(asked.get("write", ()))
                if tool == "read_file":
                    paths += asked.get("read", ())
                assert is_within(path, paths)
                charter = charters[charter.parent_id]

    def _every_no_is_on_record(self, means: Means) -> None:
        found = {(e.plan_id, e.call_id) for e in means.log.entries(kind="violation")}
        for plan_id, call_id, error in self.disk.refused:
            if isinstance(error, MergeRefusedError):
                assert (error.plan_id, "") in found
            elif isinstance(error, RefusalError) and not isinstance(error, SubplanRefusedError):
                assert (plan_id, call_id) in found, error
            elif isinstance(error, MergeConflictError):
                assert means.log.entries(kind="conflict")

    def _tree_is_the_merge(self, means: Means, charter: Charter) -> None:
        """Do in a dictionary, entry by entry, what the record says; the tree must be that."""
        proposal = means.proposals.read(charter.plan_id)
        if proposal is None or proposal.refused:
            return
        trees, log = self.disk.git.trees, means.log
        files = dict(trees[charter.base_tree])
        decided: dict[str, Any] = {}
        merged: list[str] = []
        for entry in log.entries(plan_id=charter.plan_id):
            body: Any = log.resolve(entry.body)
            if entry.kind == "decision":
                decided[entry.call_id] = body
            elif (
                entry.kind == "outcome"
                and body["status"] == "done"
                and body["tool"] == "write_file"
            ):
                arguments = decided[entry.call_id]["arguments"]
                files[arguments["path"]] = arguments["content"]
                if arguments["content"].startswith(EVIL):
                    files[arguments["content"].removeprefix(EVIL)] = arguments["content"]
            elif entry.kind == "merge" and not body.get("done"):
                intent = body
            elif entry.kind == "merge":
                merged.append(body["subplan_id"])
                offered = means.proposals.read(body["subplan_id"])
                assert offered is not None
                assert not offered.refused
                child = read_charter(log, body["subplan_id"])
                asked: Any = child.definition["delegate"]
                for change in offered.changes:
                    assert is_within(change.path, asked.get("write", []))
                clean, clashes = three_way(trees[offered.base_tree], files, trees[offered.tree])
                chosen = means.conflicts.resolutions(charter.plan_id, entry.call_id)
                for path in clashes:
                    if intent["strategy"] == "last_wins":
                        text = trees[offered.tree].get(path)
                    else:
                        stage = chosen[path]
                        text = None if stage is None else self.disk.git.blobs[stage.blob]
                    if text is not None:
                        clean[path] = text
                files = clean
        assert len(merged) == len(set(merged)), "merged twice"
        assert trees[proposal.tree] == files


def test_whole_lives_of_random_trees_of_plans() -> None:
    run_state_machine_as_test(
        Lives, settings=settings(max_examples=70, stateful_step_count=5, derandomize=True,
                                 deadline=None, database=None, suppress_health_check=list(HealthCheck)),
    )  # fmt: skip
