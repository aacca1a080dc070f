"""What a person waits for: whole processes, beside ``python -I -c pass`` in the same run.

``agents plan status ID --format json`` reads one plan of fifty calls out of a
store of a thousand records and out of one of a million, which
``record_bench`` makes; it must not grow with the store. Each figure is a ratio
of medians, the processes started in turns.

What must be reached: <= 6 of the floor, and not growing.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.record_bench import LARGE, SMALL, make_store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROUNDS: Final = 25
PLAN: Final = "01J0000000000000000000000A"
"""The plan that ``record_bench`` starts first in each store."""
PYTHON: Final = (sys.executable, "-I", "-c", "pass")
PACKAGE: Final = (sys.executable, "-I", "-c", "import cleveragents")
AGENTS: Final = (str(Path(sys.executable).with_name("agents")),)


def _seconds(line: Sequence[str], home: str) -> float:
    environ = {"PATH": "/usr/bin:/bin", "CLEVERAGENTS_HOME": home}
    start = time.perf_counter()
    subprocess.run(line, env=environ, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def _medians(*measures: Callable[[], float]) -> list[float]:
    rounds = [[measure() for measure in measures] for _ in range(ROUNDS)]
    return [statistics.median(column) for column in zip(*rounds, strict=True)]


class StatusProcess:
    """The command from its start to its end."""

    timeout = 1800

    def setup_cache(self) -> tuple[str, str]:
        homes = []
        for name, rows in (("small", SMALL), ("large", LARGE)):
            make_store(Path.cwd() / name, rows)
            homes.append(str(Path.cwd() / name))
        return homes[0], homes[1]

    def _status(self, home: str) -> float:
        return _seconds((*AGENTS, "plan", "status", PLAN, "--format", "json"), home)

    def track_status_over_python_start(self, homes: tuple[str, str]) -> float:
        floor, ours = _medians(lambda: _seconds(PYTHON, homes[1]), lambda: self._status(homes[1]))
        return ours / floor

    def track_large_store_over_small(self, homes: tuple[str, str]) -> float:
        small, large = _medians(lambda: self._status(homes[0]), lambda: self._status(homes[1]))
        return large / small

    def track_help_over_python_start(self, homes: tuple[str, str]) -> float:
        floor, ours = _medians(
            lambda: _seconds(PYTHON, homes[0]), lambda: _seconds((*AGENTS, "--help"), homes[0])
        )
        return ours / floor

    def track_import_ms(self, homes: tuple[str, str]) -> float:
        """What ``import cleveragents`` adds to the start of Python; at most 30 ms."""
        floor, ours = _medians(
            lambda: _seconds(PYTHON, homes[0]), lambda: _seconds(PACKAGE, homes[0])
        )
        return (ours - floor) * 1000


for _name in (n for n in dir(StatusProcess) if n.startswith("track_")):
    getattr(StatusProcess, _name).unit = "ms" if _name.endswith("_ms") else "ratio"


if __name__ == "__main__":
    bench = StatusProcess()
    # Beside the benchmarks of asv, which keeps such stores in a directory of its own.
    made = bench.setup_cache()
    for name in [n for n in dir(bench) if n.startswith("track_")]:
        sys.stdout.write(f"{name[6:]} {getattr(bench, name)(made):.2f}\n")
