"""What the door costs: one governed, recorded call beside the same work done bare.

Ours is ``read_file`` of a file of 1 kB through ``ToolRuntime.call``, with the
real record, gate, cell and workspace of a plan that was opened as ``agents
plan run`` opens one. The floor is one message to a plain Python process that
reads the same file and answers, and two committed rows of the same sizes in an
SQLite of its own. Both are timed in turns, a batch each, and compared by the
medians of their batches, so that a busy machine does not decide.

A second floor writes rows of the record's own shape: its ten columns, and the
index by which a call is found again. What ours costs beyond that one is the
door itself.

What must be reached: <= 1.4 of the floor; call 10,000 <= 1.1 of call 100; the
host of a plan of 10,000 calls <= 100 MB.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cleveragents.assembly.clock import new_id
from cleveragents.assembly.house import House
from cleveragents.assembly.order import founded, make_charter
from cleveragents.assembly.plan_command import RunRequest
from cleveragents.boundary.leave_out import LeaveOutRules
from cleveragents.config.plan_file import parse_plan
from cleveragents.plans.charter import to_mapping
from cleveragents.plans.opener import PlanOpener
from cleveragents.record.entry import Entry
from cleveragents.record.plan_row import PlanRow
from cleveragents.terms.call import ToolCall
from cleveragents.terms.interaction import Nobody

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cleveragents.runtime.call_context import CallContext
    from cleveragents.terms.call import CallResult

FILE: Final = "notes.txt"
PLAN_ID: Final = "01J0000000000000000000000A"
TEXT: Final = ("0123456789abcdef" * 4)[:63] + "\n"
LINES: Final = 16
PLAN: Final = {
    "name": "bench",
    "actor": {"kind": "script"},
    "steps": [{"id": "read", "tool": "read_file", "args": {"path": FILE}}],
}
BATCH: Final = 40
ROUNDS: Final = 60
EARLY: Final = 100
LATE: Final = 10_000
HOST: Final = """
import json, resource, sys
from pathlib import Path
from cleveragents import run_plan
steps = [
    {"id": f"s{number}", "tool": "read_file", "args": {"path": sys.argv[2]}}
    for number in range(int(sys.argv[3]))
]
plan = {"name": "bench", "actor": {"kind": "script"}, "steps": steps}
report = run_plan(plan, workspace=Path(sys.argv[1]))
assert report.exit_code == 0, report.messages
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
GUEST: Final = """
import json, os, socket, struct, sys
channel = socket.socket(fileno=int(sys.argv[1]))
while True:
    head = channel.recv(4, socket.MSG_WAITALL)
    if len(head) < 4:
        break
    asked = json.loads(channel.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL))
    with open(asked["path"], "rb") as file:
        data = json.dumps({"text": file.read().decode()}).encode()
    channel.sendall(len(data).to_bytes(4, "big") + data)
"""


class _Scene:
    """A directory with one file, and a home; removed at the end."""

    def __init__(self) -> None:
        self.stack = ExitStack()
        # Root's cells run as another user: passable, as a workspace's parents are.
        place = Path(tempfile.mkdtemp(prefix="call-bench-", dir="/var/tmp"))
        self.stack.callback(shutil.rmtree, place)
        place.chmod(0o711)
        self.workspace = place / "work"
        self.workspace.mkdir()
        (self.workspace / FILE).write_text(TEXT * LINES)
        self.home = place / "home"
        self.environ = {
            "PATH": os.environ.get("PATH", ""),
            "CLEVERAGENTS_HOME": str(self.home),
            "CLEVERAGENTS_CELL_ROOT": str(place / "cell"),
        }
        (place / "cell").mkdir(mode=0o755)

    def close(self) -> None:
        self.stack.close()


class _Spawner:
    """The plan spawns nothing."""

    def spawn(self, call: ToolCall, context: CallContext) -> Mapping[str, object]:
        raise AssertionError(call, context)


class _Governed:
    """A plan that was opened and waits for its next call."""

    def __init__(self, scene: _Scene) -> None:
        house = House(scene.environ)
        scene.stack.enter_context(closing(house))
        request = RunRequest(workspace=scene.workspace)
        plan_id = new_id()
        loaded = parse_plan(PLAN, name="the plan", base=scene.workspace)
        charter = make_charter(house, loaded, request, plan_id=plan_id, workspace=scene.workspace)
        house.require_isolation()
        means = house.means(Nobody())
        snapshot = means.trees.snapshot(scene.workspace, LeaveOutRules())
        charter = founded(charter, snapshot.tree, house.launcher().isolation)
        scene.stack.enter_context(means.owned(plan_id))
        means.rows.create(PlanRow(plan_id, plan_id, "bench", started="2026-01-01T00:00:00Z"))
        means.log.append(Entry("plan_started", plan_id, plan_id, body=to_mapping(charter)))
        plan = PlanOpener(means).open(charter, spawner=_Spawner(), is_fresh=True)
        scene.stack.callback(plan.cell.close)
        self.door = means.door
        self.context = plan.context
        self.number = 0

    def call(self) -> CallResult:
        self.number += 1
        call = ToolCall(step=f"s{self.number}", tool="read_file", arguments={"path": FILE})
        return self.door.call(call, self.context)


