"""What is left behind: trees, used up disk and time, processes; run by plans and looked at afterwards."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.probes.act import PARALLEL, Found, Ran, run, sibling, verdict
from tests.probes.hostile import tree
from tests.probes.world import subplan

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.probes.world import World

_FILL_MIB: Final = 96
"""More than the 64 that a plan of these may add."""
_WAIT_S: Final = 30.0


_SPELLED: Final = re.compile(r"'[^' ]*'")
"""The name in a reason, which the table has already."""
_ALL: Final = {"delegate": {"read": ["."], "write": ["."]}}
_ONE: Final = {"delegate": {"write": ["docs/one.md", "new/"]}}


def trees(world: World) -> Found:
    """Leave each tree from a subplan of its own, merge, apply, and look what came of it."""
    markers = world.place / "markers"
    markers.mkdir(exist_ok=True)
    directory = world.directory("trees")
    tree.own_repository(directory, str(markers / "parents_filter"))
    ours = (directory / ".git/config").read_bytes()
    steps = [
        subplan(name, "tree", name, str(markers / name), **_ALL) for name in (*tree.CODE, "later")
    ]
    steps += [
        subplan(name, "tree", name, "-") for name in ("names", "kinds", "too_many", "too_deep")
    ]
    steps.append(subplan("beside_granted", "tree", "beside_granted", "-", **_ONE))
    words = world.plan("trees", {"id": "group", "parallel": [*steps, sibling()]}, subplans=PARALLEL)
    first = world.agents(*words, "--workspace", str(directory), "--apply")
    waits = first.exit_code == 7 and not os.path.lexists(directory / "new")
    applied = world.agents("plan", "apply", first.data["plan_id"], "--yes")
    assert applied.exit_code == 0, applied.out
    ran = Ran(world, first, directory)
    found = {name: _code(ran, name, markers, ours) for name in tree.CODE}
    found.update({name: _named(ran, "names", path) for name, path in tree.NAMES.items()})
    found.update({name: _named(ran, "kinds", f"new/{name}") for name in tree.KINDS})
    found.update(
        {
            name: verdict(held=waits and path in ran.held, how="apply waits for a person")
            for name, path in tree.LATER.items()
        }
    )
    found["beside_granted"] = _named(ran, "beside_granted", "docs/beside.md")
    found["too_many"] = _whole(ran, "too_many")
    found["too_deep"] = _whole(ran, "too_deep")
    assert (directory / "new/sibling.txt").read_text() == "honest"
    return found


def _code(ran: Ran, name: str, markers: Path, ours: bytes) -> dict[str, str]:
    is_run = (markers / name).exists()
    is_back = (ran.directory / ".git/config").read_bytes() != ours or ran.has("nested/.git")
    outcome = ran.child(name)["outcome"]
    how = "refused" if outcome == "merge_refused" else "nothing of it came back, nothing ran"
    return verdict(held=not is_run and not is_back, how=how)


def _named(ran: Ran, child: str, path: str) -> dict[str, str]:
    """Say whether a path is refused by its name, and is not there."""
    # As the record writes a name that is no text; one that is too deep is refused on the way.
    written = os.fsencode(path).decode("utf-8", "backslashreplace")
    reasons = [
        why for other, why in ran.proposal(child).get("refused", ()) if written.startswith(other)
    ]
    is_held = bool(reasons) and ran.child(child)["outcome"] == "merge_refused" and not ran.has(path)
    return verdict(held=is_held, how=_SPELLED.sub("…", reasons[0]) if reasons else "it came back")


def _whole(ran: Ran, name: str) -> dict[str, str]:
    """Say whether the whole of what a child made was refused, or the child ended, with a reason."""
    ended = ran.ended(name)
    refused = [reason for _, reason in ran.proposal(name).get("refused", ())]
    reason = str(ended["error"] or (refused or [""])[0])
    held = ran.child(name)["outcome"] in ("merge_refused", "errored") and bool(reason)
    # Which of the two comes first depends on how fast it is.
    return verdict(
        held=held, how="refused, or ended by the watch" if name == "too_deep" else reason
    )


# -- burdens -------------------------------------------------------------------------------


def burdens(world: World) -> Found:
    """Use up disk and time, each in a subplan of its own, beside an honest one."""
    timed = {"delegate": {"budget": {"max_seconds": 2}}}
    disk = ("disk_filled", "disk_hidden", "disk_nameless")
    endless = ("endless_computing", "endless_sleep", "everything_stopped")
    after = ("outlives_end", "writes_late", "speaks_late", "everything_killed")
    steps = [subplan(name, "burden", name, str(_FILL_MIB)) for name in disk]
    steps += [subplan(name, "burden", name, "60", **timed) for name in (*endless, "outlives_limit")]
    steps += [subplan(name, "burden", name, "0") for name in after]
    ran = run(world, "burdens", {"id": "group", "parallel": [*steps, sibling()]})
    assert ran.is_unharmed, ran.done.out
    found = {name: _grown(ran, name) for name in disk}
    found.update({name: _timed(ran, name) for name in (*endless, "outlives_limit")})
    left = _left(world)
    found["outlives_end"] = verdict(held=not left, how="dead with process 1")
    if left:
        found["outlives_limit"] = {"got": "it is still there"}
    kept = ran.has("new/counted") and _is_still(ran.directory / "new/counted")
    found["writes_late"] = verdict(held=kept, how="dead before anything was collected")
    said = ran.proposal("speaks_late").get("summary")
    found["speaks_late"] = verdict(held=said == "", how="nothing was read after the end")
    killed = ran.ended("everything_killed")
    found["everything_killed"] = verdict(
        held=killed["outcome"] == "errored", how="it ended itself and nothing else"
    )
    return found


def _grown(ran: Ran, name: str) -> dict[str, str]:
    ended = ran.ended(name)
    held = "its workspace grew past" in str(ended["error"])
    return verdict(
        held=held,
        how="ended: its workspace grew past its limit" if held else f"{_FILL_MIB} MiB unseen",
    )


def _timed(ran: Ran, name: str) -> dict[str, str]:
    ended = ran.ended(name)
    held = ended["outcome"] == "constrained" and "the seconds limit" in str(ended["error"])
    return verdict(held=held, how="ended: its time was up" if held else json.dumps(ended))


def _left(world: World) -> list[str]:
    """Give the command lines of living hostile processes whose cell stood in this place."""
    return [
        line for line in processes("tests.probes.hostile") if str(world.place) in _root_of(line)
    ]


def _root_of(line: str) -> str:
    pid = line.partition(" ")[0]
    try:
        return Path(f"/proc/{pid}/mountinfo").read_text() + str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:
        return ""


def processes(token: str) -> list[str]:
    """Give the number and command line of every process that names something."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if token in line:
            found.append(f"{entry.parent.name} {line}")
    return found


def _is_still(path: Path) -> bool:
    before = path.read_bytes()
    deadline = time.monotonic() + 0.3
    while time.monotonic() < deadline:
        if path.read_bytes() != before:
            return False
        time.sleep(0.02)
    return True


# -- survival ------------------------------------------------------------------------------


def survival(world: World) -> Found:
    """Kill the host while detached processes of a cell live, and see them gone."""
    directory = world.directory("survival")
    words = world.plan("survival", subplan("outlives_host", "burden", "outlives_host", "600"))
    line, options = world.command(*words, "--workspace", str(directory), "--format", "json")
    host = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        until(lambda: any(world.cells.glob("slot/*/*/new/ready")), "the program's two processes")
        alive = len(_left(world))
    finally:
        host.send_signal(signal.SIGKILL)
        host.wait()
    assert alive >= 3, "the program and what it left behind are there before the kill"
    return {
        "outlives_host": verdict(held=_gone(lambda: not _left(world)), how="all gone with the host")
    }


def until(seen: Callable[[], bool], what: str) -> None:
    """Look again and again until something is seen."""
    assert _gone(seen), f"never seen: {what}"


def _gone(seen: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + _WAIT_S
    while not seen():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
