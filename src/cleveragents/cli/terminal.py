"""A person at a terminal: is asked before a call and before apply, and sees progress.

Everything goes to stderr: stdout is for the answer alone. What is typed before
a question is shown counts for nothing, and only ``y`` or ``yes`` agrees.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Final, TextIO

from cleveragents.cli.neutral import neutralise
from cleveragents.cli.page import Field, Fields, Heading, Paragraph, Source
from cleveragents.cli.plain_page import draw
from cleveragents.terms.interaction import Nobody

if TYPE_CHECKING:
    from collections.abc import Callable

    from cleveragents.cli.invocation import Invocation
    from cleveragents.cli.page import Page
    from cleveragents.terms.interaction import (
        ApplyQuestion,
        ApprovalQuestion,
        Interaction,
        ProgressEvent,
        ProgressKind,
    )

SHOWN_CHARACTERS: Final = 2_000
"""Of one argument, before a person asks for the rest."""
SHOWN_LINES: Final = 200
"""Of a patch, before a person asks for the rest."""
MARKS: Final[dict[ProgressKind, str]] = {
    "started": ">",
    "call": "+",
    "denied": "x",
    "failed": "!",
    "waiting": "?",
    "spawned": ">",
    "merged": "<",
    "budget": "$",
    "ended": "=",
}


def interaction_for(invocation: Invocation) -> Interaction:
    """Choose who is asked: the person at this terminal, or nobody.

    Args:
        invocation: Its streams say whether anybody is there.
    """
    if invocation.is_attended:
        return Terminal(invocation, forget_typed=forget_typed)
    return Bystander(invocation)


class Bystander(Nobody):
    """Nobody answers; the id of the root plan is kept for what is said at the end.

    Progress still shows where stderr is a terminal: stdin may be ``/dev/null``
    while somebody watches.
    """

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._lock = threading.Lock()

    def progress(self, event: ProgressEvent) -> None:
        """Note the root plan, and say what happened if somebody can see it."""
        with self._lock:
            _note_root(self._invocation, event)
            if self._invocation.stderr.isatty():
                _show_progress(self._invocation, event)


class Terminal:
    """Asks one question at a time, whichever thread of the plan it comes from.

    Args:
        invocation: The streams.
        forget_typed: Throws away what was typed before the question was shown.
    """

    def __init__(self, invocation: Invocation, *, forget_typed: Callable[[TextIO], None]) -> None:
        self._invocation = invocation
        self._forget_typed = forget_typed
        self._lock = threading.RLock()

    def approve_call(self, question: ApprovalQuestion) -> bool | None:
        """Show the call and its arguments, and ask; ``None`` at end of input."""
        with self._lock:
            self._show(_call_page(question, SHOWN_CHARACTERS))
            return self._ask(
                f"Run this {question.tool}?", lambda: self._show(_call_page(question, None))
            )

    def confirm_apply(self, question: ApplyQuestion) -> bool | None:
        """Show the patch and what in it runs code later, and ask."""
        with self._lock:
            self._show(_apply_page(question, SHOWN_LINES))
            return self._ask(
                "Apply these changes to your directory?",
                lambda: self._show(_apply_page(question, None)),
            )

    def progress(self, event: ProgressEvent) -> None:
        """Say in one line what happened."""
        with self._lock:
            _note_root(self._invocation, event)
            _show_progress(self._invocation, event)

    def _show(self, page: Page) -> None:
        stderr = self._invocation.stderr
        stderr.write("\n" + draw(page, self._invocation.width(stderr)))

    def _ask(self, question: str, show_all: Callable[[], None]) -> bool | None:
        stderr = self._invocation.stderr
        while True:
            stderr.write(f"{neutralise(question)} [y/N, v: view all] ")
            stderr.flush()
            self._forget_typed(self._invocation.stdin)
            line = self._invocation.stdin.readline()
            if not line:
                stderr.write("\n")
                return None
            match line.strip().lower():
                case "y" | "yes":
                    return True
                case "" | "n" | "no":
                    return False
                case "v" | "view":
                    show_all()
                case _:
                    stderr.write("y runs it, n or Enter refuses, v shows everything\n")


def _call_page(question: ApprovalQuestion, limit: int | None) -> Page:
    return (
        Heading(f"{question.tool} waits for you"),
        Fields(
            (
                Field("plan", question.plan_id),
                Field("call", question.call_id),
                Field("why", question.reason),
            )
        ),
        # By themselves: an argument may be called like one of the fields above.
        Heading("Arguments"),
        Fields(tuple(Field(f"  {n}", _shown(v, limit)) for n, v in question.arguments.items())),
    )


def _shown(value: object, limit: int | None) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if limit is None or len(text) <= limit:
        return text or '""'
    # Both ends: what is hidden in a long argument is rarely put first.
    half = limit // 2
    return f"{text[:half]} [... {len(text) - limit} characters, v shows them ...] {text[-half:]}"


def _apply_page(question: ApplyQuestion, limit: int | None) -> Page:
    lines = question.diff.splitlines(keepends=True)
    shown = lines if limit is None else lines[:limit]
    page: Page = (
        Heading(f"plan {question.plan_id} is finished"),
        Source("".join(shown), "diff"),
    )
    if len(shown) < len(lines):
        rest = f"... {len(lines) - len(shown)} more lines of the patch; v shows them"
        page += (Paragraph(rest, "warn"),)
    if question.held:
        page += (
            Heading("These files run code on your side later:", "warn"),
            *(Paragraph(path, "warn", indent=2) for path in question.held),
        )
    if question.summary:
        page += (Paragraph(question.summary),)
    return page


def _note_root(invocation: Invocation, event: ProgressEvent) -> None:
    # The root is the first plan that is heard of.
    invocation.plan_id = invocation.plan_id or event.plan_id


def _show_progress(invocation: Invocation, event: ProgressEvent) -> None:
    stderr = invocation.stderr
    child = "" if event.plan_id == invocation.plan_id else "  "
    line = f"{child}{MARKS[event.kind]} {neutralise(event.text)}"
    width = invocation.width(stderr)
    if width is not None and len(line) > width:
        line = line[: width - 1] + "…"
    stderr.write(line + "\n")
    stderr.flush()


def forget_typed(stream: TextIO) -> None:
    """Throw away what was typed into a terminal and not read yet."""
    # Only a terminal with a question on it needs this.
    import termios  # noqa: PLC0415

    termios.tcflush(stream.fileno(), termios.TCIFLUSH)