class _Bare:
    """A plain process that reads a file, and a plain table.

    Args:
        scene: Where the file is.
        is_shaped: Whether the rows have the record's columns and its index.
    """

    def __init__(self, scene: _Scene, *, is_shaped: bool = False) -> None:
        ours, theirs = socket.socketpair()
        line = [sys.executable, "-I", "-c", GUEST, str(theirs.fileno())]
        self._guest = subprocess.Popen(line, pass_fds=[theirs.fileno()], cwd=scene.workspace)
        theirs.close()
        self._channel = ours
        database = scene.workspace.parent / f"bare-{is_shaped}.db"
        self._connection = sqlite3.connect(database, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        names = "call, kind, body"
        self._rest: tuple[object, ...] = ()
        if is_shaped:
            names += ", root, plan, position, at, prev, hash"
            self._rest = (PLAN_ID, PLAN_ID, 1, "2026-01-01T00:00:00.000000Z", "a" * 64, "b" * 64)
        self._connection.execute(f"CREATE TABLE bare (seq INTEGER PRIMARY KEY, {names})")
        if is_shaped:
            self._connection.execute("CREATE INDEX bare_call ON bare (plan, call, kind)")
        marks = ", ".join("?" * (3 + len(self._rest)))
        self._insert = f"INSERT INTO bare ({names}) VALUES ({marks})"  # noqa: S608  # ours
        self._decision = "x" * 400
        scene.stack.callback(self.close)
        self._number = 0

    def close(self) -> None:
        self._channel.close()
        self._guest.wait()
        self._connection.close()

    def call(self) -> str:
        self._number += 1
        self._row("decision", self._decision)
        data = json.dumps({"path": FILE}).encode()
        self._channel.sendall(len(data).to_bytes(4, "big") + data)
        size = int.from_bytes(self._channel.recv(4, socket.MSG_WAITALL), "big")
        text = self._channel.recv(size, socket.MSG_WAITALL).decode()
        value: str = json.loads(text)["text"]
        self._row("outcome", text)
        return value

    def _row(self, kind: str, body: str) -> None:
        self._connection.execute(self._insert, (f"s{self._number}", kind, body, *self._rest))


def _batch_s(call: Callable[[], object], size: int = BATCH) -> float:
    """Seconds of one call, from a batch of them."""
    start = time.perf_counter()
    for _ in range(size):
        call()
    return (time.perf_counter() - start) / size


class GovernedCall:
    """``read_file`` of 1 kB in a warm cell, and its floor."""

    timeout = 600

    def setup(self) -> None:
        self.scene = _Scene()
        self.governed = _Governed(self.scene)
        self.bare = _Bare(self.scene)
        self.shaped = _Bare(self.scene, is_shaped=True)
        # All read the same bytes, and all are warm.
        assert self.governed.call().value["text"] == self.bare.call() == TEXT * LINES
        for call in (self.governed.call, self.bare.call, self.shaped.call):
            _batch_s(call, EARLY)

    def teardown(self) -> None:
        self.scene.close()

    def _medians(self, floor: Callable[[], object] | None = None) -> tuple[float, float]:
        bare = floor or self.bare.call
        pairs = [(_batch_s(self.governed.call), _batch_s(bare)) for _ in range(ROUNDS)]
        ours, floors = zip(*pairs, strict=True)
        return statistics.median(ours), statistics.median(floors)

    def track_call_over_floor(self) -> float:
        ours, floor = self._medians()
        return ours / floor

    def track_call_over_floor_of_record_rows(self) -> float:
        ours, floor = self._medians(self.shaped.call)
        return ours / floor

    def track_call_us(self) -> float:
        return self._medians()[0] * 1e6

    def track_floor_us(self) -> float:
        return self._medians()[1] * 1e6

    def track_call_10000_over_call_100(self) -> float:
        """Each held against the floor of its own time: a machine may have changed meanwhile."""
        ours, floor = self._medians()
        early = ours / floor
        while self.governed.number < LATE - ROUNDS * BATCH // 2:
            self.governed.call()
        ours, floor = self._medians()
        return ours / floor / early

    def time_call(self) -> None:
        self.governed.call()


class HostMemory:
    """The host process of a plan of 10,000 calls."""

    timeout = 600

    def setup(self) -> None:
        self.scene = _Scene()

    def teardown(self) -> None:
        self.scene.close()

    def _peak_mb(self, calls: int) -> float:
        line = [sys.executable, "-c", HOST, str(self.scene.workspace), FILE, str(calls)]
        done = subprocess.run(
            line, env=self.scene.environ, check=True, stdout=subprocess.PIPE, text=True
        )
        return int(done.stdout) / 1024

    def track_peak_mb_of_10000_calls(self) -> float:
        return self._peak_mb(LATE)

    def track_peak_mb_of_10_calls(self) -> float:
        """What of it is the program itself."""
        return self._peak_mb(10)


for _name in (n for n in dir(GovernedCall) if n.startswith("track_")):
    getattr(GovernedCall, _name).unit = "us" if _name.endswith("_us") else "ratio"
for _name in ("track_peak_mb_of_10000_calls", "track_peak_mb_of_10_calls"):
    getattr(HostMemory, _name).unit = "MB"


if __name__ == "__main__":
    for suite in (GovernedCall, HostMemory):
        for name in [n for n in dir(suite) if n.startswith("track_")]:
            bench = suite()
            bench.setup()
            try:
                sys.stdout.write(f"{name[6:]} {getattr(bench, name)():.2f}\n")
            finally:
                bench.teardown()
