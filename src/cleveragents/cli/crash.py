"""What is said when the program itself is wrong: one sentence, and where the trace is."""

from __future__ import annotations

import os
import tempfile
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from cleveragents.cli.invocation import no_page
from cleveragents.cli.neutral import neutralise
from cleveragents.cli.place import home_of
from cleveragents.errors import ConfigurationError

if TYPE_CHECKING:
    from cleveragents.cli.invocation import Invocation


def report(error: BaseException, invocation: Invocation) -> None:
    """Write the trace down and say where; with ``--format json`` also the envelope."""
    if isinstance(error, KeyboardInterrupt):
        # Before any command ran, or a second one while the first was being obeyed.
        return
    # A crash is the one place where it does not matter what is imported.
    from cleveragents.cli.render import render  # noqa: PLC0415
    from cleveragents.terms.answer import Answer, Message  # noqa: PLC0415

    what = neutralise(f"{type(error).__name__}: {error}")[:200]
    place = _write_trace(error, invocation)
    text = f"this is a fault of agents itself ({what}); {place}"
    answer = Answer(data=None, exit_code=1, messages=(Message("error", text),))
    render(answer, no_page, invocation)


def _write_trace(error: BaseException, invocation: Invocation) -> str:
    lines = traceback.format_exception(error)
    try:
        path = _crash_file(invocation)
        # Only its owner reads it: the text of an exception may hold anything.
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write("".join(lines))
    except OSError as problem:
        return f"its trace could not be written: {problem.strerror or problem}"
    return f"its trace is in {path}"


def _crash_file(invocation: Invocation) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    name = f"{stamp}-{os.getpid()}-{time.monotonic_ns() % 1_000_000}.txt"
    return _directory(invocation) / name


def _directory(invocation: Invocation) -> Path:
    try:
        directory = Path(home_of(invocation.environ)) / "crash"
    except (ConfigurationError, ImportError):
        # What is broken may be what says where the home is.
        return Path(tempfile.mkdtemp(prefix="agents-crash-"))
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory
