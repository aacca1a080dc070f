"""What a plan does not need is not loaded for it, and what is written out here is right."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import datetime

from cleveragents.assembly.clock import new_id, timestamp
from cleveragents.assembly.credential_opening import open_credentials
from cleveragents.policy.condition import Condition

NEVER = ("httpx", "rich", "ulid", "sqlalchemy", "cleveragents.tools.broker.fetch")


def test_a_plan_without_credentials_loads_no_http_client() -> None:
    program = f"""
import sys
import cleveragents.assembly.plan_command
print([name for name in {NEVER!r} if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"
    assert open_credentials({}, {}) == {}


def test_ids_are_ulids_in_the_order_of_time() -> None:
    first, *others = ids = [new_id() for _ in range(1000)]
    assert all(re.fullmatch(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", one) for one in ids)
    assert len(set(ids)) == len(ids)
    assert all(first[:10] <= one[:10] for one in others)


def test_the_time_is_what_the_library_reads() -> None:
    before, said, after = timestamp(), datetime.fromisoformat(timestamp()), timestamp()
    assert len(before) == len("2026-01-01T00:00:00.000000Z")
    assert datetime.fromisoformat(before) <= said <= datetime.fromisoformat(after)
    assert said.utcoffset() is not None


def test_a_condition_that_says_no_without_a_reason_is_a_no() -> None:
    class Mute:
        def iter_errors(self, arguments: object) -> tuple[()]:
            del arguments
            return ()

    condition = Condition(admits=lambda _: False, _validator=Mute())  # type: ignore[arg-type]  # a double
    assert condition.failure({}) == "the condition does not hold, and gives no reason"
