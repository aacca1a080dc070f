"""The hostile program: makes its attempts one by one and writes down how each ended.

``inside SCENE REPORT [NAME...]``: the attempts that a program makes by
itself. Anything else is a part of ``deed``.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.probes.hostile import (
    deed,
    device,
    exhaustion,
    file,
    kernel,
    link,
    namespace,
    network,
    process,
)
from tests.probes.hostile.kit import ATTEMPTS, Held, met

if TYPE_CHECKING:
    from tests.probes.hostile.kit import Attempt, Scene

MODULES: Final = (process, file, link, network, namespace, device, kernel, exhaustion)
_EACH_S: Final = 30.0


def make_attempt(attempt: Attempt, scene: Scene) -> dict[str, str]:
    """Make one attempt in a process of its own, which it may ruin."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        os.write(writing, json.dumps(_made(attempt, scene)).encode())
        os._exit(0)
    os.close(writing)
    said = _read_all(reading, pid)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if said:
        return _understood(said)
    if code == -signal.SIGKILL:
        return {"broken": "it did not end"}
    return (
        {"held": f"killed by {signal.Signals(-code).name}"} if code < 0 else {"broken": str(code)}
    )


def _understood(said: bytes) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads(said)
    except ValueError:
        return {"broken": f"it said {said!r}"}
    return found


def _made(attempt: Attempt, scene: Scene) -> dict[str, str]:
    if attempt.action is None:
        raise ValueError(attempt.name)
    try:
        return {"got": attempt.action(scene)}
    except Held as held:
        return {"held": str(held)}
    except OSError as error:
        return {"held": met(error)}
    # Anything else is a mistake of the attempt's, which proves nothing.
    except BaseException as error:  # noqa: BLE001
        return {"broken": f"{type(error).__name__}: {error}"}


def _read_all(descriptor: int, pid: int) -> bytes:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    said = b""
    while True:
        if not poll.poll(_EACH_S * 1000):
            os.kill(pid, signal.SIGKILL)
            break
        data = os.read(descriptor, 1 << 16)
        if not data:
            break
        said += data
    os.close(descriptor)
    return said


def main(arguments: list[str]) -> None:
    """Do what the first argument says."""
    if arguments[0] != "inside":
        deed.main(arguments)
        return
    scene: dict[str, Any] = json.loads(Path(arguments[1]).read_text())
    own = [one for one in ATTEMPTS.values() if one.action is not None]
    wanted = [one for one in own if not arguments[3:] or one.name in arguments[3:]]
    report = {one.name: make_attempt(one, scene) for one in wanted}
    # Links and devices would have the whole proposal refused, and the report with it.
    for left in Path(scene["scratch_directory"]).iterdir():
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink()
    Path(arguments[2]).write_text(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1:])
