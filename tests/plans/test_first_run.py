"""Several first runs at once in a home that is not there yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.plans.scene import ended, tool

if TYPE_CHECKING:
    from tests.plans.scene import Scene

RUNS = 6


def test_nobody_trips_over_another_ones_first_steps(installed: Scene) -> None:
    installed.file("README.md", "hello\n")
    words = installed.words([tool("read_file", path="README.md")])
    done = [ended(host) for host in [installed.start(*words) for _ in range(RUNS)]]
    assert [(one.exit_code, one.err) for one in done] == [(0, "")] * RUNS
    assert len({one.plan_id for one in done}) == RUNS
    assert installed.count("outcome") == RUNS
    installed.verify()
