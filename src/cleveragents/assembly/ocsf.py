"""The record as events of the Open Cybersecurity Schema Framework.

Source:
    OCSF 1.3.0, class "API Activity" (6003) with the profile "security_control".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

SCHEMA: Final = "1.3.0"
CATEGORY_APPLICATION: Final = 6
CLASS_API_ACTIVITY: Final = 6003
_ACTIVITIES: Final = {1: "Create", 2: "Read", 3: "Update", 4: "Delete", 99: "Other"}
_BY_TOOL: Final = {
    "read_file": 2,
    "list_directory": 2,
    "search_files": 2,
    "fetch_url": 2,
    "write_file": 3,
    "edit_file": 3,
    "move_file": 3,
    "delete_file": 4,
}
_INFORMATIONAL, _MEDIUM = (1, "Informational"), (3, "Medium")
_SUCCESS, _FAILURE, _OTHER = (1, "Success"), (2, "Failure"), (99, "Other")


def event_of(record: Mapping[str, object], *, host: str, version: str) -> dict[str, object]:
    """Give one entry of the record as one event.

    Args:
        record: As ``audit list`` gives it.
        host: Name of the machine whose record it is.
        version: Of this program.

    Returns:
        The event. What OCSF has no field for, the whole body among it, is
        under ``unmapped``, so that nothing is lost.
    """
    stored = record.get("body")
    body: Mapping[str, object] = stored if isinstance(stored, Mapping) else {}
    kind = str(record.get("kind"))
    tool = str(body.get("tool") or "")
    activity = _BY_TOOL.get(tool, 99)
    is_refused = kind == "violation"
    severity = _MEDIUM if is_refused else _INFORMATIONAL
    status = _status(kind, body)
    return {
        "category_uid": CATEGORY_APPLICATION,
        "category_name": "Application Activity",
        "class_uid": CLASS_API_ACTIVITY,
        "class_name": "API Activity",
        "activity_id": activity,
        "activity_name": _ACTIVITIES[activity],
        "type_uid": CLASS_API_ACTIVITY * 100 + activity,
        "severity_id": severity[0],
        "severity": severity[1],
        "status_id": status[0],
        "status": status[1],
        **_control(kind),
        "time": _milliseconds(str(record.get("at"))),
        "message": str(body.get("reason") or body.get("rule") or kind),
        "metadata": {
            "version": SCHEMA,
            "product": {"name": "cleveragents", "vendor_name": "cleveragents", "version": version},
            "profiles": ["security_control"],
            "uid": str(record.get("hash")),
            "sequence": record.get("position"),
            "correlation_uid": record.get("root_id"),
            "log_name": kind,
        },
        "actor": {"app_name": "cleveragents", "app_uid": record.get("plan_id")},
        "api": {"operation": tool or kind, "request": {"uid": record.get("call_id") or kind}},
        "src_endpoint": {"name": host},
        "unmapped": dict(record),
    }


def _status(kind: str, body: Mapping[str, object]) -> tuple[int, str]:
    if kind == "violation" or body.get("status") == "failed":
        return _FAILURE
    return _SUCCESS if kind in {"decision", "outcome"} else _OTHER


def _control(kind: str) -> dict[str, object]:
    match kind:
        case "decision":
            return {
                "action_id": 1,
                "action": "Allowed",
                "disposition_id": 1,
                "disposition": "Allowed",
            }
        case "violation":
            return {
                "action_id": 2,
                "action": "Denied",
                "disposition_id": 2,
                "disposition": "Blocked",
            }
        case _:
            return {}


def _milliseconds(at: str) -> int:
    try:
        return int(datetime.fromisoformat(at).timestamp() * 1000)
    except ValueError:
        # An entry whose time cannot be read is still exported: ``audit verify`` judges it.
        return 0
