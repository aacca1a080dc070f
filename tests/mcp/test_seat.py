"""Servers without a process: how many calls at once, and what becomes of a broken session."""

from __future__ import annotations

import errno
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.boundary.unconfined import UnconfinedLauncher
from cleveragents.config.mcp_server import ServerDefinition
from cleveragents.errors import ToolAccessDeniedError, ToolFailedError
from cleveragents.policy.host_rule import HostRules
from cleveragents.runtime.tool_server import Ground, ToolServers
from cleveragents.tools.mcp_failure import ServerFailedError
from cleveragents.tools.mcp_result import MAX_TEXT_BYTES
from cleveragents.tools.mcp_text import MAX_REASON_CHARS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.boundary.cell_spec import CellSpec


@dataclass
class Line:
    """A session that does as its desk says."""

    desk: Desk
    is_alive: bool = True
    may_have_changed: bool = True

    def start(self, *, timeout_s: float) -> None:
        if self.desk.shortage is not None:
            raise self.desk.shortage
        self.desk.starts += 1

    def tools(self, *, timeout_s: float) -> list[dict[str, object]]:
        return [{"name": name, "inputSchema": {"type": "object"}} for name in self.desk.names]

    def call(
        self, tool: str, arguments: Mapping[str, object], *, timeout_s: float
    ) -> dict[str, object]:
        if self.desk.failure is not None:
            raise self.desk.failure
        self.desk.inside.release()
        assert self.desk.go.wait(20)
        return self.desk.answer or {"content": [{"type": "text", "text": tool}]}

    def close(self) -> None:
        self.is_alive = False


@dataclass
class Desk:
    """Opens such sessions and counts them."""

    names: list[str] = field(default_factory=lambda: ["t"])
    starts: int = 0
    failure: ServerFailedError | None = None
    shortage: OSError | None = None
    answer: dict[str, object] = field(default_factory=dict)
    inside: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    go: threading.Event = field(default_factory=threading.Event)
    is_closed: bool = False

    def over_pipes(self, reading: int, writing: int) -> Line:
        raise AssertionError

    def over_http(self, url: str, headers: Mapping[str, str], **_: Any) -> Line:
        return Line(self)

    def close(self) -> None:
        self.is_closed = True


def no_cell(_: ServerDefinition) -> CellSpec:
    raise AssertionError


def servers(desk: Desk, *, values: Mapping[str, str] | None = None, **facts: Any) -> ToolServers:
    definition = ServerDefinition(
        name="s", kind="http", url="https://mcp.example.com/", file="f", **facts
    )
    ground = Ground(
        launcher=UnconfinedLauncher(),
        open_desk=lambda: desk,
        environ={},
        values=values or {},
        hosts=HostRules.parse(["*"]),
        call_timeout_s=20,
    )
    return ToolServers([definition], ground=ground, spec_of=no_cell)


def test_calls_come_one_at_a_time_unless_the_server_can_take_more() -> None:
    for parallel in (1, 2):
        desk = Desk()
        made = servers(desk, parallel=parallel)
        (spec,) = made.specs()
        with ThreadPoolExecutor(2) as pool:
            calls = [pool.submit(made.call, spec, {}, timeout_s=20) for _ in range(2)]
            assert desk.inside.acquire(timeout=20)
            assert desk.inside.acquire(timeout=20 if parallel == 2 else 0.2) is (parallel == 2)
            desk.go.set()
            assert [call.result(20) for call in calls] == [{"text": "t"}] * 2
        made.close()
        assert desk.is_closed


def test_one_that_is_busy_for_too_long_is_told() -> None:
    desk = Desk()
    made = servers(desk)
    (spec,) = made.specs()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(made.call, spec, {}, timeout_s=20)
        assert desk.inside.acquire(timeout=20)
        with pytest.raises(ToolFailedError, match="is busy"):
            made.call(spec, {}, timeout_s=0.1)
        desk.go.set()
        assert first.result(20) == {"text": "t"}


def test_a_session_at_fault_is_opened_anew_and_a_tool_at_fault_is_not() -> None:
    desk = Desk()
    desk.go.set()
    made = servers(desk)
    (spec,) = made.specs()
    for failure, starts in (
        (ServerFailedError("session unknown", is_over=False), 1),
        (ServerFailedError("no such file", is_over=False, is_line=False), 0),
    ):
        desk.failure = failure
        with pytest.raises(ToolFailedError, match=failure.reason):
            made.call(spec, {}, timeout_s=1)
        desk.failure, before = None, desk.starts
        assert made.call(spec, {}, timeout_s=1) == {"text": "t"}
        assert desk.starts - before == starts


def test_a_host_that_is_out_of_descriptors_fails_the_call_and_no_other() -> None:
    desk = Desk(failure=ServerFailedError("it ended", is_over=True))
    desk.go.set()
    made = servers(desk)
    (spec,) = made.specs()
    with pytest.raises(ToolFailedError, match="it ended"):
        made.call(spec, {}, timeout_s=1)
    desk.failure, desk.shortage = None, OSError(errno.EMFILE, "Too many open files")
    with pytest.raises(ToolFailedError, match="'s' cannot be started: Too many open files"):
        made.call(spec, {}, timeout_s=1)
    desk.shortage = None
    assert made.call(spec, {}, timeout_s=1) == {"text": "t"}


def test_a_list_that_changes_back_is_called_again() -> None:
    desk = Desk()
    desk.go.set()
    made = servers(desk)
    (spec,) = made.specs()
    desk.names = ["t", "u"]
    with pytest.raises(ToolAccessDeniedError, match="not those that were approved"):
        made.call(spec, {}, timeout_s=1)
    desk.names = ["t"]
    assert made.call(spec, {}, timeout_s=1) == {"text": "t"}


def test_after_the_end_of_the_plan_nothing_is_started() -> None:
    desk = Desk()
    made = servers(desk)
    (spec,) = made.specs()
    made.end_now()
    with pytest.raises(ToolFailedError, match="the plan was ended"):
        made.call(spec, {}, timeout_s=1)
    assert desk.starts == 1
    assert made.warnings == ()


def test_ignored_keys_are_warned_of() -> None:
    made = servers(Desk(), ignored=("autoApprove",))
    assert made.warnings == ("MCP server 's': autoApprove of its file are not obeyed",)


@pytest.mark.parametrize("is_error", [True, False])
def test_a_cut_leaves_no_beginning_of_a_credential(is_error: bool) -> None:
    secret = "s3cret-value-of-the-token"
    text = "x" * ((MAX_REASON_CHARS if is_error else MAX_TEXT_BYTES - 2) - 10) + secret
    answer = {"content": [{"type": "text", "text": text}], "isError": is_error}
    desk = Desk(answer=answer)
    desk.go.set()
    headers = {"Authorization": "Bearer ${credential:TOKEN}"}
    made = servers(desk, values={"TOKEN": secret}, headers=headers)
    (spec,) = made.specs()
    try:
        found = str(made.call(spec, {}, timeout_s=20))
    except ToolFailedError as error:
        found = error.reason
    assert "x[red" in found
    assert "s3cret" not in found
