"""What a plan's status says of connections, on both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.record.status_view import plan_status
from tests.record.desk import ROOT

if TYPE_CHECKING:
    from typing import Any

    from tests.record.desk import Desk


def let_in(desk: Desk, call_id: str, host: str, port: int) -> None:
    arguments = {"host": host, "port": port, "form": "tunnel", "caller": "run_command"}
    body = {"tool": "connect", "arguments": arguments, "verdict": "allowed", "rule": "r"}
    desk.append("decision", plan_id=ROOT, call_id=call_id, body=body)


def end(desk: Desk, call_id: str, **body: Any) -> None:
    desk.append("outcome", plan_id=ROOT, call_id=call_id, body={"tool": "connect", **body})


def value(host: str, port: int, sent: int, received: int) -> dict[str, object]:
    ends = {"sent_bytes": sent, "received_bytes": received}
    return {"host": host, "port": port, "address": "192.0.2.1", **ends}


def connections(desk: Desk) -> Any:
    return plan_status(desk.store, ROOT, locks_dir=desk.locks).get("connections")


def test_each_host_and_port_is_summed_up_with_what_is_still_open(any_desk: Desk) -> None:
    any_desk.own()
    any_desk.plan(state="processing")
    any_desk.call("readme")
    # A step may be named nearly so.
    any_desk.call("network")
    assert connections(any_desk) is None
    for number, (host, port) in enumerate([("b.example", 443), ("a.example", 443)] * 2):
        let_in(any_desk, f"net:{number}", host, port)
    end(any_desk, "net:0", status="done", value=value("b.example", 443, 3_000_000_000, 5))
    end(any_desk, "net:1", status="failed", error="cut", value=value("a.example", 443, 1, 2))
    end(any_desk, "net:2", status="done", value=value("b.example", 443, 10, 0))
    let_in(any_desk, "net:4", "c\0.example", 80)
    # What nobody could read went nowhere; what was refused stands among the violations.
    let_in(any_desk, "net:5", "", 0)
    end(any_desk, "net:5", status="failed", error="it is no request")
    any_desk.refuse("net:6")
    found = [tuple(one.values()) for one in connections(any_desk)]
    assert found[:2] == [("a.example", 443, 2, 1, 1, 2), ("b.example", 443, 2, 0, 3_000_000_010, 5)]
    assert [one[1:] for one in found[2:]] == [(80, 1, 1, 0, 0)]
