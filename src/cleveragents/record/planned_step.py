"""Which calls a plan's script is going to make, from the definition that was stored at its start.

Read path: nothing dear is imported here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from cleveragents.errors import RecordError
from cleveragents.record.violation_view import read_body

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from cleveragents.record.store import Store

SPAWN: Final = "spawn_subplan"


def planned_steps(
    store: Store, plan_id: str, locks_dir: str | os.PathLike[str]
) -> list[tuple[str, str]]:
    """Give the call and the tool of each step of a script, in its order.

    Args:
        store: The database.
        plan_id: The plan; one that a program or a model decides has no script.
        locks_dir: Beside it are the values that are too large for the record's rows.

    Raises:
        RecordError: The stored start cannot be read.
    """
    rows = store.execute(
        "SELECT body FROM record WHERE plan_id = ? AND call_id = '' AND kind = 'plan_started'"
        " ORDER BY position LIMIT 1",
        (plan_id,),
    )
    if not rows:
        return []
    definition = _whole(read_body(rows[0][0], plan_id).get("definition"), locks_dir)
    steps = definition.get("steps") if isinstance(definition, dict) else None
    return list(_calls(_whole(steps, locks_dir), locks_dir))


def _calls(steps: object, locks_dir: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    for number, step in enumerate(steps if isinstance(steps, list) else [], 1):
        one = _whole(step, locks_dir)
        if not isinstance(one, dict):
            continue
        name = str(one.get("id", f"step{number}"))
        if "parallel" not in one:
            yield name, SPAWN if "subplan" in one else str(one.get("tool"))
            continue
        members = _whole(one["parallel"], locks_dir)
        for place, item in enumerate(members if isinstance(members, list) else [], 1):
            member = _whole(item, locks_dir)
            own = member.get("id") if isinstance(member, dict) else None
            yield f"{name}.{own or f'{name}_{place}'}", SPAWN


def _whole(value: object, locks_dir: str | os.PathLike[str]) -> object:
    """Bring a value back that was moved out of the row, not what is inside it."""
    match value:
        case {"$object": str() as digest}:
            return _kept(digest, locks_dir)
        case {"$literal": dict() as inner}:
            return inner
        case _:
            return value


def _kept(digest: str, locks_dir: str | os.PathLike[str]) -> object:
    # Only a script of hundreds of steps is kept there: no other plan pays for these imports.
    from pathlib import Path  # noqa: PLC0415

    from cleveragents.record.object_store import ObjectStore  # noqa: PLC0415

    data = ObjectStore(Path(locks_dir).parent / "objects").get(digest)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RecordError(problem=f"the value {digest} of the record is no JSON") from error
