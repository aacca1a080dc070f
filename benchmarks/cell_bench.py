"""What a cell costs, beside ``python -I -c pass`` measured in the same run.

What must be reached: a cold start (to its believed hello) <= 2.5, a start from
a pre-warmed slot <= 1, cold to the first answer <= 4.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cleveragents.boundary.cell_spec import CellSpec, WorkspaceMount
from cleveragents.boundary.launcher import BubblewrapLauncher

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 12
TOOLS = ("read_file",)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class CellStart:
    """Ratios to the floor; the floor and the cell are measured in turns."""

    timeout = 300

    def setup(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="cell-bench-", dir="/var/tmp"))
        self.root.chmod(0o711)
        self.launcher = BubblewrapLauncher(self.root / "cell")
        if not self.launcher.isolation.verified:
            raise RuntimeError(self.launcher.isolation.problems)
        tree = self.root / "tree"
        tree.mkdir(mode=0o755)
        (tree / "file").write_text("x" * 1000)
        if self.launcher.owner is not None:
            os.chown(tree, *self.launcher.owner)
        self.spec = CellSpec(workspace=WorkspaceMount("copy", tree=tree), tools=TOOLS)

    def teardown(self) -> None:
        self.launcher.close()
        shutil.rmtree(self.root)

    def _ratio(self, measure: Callable[[], float]) -> float:
        floors, costs = [], []
        for _ in range(ROUNDS):
            floors.append(
                _seconds(lambda: subprocess.run([sys.executable, "-I", "-c", "pass"], check=True))
            )
            costs.append(measure())
        return statistics.median(costs) / statistics.median(floors)

    def _cold(self) -> float:
        start = time.perf_counter()
        cell = self.launcher.start(self.spec)
        cost = time.perf_counter() - start
        cell.close()
        return cost

    def _cold_call(self) -> float:
        start = time.perf_counter()
        cell = self.launcher.start(self.spec)
        cell.call("read_file", {"path": "file"})
        cost = time.perf_counter() - start
        cell.close()
        return cost

    def _warm(self) -> float:
        warm = self.launcher.warm(self.spec)
        time.sleep(0.2)  # a cell is warm when it was started in advance: this is the advance
        start = time.perf_counter()
        cell = warm.take(self.spec.digest())
        if cell is None:
            raise RuntimeError("the cell died while it waited")
        cell.call("read_file", {"path": "file"})
        cost = time.perf_counter() - start
        cell.close()
        return cost

    def track_cold_start(self) -> float:
        return self._ratio(self._cold)

    def track_cold_start_and_first_call(self) -> float:
        return self._ratio(self._cold_call)

    def track_warm_start_and_first_call(self) -> float:
        return self._ratio(self._warm)


if __name__ == "__main__":
    bench = CellStart()
    bench.setup()
    try:
        for name in [n for n in dir(bench) if n.startswith("track_")]:
            sys.stdout.write(f"{name[6:]} {getattr(bench, name)():.2f}\n")
    finally:
        bench.teardown()
