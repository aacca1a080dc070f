"""Make every attempt as every user there is, write the page, and say what is not as it should be.

``python -m tests.probes``; with ``--half FILE`` only as the user that runs it,
and the result into a file; ``--own`` behind it leaves out all but the attempts
that a program makes by itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from tests.probes.half import Half, attempts, half, own_half
from tests.probes.table import PAGE, differences, problems, read_page, render
from tests.probes.world import CHECKOUT, SYSTEM_PATH

sys.path.append(str(CHECKOUT / "robot/resources"))
from ordinary_user import UID, as_ordinary_user  # robot's, found by path

_TIMEOUT_S: Final = 600


def half_as_ordinary_user(*words: str) -> Half:
    """Run the other half as somebody without rights; only for root."""
    with tempfile.TemporaryDirectory(prefix="probes-user-", dir="/var/tmp") as place:
        os.chown(place, UID, UID)
        report = Path(place) / "half.json"
        line = [sys.executable, "-B", "-m", "tests.probes", "--half", str(report), *words]
        kept = {k: v for k, v in os.environ.items() if k == "PYTHONPATH"}
        environment = {
            "PATH": SYSTEM_PATH,
            "HOME": place,
            "TMPDIR": place,
            "LANG": "C.UTF-8",
            **kept,
        }
        subprocess.run(
            as_ordinary_user(line, CHECKOUT),
            cwd=CHECKOUT,
            env=environment,
            check=True,
            timeout=_TIMEOUT_S,
        )
        return msgspec.json.decode(report.read_bytes(), type=Half)


def judged(one: Half, user: str) -> list[str]:
    """Say what of one half fails the session."""
    return problems(
        ((attempt, one.seen[attempt.name]) for attempt in attempts() if attempt.name in one.seen),
        user,
    )


def main() -> int:
    """Run both halves beside each other; the exit code says whether everything is as it should be."""
    if os.geteuid() != 0:
        found = judged(half(), "user")
        _tell(found, "only as an ordinary user, for this is not root: the page was not written")
        return bool(found)
    with ThreadPoolExecutor(1) as beside:
        other = beside.submit(half_as_ordinary_user)
        own = half()
        ordinary = other.result()
    page = render(own, ordinary)
    before = read_page(PAGE.read_text()) if PAGE.exists() else []
    found = [*judged(own, "root"), *judged(ordinary, "user"), *differences(before, read_page(page))]
    PAGE.write_text(page)
    _tell(found, f"{len(read_page(page))} attempts, as root and as an ordinary user")
    return bool(found)


def _tell(found: list[str], what: str) -> None:
    end = f"{len(found)} things are not as they should be" if found else "as it should be"
    sys.stdout.write("\n  ".join([what, *found]) + f"\n{end}\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--half"]:
        made = own_half() if "--own" in sys.argv else half()
        Path(sys.argv[2]).write_bytes(msgspec.json.encode(made))
    else:
        sys.exit(main())
