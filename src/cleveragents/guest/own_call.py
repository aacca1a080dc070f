"""How is an own tool's function called so that nothing of it outlives the call?

In a forked child that does not hold the channel: threads, open files and
whatever else the function leaves behind end with it, and what it keeps in
memory is gone, as it is after a resume, where the record answers instead.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import sys
import traceback
from typing import TYPE_CHECKING, Final

from cleveragents.boundary.frame import FrameError, FrameReader, pack
from cleveragents.errors import ToolFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ENDED_WELL: Final = 0
_ENDED_BADLY: Final = 1


def load(tool: str, path: str, *, digest: str) -> Callable[..., object]:
    """Load the file of an own tool and give the tool's function.

    Raises:
        ToolFailedError: The file has another content than the registry read, it
            cannot be loaded, or defines no such tool.
    """
    with open(path, "rb") as file:  # noqa: PTH123  # pathlib is dear in the guest
        found = "sha256:" + hashlib.sha256(file.read()).hexdigest()
    if found != digest:
        raise _failed(tool, "its file has changed since the plan started")
    from cleveragents.tools import own_tool  # noqa: PLC0415  # only where there are own tools

    try:
        functions = own_tool.load(path)
    # Whatever an operator's file raises when it is loaded is its failure.
    except Exception as error:
        traceback.print_exc()
        raise _failed(tool, f"its file cannot be loaded: {_said(error)}") from error
    if tool not in functions:
        raise _failed(tool, "its file does not define it")
    return functions[tool]


def call_in_child(
    tool: str, function: Callable[..., object], arguments: Mapping[str, object], *, channel: int
) -> object:
    """Call a function in a child process and give its JSON value.

    Raises:
        ToolFailedError: It raised, its result has no JSON form or is too large,
            or its process ended.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    # The guest is single-threaded and started by us alone.
    child = os.fork()  # noqa: TID251
    if child == 0:
        os.close(reading)
        os.close(channel)
        os._exit(_run(function, arguments, writing))
    os.close(writing)
    try:
        answer = _await_answer(child, reading)
    finally:
        os.close(reading)
    if "error" in answer:
        raise _failed(tool, str(answer["error"]))
    return answer["value"]


def _run(function: Callable[..., object], arguments: Mapping[str, object], writing: int) -> int:
    try:
        answer = {"value": function(**arguments)}
        frame = pack(json.dumps(answer, allow_nan=False).encode())
    except FrameError as error:
        frame = _error_frame(f"its result is {error}")
    # Whatever an operator's function raises is its failure, never the guest's.
    except Exception as error:  # noqa: BLE001  # the operator's own code may raise anything
        traceback.print_exc()
        frame = _error_frame(_said(error))
    sys.stdout.flush()
    sys.stderr.flush()
    view = memoryview(frame)
    try:
        while view:
            view = view[os.write(writing, view) :]
    except OSError:
        return _ENDED_BADLY
    return _ENDED_WELL


def _failed(tool: str, reason: str) -> ToolFailedError:
    return ToolFailedError(tool_name=tool, reason=reason)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _error_frame(text: str) -> bytes:
    return pack(json.dumps({"error": text[:2000]}).encode())


def _await_answer(child: int, reading: int) -> dict[str, object]:
    """Wait for the answer or the child's end, whichever comes first.

    A grandchild may hold the pipe open: the child's own end counts.
    """
    ended = os.pidfd_open(child)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(reading, select.POLLIN)

    def read(size: int) -> bytes:
        ready = {descriptor for descriptor, _ in poll.poll()}
        return os.read(reading, size) if reading in ready else b""

    try:
        payload = FrameReader(read, quota=1 << 30).next()
    except FrameError:
        payload = None
    finally:
        os.close(ended)
    if payload is None:
        return {"error": "its process ended without a result"}
    answer: dict[str, object] = json.loads(payload)
    return answer
