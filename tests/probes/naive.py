"""Hosts without the boundary's rules: what each attempt does to somebody who believes what he gets.

The control for what is not a system call: a reader of messages that only
loads JSON, git in the tree as it was left, a copy that takes what is there,
a parent that waits for its child.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from tests.probes.aftermath import processes, until
from tests.probes.hostile import burden, message, tree
from tests.probes.world import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.probes.act import Found
    from tests.probes.world import World

_PATIENCE_S: Final = 0.5
_ENDLESS: Final = ("endless_computing", "endless_sleep", "everything_stopped", "outlives_limit")
_FILLS: Final = ("disk_filled", "disk_hidden", "disk_nameless")
_FILL_MIB: Final = 96
_GIT: Final = {
    "git_diff": ("git", "diff"),
    "git_filter": ("git", "add", "--all"),
    "git_hook": (
        "git",
        "-c",
        "user.name=x",
        "-c",
        "user.email=x@localhost",
        "commit",
        "--allow-empty",
        "-m",
        "x",
    ),
    "parents_filter": ("git", "add", "--all"),
    "git_nested": ("git", "-C", "nested", "status"),
}
"""What a host would run there; ``git status`` where nothing is said."""


# -- messages ----------------------------------------------------------------------------


def messages(world: World) -> Found:
    """Send each message to a reader that loads JSON and does what it is told."""
    return {name: _believed(name, world) for name in message.MESSAGES}


def _believed(name: str, world: World) -> dict[str, str]:
    if name == "pickle":
        return _unpickled(world.place / "unpickled")
    here, there = socket.socketpair()
    sender = threading.Thread(target=_send, args=(name, there), daemon=True)
    sender.start()
    here.settimeout(_PATIENCE_S)
    try:
        return {"got": _serve(name, here)}
    except TimeoutError:
        return {"got": "it waits for ever"}
    except (ValueError, TypeError, RecursionError, ConnectionError) as error:
        return {"got": f"it ends with {type(error).__name__}"}
    finally:
        here.close()
        there.close()
        sender.join()


def _send(name: str, sock: socket.socket) -> None:
    try:
        message.MESSAGES[name].send(sock)
    except OSError:
        return


def _serve(name: str, sock: socket.socket) -> str:
    """Take two messages; do as the second one, or the only one, says."""
    taken: list[Any] = []
    count = 2 if name in ("repeated", "second_result", "after_result") else 1
    if name in ("flood", "refused_for_ever"):
        count = 1 << 30
    while len(taken) < count:
        taken.append(json.loads(_exactly(sock, int.from_bytes(_exactly(sock, 4), "big"))))
        # An answer to each; who does not read them fills the pipe.
        sock.sendall(b"x" * 4096)
    # A list has no type to be told by: it is this host's mistake that it does not look.
    return f"it does as it is told: {taken[-1]['type']}"


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = sock.recv(min(size - len(data), 1 << 20))
        if not piece:
            raise ConnectionError
        data += piece
    return data


def _unpickled(place: Path) -> dict[str, str]:
    data = message.PICKLE.replace(b"{place}", os.fsencode(place))
    # The attempt is that somebody does this.
    pickle.loads(data)  # noqa: S301
    return {"got": "what it names is run"} if place.is_dir() else {"held": "nothing was run"}


# -- the tree ----------------------------------------------------------------------------


def trees(world: World) -> Found:
    """Leave each tree, run git in it, copy it."""
    found = {name: _run_git(world.place / "naive" / name, name) for name in tree.CODE}
    place = world.place / "naive/tree"
    copied = world.place / "naive/copied/tree"
    place.mkdir(parents=True)
    (place / "docs").mkdir()
    for name in ("names", "later", "kinds", "beside_granted"):
        _leave(place, name)
    # A fifo is nothing that can be copied; that it is there is what it takes.
    paths = {
        **tree.NAMES,
        **{name: f"new/{name}" for name in tree.KINDS},
        **tree.LATER,
        "beside_granted": "docs/beside.md",
    }
    subprocess.run(["cp", "-a", f"{place}/.", str(copied.parent)], check=True)
    for name, path in paths.items():
        is_there = os.path.lexists(copied.parent / path)
        found[name] = {"got": "it is copied as it is"} if is_there else {"held": "it is not copied"}
    found["too_many"] = found["too_deep"] = {"held": "not tried"}
    shutil.rmtree(world.place / "naive")
    return found


def _leave(place: Path, *words: str) -> None:
    line = [sys.executable, "-m", "tests.probes.hostile", "tree", *words, "-"]
    subprocess.run(line, cwd=place, env=_environment(), check=True)


def _environment() -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CHECKOUT),
        "HOME": "/nonexistent",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _run_git(place: Path, name: str) -> dict[str, str]:
    (place / "new").mkdir(parents=True)
    (place / "kept").write_text("before\n")
    marker = place.parent / f"{name}-ran"
    if name == "parents_filter":
        tree.own_repository(place, str(marker))
    if name == "git_diff":
        subprocess.run(["git", "init", "--quiet", "."], cwd=place, env=_environment(), check=True)
        subprocess.run(["git", "add", "kept"], cwd=place, env=_environment(), check=True)
    _leave_code(place, name, marker)
    (place / "kept").write_text("after, and longer\n")
    line = _GIT.get(name, ("git", "status"))
    subprocess.run(line, cwd=place, env=_environment(), check=False, capture_output=True)
    return (
        {"got": f"`{' '.join(line[:2])}` runs it"}
        if marker.exists()
        else {"held": "git did not run it"}
    )


def _leave_code(place: Path, name: str, marker: Path) -> None:
    line = [sys.executable, "-m", "tests.probes.hostile", "tree", name, str(marker)]
    subprocess.run(line, cwd=place, env=_environment(), check=True)


# -- burdens and survival ----------------------------------------------------------------


def burdens(world: World) -> Found:
    """Let each use up what it wants, with nobody but a parent that waits."""
    place = world.place / "unwatched"
    (place / "new").mkdir(parents=True)
    found: Found = {name: _filled(place, name) for name in _FILLS}
    found.update({name: _unending(place, name) for name in _ENDLESS})
    found["everything_killed"] = {"held": "not tried"}
    found["outlives_end"] = _outlives(place, "outlives_end", "0")
    found["outlives_host"] = _outlives(place, "outlives_host", "600")
    found["writes_late"] = _late(place)
    found["speaks_late"] = _said_late(place)
    shutil.rmtree(place)
    return found


def _start(place: Path, name: str, number: str, **more: Any) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-m", "tests.probes.hostile", "burden", name, number, str(place)]
    environment = {**_environment(), **more.pop("environment", {})}
    return subprocess.Popen(line, cwd=place, env=environment, **more)


def _filled(place: Path, name: str) -> dict[str, str]:
    process = _start(place, name, str(_FILL_MIB))
    is_done = process.wait() == 0
    shutil.rmtree(place / "new")
    (place / "new").mkdir()
    return {"got": f"{_FILL_MIB} MiB"} if is_done else {"held": "it failed"}


def _unending(place: Path, name: str) -> dict[str, str]:
    process = _start(place, name, "60")
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        return {"got": "it is still there"}
    finally:
        process.kill()
        process.wait()
        _end_left(place)
    return {"held": "it ended"}


def _outlives(place: Path, name: str, number: str) -> dict[str, str]:
    ready = place / "new/ready"
    ready.unlink(missing_ok=True)
    process = _start(place, name, number)
    until(ready.exists, "what is left behind")
    if number != "0":
        process.kill()
    process.wait()
    return {"got": "it lives on"} if _end_left(place) else {"held": "nothing is left"}


def _end_left(place: Path) -> int:
    """End what was left behind in a place, by its number; give how many there were."""
    left = [int(line.partition(" ")[0]) for line in processes(str(place))]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return len(left)


def _late(place: Path) -> dict[str, str]:
    process = _start(place, "writes_late", "0")
    process.wait()
    first = (place / "new/counted").read_text()
    try:
        until(lambda: (place / "new/counted").read_text() not in ("", first), "another number")
    finally:
        _end_left(place)
    return {"got": "the file changes after its end"}


def _said_late(place: Path) -> dict[str, str]:
    here, there = socket.socketpair()
    with here:
        with there:
            number = there.fileno()
            process = _start(
                place,
                "speaks_late",
                "0",
                pass_fds=(number,),
                environment={"CLEVERAGENTS_CHANNEL": str(number)},
            )
        process.wait()
        here.settimeout(10)
        said = here.recv(4096)
    return {"got": "it is heard after its end"} if b"late" in said else {"held": "nothing was said"}


MORE: Final = (burden, message, tree)
"""The modules whose attempts are tried here."""
