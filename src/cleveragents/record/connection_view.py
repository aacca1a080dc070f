"""Which hosts did the cells of a plan reach, how often, and how much went which way?

Read path: nothing dear is imported here. Summed in the database: a plan may
have made more connections than anybody wants to read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cleveragents.terms.connection import PREFIX

if TYPE_CHECKING:
    from cleveragents.record.store import Store

_OF_PLAN: Final = f"r.plan_id = ? AND r.call_id LIKE '{PREFIX}%'"


def plan_connections(store: Store, plan_id: str) -> list[dict[str, Any]]:
    """Give each host and port that something in the plan's cells was let connect to.

    Args:
        store: The database.
        plan_id: The plan; its subplans tell their own.
    """
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for host, port, count, sent, received in _ended(store, plan_id):
        found[host, int(port)] = _line(host, int(port), int(count), int(sent), int(received))
    for host, port, count in _open(store, plan_id):
        line = found.setdefault((host, int(port)), _line(host, int(port)))
        line["connections"] += int(count)
        line["open"] = int(count)
    return [found[place] for place in sorted(found)]


def _line(
    host: str, port: int, connections: int = 0, sent: int = 0, received: int = 0
) -> dict[str, Any]:
    return {
        "host": host,
        "port": port,
        "connections": connections,
        "open": 0,
        "sent_bytes": sent,
        "received_bytes": received,
    }


def _ended(store: Store, plan_id: str) -> list[tuple[Any, ...]]:
    host, port, sent, received = (
        _field(store, "value", name) for name in ("host", "port", "sent_bytes", "received_bytes")
    )
    # What could not be read as a request has an outcome too, and led nowhere.
    return store.execute(
        f"SELECT {host}, {port}, COUNT(*), SUM(CAST({sent} AS BIGINT)),"  # noqa: S608  # constants
        f" SUM(CAST({received} AS BIGINT)) FROM record r"
        f" WHERE {_OF_PLAN} AND r.kind = 'outcome' AND {host} IS NOT NULL GROUP BY 1, 2",
        (plan_id,),
    )


def _open(store: Store, plan_id: str) -> list[tuple[Any, ...]]:
    host, port = (_field(store, "arguments", name) for name in ("host", "port"))
    return store.execute(
        f"SELECT {host}, {port}, COUNT(*) FROM record r"  # noqa: S608  # constants
        f" WHERE {_OF_PLAN} AND r.kind = 'decision' AND NOT EXISTS (SELECT 1 FROM record o"
        " WHERE o.plan_id = r.plan_id AND o.call_id = r.call_id AND o.kind = 'outcome')"
        " GROUP BY 1, 2",
        (plan_id,),
    )


def _field(store: Store, part: str, name: str) -> str:
    if store.dialect == "postgresql":
        # As in ``call_view``: PostgreSQL reads no JSON that holds a zero byte.
        return f"(replace(r.body, '\\u0000', '\\ufffd')::json #>> '{{{part},{name}}}')"
    return f"json_extract(r.body, '$.{part}.{name}')"
