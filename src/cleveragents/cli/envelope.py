"""The one JSON object that every command prints: part of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cleveragents.terms.answer import Answer


def envelope(command: str, answer: Answer) -> dict[str, object]:
    """Wrap an answer for a program.

    Args:
        command: The words after ``agents``, such as ``plan status``.
        answer: What the command answers.

    Returns:
        ``command``, ``status`` (``ok`` exactly when the exit code is 0),
        ``exit_code``, ``data`` and ``messages``, in this order.
    """
    return {
        "command": command,
        "status": "ok" if answer.exit_code == 0 else "error",
        "exit_code": answer.exit_code,
        "data": answer.data,
        "messages": [{"level": m.level, "text": m.text} for m in answer.messages],
    }
