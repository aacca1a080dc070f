"""What the subplan boundary costs, each number beside a floor of the same run.

What must be reached: the grant's part of a decision <= 0.5 us (median), `attenuate` <= 20 us; from
a spawn to the answer of the child's first call <= 4 times `python -I -c pass`, and <= 30 ms where
the child's cell was started while it waited for its place; a spawn on 50,000 files <= 1.5 of one
on 500 (overlay); a merge of two proposals over 5,000 files <= 2 times `git merge-tree
--write-tree`, eight linear; 200 subplans: the last 50 <= 1.1 of the first 50, at most 150 MB of
host memory, nothing left behind; in a chain of five each level <= 1.2 of the first.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cleveragents.assembly import plan_command, plan_look
from cleveragents.assembly.house import open_house
from cleveragents.boundary.git import Git
from cleveragents.boundary.trial import remove_tree
from cleveragents.config.plan_file import parse_plan
from cleveragents.policy import gate
from cleveragents.policy.grant import Grant
from cleveragents.policy.profile import BUILT_IN
from cleveragents.terms.interaction import Nobody
from cleveragents.terms.plan import DelegationRequest
from cleveragents.tools.catalog import BUILT_IN as TOOLS

if TYPE_CHECKING:
    from collections.abc import Callable

LOOPS = 5_000
ROUNDS = 7
READ = {"tools": ["read_file"], "read": ["."]}
LOOK = {"id": "look", "tool": "read_file", "args": {"path": "file"}}


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _python_s() -> float:
    return _seconds(lambda: subprocess.run([sys.executable, "-I", "-c", "pass"], check=True))


class BoundaryCheck:
    """Microseconds; nothing is started."""

    timeout = 120

    def setup(self) -> None:
        self.spec = TOOLS["read_file"]
        self.prepared = gate.prepare(self.spec, {"path": "docs/a.md"})
        self.parent = Grant.root(tools=TOOLS, read=["docs/", "src/"], write=["docs/"])
        self.request = DelegationRequest(
            tools=("read_file", "write_file"), read=("docs/",), write=("docs/api/",),
            where={"write_file": {"properties": {"content": {"maxLength": 100}}}}, depth=1,
        )  # fmt: skip

    def _scope(self, grant: Grant | None) -> gate.Scope:
        profile = BUILT_IN["unrestricted"]
        return gate.compile_scope(
            profiles=(profile,), grant=grant, in_subplan=grant is not None, tools=TOOLS, plan_id="1"
        )

    def _decide_us(self, grant: Grant | None) -> float:
        scope, spec, prepared = self._scope(grant), self.spec, self.prepared
        decide = gate.decide

        def loop() -> None:
            for _ in range(LOOPS):
                decide(scope, spec, prepared.arguments, prepared.resources)

        return statistics.median(_seconds(loop) for _ in range(ROUNDS)) / LOOPS * 1e6

    def track_grant_on_top_of_profile_us(self) -> float:
        child = self.parent.attenuate(self.request)
        return self._decide_us(child) - self._decide_us(None)

    def track_attenuate_us(self) -> float:
        def loop() -> None:
            for _ in range(500):
                self.parent.attenuate(self.request)

        return statistics.median(_seconds(loop) for _ in range(ROUNDS)) / 500 * 1e6


class _Place:
    """A home, cells and a workspace of their own; plans run in this process."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="subplan-bench-", dir="/var/tmp"))
        self.root.chmod(0o711)
        self.workspace = self.root / "ws"
        self.workspace.mkdir()
        (self.workspace / "file").write_text("x" * 1000)
        self.home = self.root / "home"
        self._before = {
            k: os.environ.get(k) for k in ("CLEVERAGENTS_HOME", "CLEVERAGENTS_CELL_ROOT")
        }
        os.environ["CLEVERAGENTS_HOME"] = str(self.home)
        os.environ["CLEVERAGENTS_CELL_ROOT"] = str(self.root / "cell")

    def close(self) -> None:
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        for path in self.root.glob("cell/**/work"):
            path.chmod(0o700)
        remove_tree(self.root)
        shutil.rmtree(self.root, ignore_errors=True)

    def fill(self, files: int) -> None:
        for number in range(files):
            directory = self.workspace / f"d{number // 500}"
            directory.mkdir(exist_ok=True)
            (directory / f"f{number}").write_text(f"{number}\n")

    def run(self, steps: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        loaded = parse_plan({"name": "bench", "steps": steps}, name="bench", base=self.root)
        request = plan_command.RunRequest(workspace=self.workspace, **more)
        answer = plan_command.run_loaded(loaded, request, Nobody())
        if answer.exit_code or answer.data is None:
            raise RuntimeError(answer.messages)
        return dict(answer.data)

    def moments(self, kind: str) -> list[tuple[str, str, float]]:
        """Plan, call and second of every entry of a kind."""
        house = open_house(os.environ)
        try:
            entries: Any = house.log().entries(kind=kind)  # type: ignore[arg-type]  # one of its words
            return [
                (e.plan_id, e.call_id, datetime.fromisoformat(e.at).timestamp()) for e in entries
            ]
        finally:
            house.close()

    def first_answers_s(self, plan: dict[str, Any]) -> list[float]:
        """From each spawn's decision to the child's first outcome, in the order of spawning."""
        asked = {
            call: at for owner, call, at in self.moments("decision") if owner == plan["plan_id"]
        }
        answered: dict[str, float] = {}
        for owner, _, at in self.moments("outcome"):
            answered.setdefault(owner, at)
        children = {one["name"]: one["plan_id"] for one in plan["subplans"]}
        return [answered[children[name]] - asked[name] for name in children if name in asked]


def _child(name: str, *steps: dict[str, Any], **delegate: Any) -> dict[str, Any]:
    body = {"name": name, "delegate": {**READ, **delegate}, "steps": list(steps) or [LOOK]}
    return {"id": name, "subplan": body}


class Spawn:
    """From the spawn to the child's first answer."""

    timeout = 600

    def _cold_s(self, files: int) -> tuple[float, float]:
        """Seconds of an only child, for which nothing was made ready; and of the floor."""
        place = _Place()
        costs, floors = [], []
        try:
            place.fill(files)
            for _ in range(ROUNDS):
                floors += [_python_s(), _python_s()]
                costs += place.first_answers_s(place.run([_child("n")]))
            return statistics.median(costs), statistics.median(floors)
        finally:
            place.close()

    def track_cold_first_answer_to_python(self) -> float:
        cost, floor = self._cold_s(1)
        return cost / floor

    def track_50000_files_to_500(self) -> float:
        return self._cold_s(50_000)[0] / self._cold_s(500)[0]

    def _queued_s(self) -> float:
        """From the end of the child before it, which frees the place, to a child's first answer.

        Each child takes longer than a cell needs to start, as the children of real plans do.
        """
        place = _Place()
        try:
            profile = place.root / "one.yaml"
            profile.write_text("name: one\nsubplans: {max_parallel: 1}\n")
            pause = {"id": "pause", "tool": "run_command", "args": {"command": "sleep 0.4"}}
            members = [
                _child(f"n{n}", LOOK, pause, tools=["read_file", "run_command"], write=["."])
                for n in range(ROUNDS)
            ]
            group = {"id": "g", "parallel": members}
            plan = place.run([group], automation_profile=str(profile))
            children = {one["plan_id"] for one in plan["subplans"]}
            ends = sorted(at for who, _, at in place.moments("plan_ended") if who in children)
            answered: dict[str, float] = {}
            for owner, _, at in place.moments("outcome"):
                answered.setdefault(owner, at)
            answers = sorted(at for owner, at in answered.items() if owner in children)
            pairs = zip(ends, answers[1:], strict=False)
            return statistics.median(answer - end for end, answer in pairs)
        finally:
            place.close()

    def track_pre_warmed_first_answer_ms(self) -> float:
        return self._queued_s() * 1000


class Merge:
    """A merge through the interface, beside git's own merge of the same trees."""

    timeout = 600
    FILES = 5_000

    def _merge_s(self, children: int) -> tuple[float, float]:
        """Seconds of a merge in the product, and of git's command, over the same trees."""
        place = _Place()
        try:
            place.fill(self.FILES)
            write = {"tools": ["write_file"], "write": ["."]}
            members = [
                _child(
                    f"n{n}",
                    {"tool": "write_file", "args": {"path": f"d{n}/new", "content": "x"}},
                    **write,
                )
                for n in range(children)
            ]
            plan = place.run([{"id": "g", "parallel": members}])
            return self._per_merge_s(place, plan), self._git_s(place)
        finally:
            place.close()

    def _per_merge_s(self, place: _Place, plan: dict[str, Any]) -> float:
        # From the whole group's end (the last child's proposal) to the last merge.
        done = max(at for _, _, at in place.moments("merge"))
        ended = max(at for owner, _, at in place.moments("plan_ended") if owner != plan["plan_id"])
        return (done - ended) / (len(plan["subplans"]) or 1)

    def _git_s(self, place: _Place) -> float:
        house = open_house(os.environ)
        try:
            intents = [house.log().resolve(e.body) for e in house.log().entries(kind="merge")]
        finally:
            house.close()
        intent = [one for one in intents if "ours" in one][-1]
        git = Git.open(place.home / "trees.git")
        root = git._commit(str(intent["base"]))
        sides = [git._commit(str(intent[side]), root) for side in ("ours", "theirs")]
        command = [
            "git",
            f"--git-dir={place.home / 'trees.git'}",
            "merge-tree",
            "--write-tree",
            *sides,
        ]
        return statistics.median(
            _seconds(lambda: subprocess.run(command, check=True, capture_output=True))
            for _ in range(ROUNDS)
        )

    def track_two_to_git(self) -> float:
        cost, floor = self._merge_s(2)
        return cost / floor

    def track_eight_to_two_each(self) -> float:
        return self._merge_s(8)[0] / self._merge_s(2)[0]


class Many:
    """Two hundred children, four at a time."""

    timeout = 900
    COUNT = 200

    def setup(self) -> None:
        self.stack = ExitStack()
        self.place = _Place()
        self.stack.callback(self.place.close)

    def teardown(self) -> None:
        self.stack.close()

    def _run(self) -> list[float]:
        write = {"tools": ["write_file"], "write": ["."]}
        members = [
            _child(
                f"n{n}",
                {"tool": "write_file", "args": {"path": f"made/{n}", "content": "x"}},
                **write,
            )
            for n in range(self.COUNT)
        ]
        self.plan = self.place.run([{"id": "g", "parallel": members}])
        children = {one["plan_id"] for one in self.plan["subplans"]}
        return sorted(at for owner, _, at in self.place.moments("plan_ended") if owner in children)

    def track_last_50_to_first_50(self) -> float:
        ends = self._run()
        return (ends[-1] - ends[-50]) / (ends[50] - ends[1])

    def track_host_memory_mb(self) -> float:
        self._run()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    def track_left_behind(self) -> int:
        """Descriptors, child processes, mounts, and slots after the apply: more than before."""

        def counted() -> int:
            slots = self.place.root / "cell/slot"
            return (
                len(list(Path("/proc/self/fd").iterdir()))
                + len(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())
                + len(Path("/proc/self/mounts").read_text().splitlines())
                + (len(list(slots.iterdir())) if slots.is_dir() else 0)
            )

        self.place.run([LOOK])
        plan_command.apply(
            self.place.run([LOOK])["plan_id"], yes=True, partial=False, interaction=Nobody()
        )
        before = counted()
        self._run()
        plan_command.apply(self.plan["plan_id"], yes=True, partial=False, interaction=Nobody())
        return counted() - before


class Chain:
    """Spawns in spawns."""

    timeout = 300
    DEPTH = 5

    def track_slowest_level_to_first(self) -> float:
        place = _Place()
        try:
            profile = place.root / "deep.yaml"
            profile.write_text("name: deep\nsubplans: {max_depth: 6}\n")
            step: dict[str, Any] = _child(f"n{self.DEPTH}")
            for level in range(self.DEPTH - 1, 0, -1):
                tools = ["read_file", "spawn_subplan"]
                step = _child(f"n{level}", LOOK, step, tools=tools, depth=self.DEPTH - level)
            levels: list[list[float]] = [[] for _ in range(self.DEPTH)]
            for _ in range(ROUNDS):
                plan = place.run([step], automation_profile=str(profile))
                for level, cost in enumerate(self._levels(place, plan["plan_id"])):
                    levels[level].append(cost)
            medians = [statistics.median(one) for one in levels]
            return max(medians[1:]) / medians[0]
        finally:
            place.close()

    def _levels(self, place: _Place, root: str) -> list[float]:
        """From each spawn's decision to its child's first answer, from the top down."""
        spawns = {
            owner: at for owner, call, at in place.moments("decision") if call.startswith("n")
        }
        answered: dict[str, float] = {}
        for owner, _, at in place.moments("outcome"):
            answered.setdefault(owner, at)
        tree: Any = plan_look.tree(root).data
        found = []
        while tree["subplans"]:
            (child,) = tree["subplans"]
            found.append(answered[child["plan_id"]] - spawns[tree["plan_id"]])
            tree = child
        return found
