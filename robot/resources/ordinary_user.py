"""How a test that was started by root runs a command as somebody without rights.

No account is made: any unused user id will do. Where a directory on the way
(a 0700 home) cannot be passed by that user, the command gets a mount namespace
of its own in which the needed places are bound at the same paths below a
passable stand-in.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

UID = 61_000
"""Above every range that distributions hand out, below the one for nobody."""

_STAGES = (Path("/mnt"), Path("/media"), Path("/srv"))
"""Where a place may wait, in that namespace only, while its wall is covered."""

_STAND_IN = """
set -eu
mount -t tmpfs -o mode=755 tmpfs "$STAGE"
n=0
for place in $PLACES; do
    mkdir "$STAGE/$n"
    mount --rbind "$place" "$STAGE/$n"
    n=$((n + 1))
done
for wall in $WALLS; do
    mount -t tmpfs -o mode=755 tmpfs "$wall"
done
n=0
for place in $PLACES; do
    mkdir -p "$place"
    mount --rbind "$STAGE/$n" "$place"
    n=$((n + 1))
done
umount --lazy "$STAGE"
exec "$@"
"""


def is_root() -> bool:
    """Say whether there is somebody to become."""
    return os.geteuid() == 0


def as_ordinary_user(argv: list[str], checkout: Path) -> list[str]:
    """Give the command line that runs ``argv`` as the ordinary user."""
    ids = (f"--reuid={UID}", f"--regid={UID}")
    drop = ["setpriv", *ids, "--clear-groups", "--no-new-privs", "--", *argv]
    needed = _outermost({checkout, Path(sys.prefix), Path(sys.base_prefix)})
    walls = _outermost({wall for place in needed for wall in _impassable(place)})
    if not walls:
        return drop
    hidden = [place for place in needed if any(place.is_relative_to(wall) for wall in walls)]
    stage = next(stage for stage in _STAGES if stage.is_dir() and _is_clear(stage, needed))
    names = (f"PLACES={_words(hidden)}", f"WALLS={_words(walls)}", f"STAGE={stage}")
    return ["unshare", "--mount", "env", *names, "sh", "-c", _STAND_IN, "sh", *drop]


def _is_clear(stage: Path, places: list[Path]) -> bool:
    return not any(place.is_relative_to(stage) for place in places)


def _outermost(places: set[Path]) -> list[Path]:
    return sorted(
        place
        for place in places
        if not any(place != other and place.is_relative_to(other) for other in places)
    )


def _impassable(place: Path) -> list[Path]:
    return [wall for wall in (place, *place.parents) if not wall.stat().st_mode & 0o001]


def _words(places: list[Path]) -> str:
    if any(set(str(place)) & set(" \t\n*?[") for place in places):
        message = "a path with blanks or patterns cannot be bound for the ordinary user"
        raise ValueError(message)
    return " ".join(map(str, places))
