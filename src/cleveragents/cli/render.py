"""Print an answer in the format that was asked for.

The answer goes to stdout and nothing else does; warnings and errors go to
stderr, in every format.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cleveragents.cli.invocation import Invocation
    from cleveragents.cli.page import Page
    from cleveragents.terms.answer import Answer, Message

    View = Callable[[Mapping[str, object]], Page]


def render(answer: Answer, view: View, invocation: Invocation) -> None:
    """Print an answer.

    Args:
        answer: Data, exit code and messages.
        view: Makes the page that a person reads; called for ``rich`` and
            ``plain`` only, and only when there is data.
        invocation: Where to print, and how.
    """
    write = invocation.stdout.write
    match invocation.format:
        case "json":
            write(to_json(invocation.command, answer) + "\n")
        case "yaml":
            write(_to_yaml(invocation.command, answer))
        case "rich" if answer.data is not None:
            _draw_rich(view(answer.data), invocation)
        case _ if answer.data is not None:
            write(_to_plain(view(answer.data), invocation.width(invocation.stdout)))
        case _:
            pass
    invocation.stdout.flush()
    show_messages(answer.messages, invocation)


def show_messages(messages: tuple[Message, ...], invocation: Invocation) -> None:
    """Say the messages on stderr; ``info`` only to people, who have no envelope."""
    if not messages:
        return
    # Most answers carry no message, and the cheap ones are not to pay for it.
    from cleveragents.cli.neutral import neutralise  # noqa: PLC0415

    is_for_people = invocation.format not in {"json", "yaml"}
    for message in messages:
        text = neutralise(message.text)
        if message.level == "error":
            invocation.stderr.write(f"agents: {text}\n")
        elif message.level == "warning":
            invocation.stderr.write(f"warning: {text}\n")
        elif is_for_people:
            invocation.stderr.write(f"{text}\n")
    invocation.stderr.flush()


def to_json(command: str, answer: Answer) -> str:
    """One object; ASCII, so that no terminal and no encoding can spoil it."""
    # Not every run prints JSON; each of these is paid for by its own format.
    import json  # noqa: PLC0415

    from cleveragents.cli.envelope import envelope  # noqa: PLC0415

    return json.dumps(envelope(command, answer), indent=2)


def _to_yaml(command: str, answer: Answer) -> str:
    # As above: paid for by its own format.
    from cleveragents.cli.envelope import envelope  # noqa: PLC0415
    from cleveragents.cli.yaml_text import to_yaml  # noqa: PLC0415

    return to_yaml(envelope(command, answer))


def _to_plain(page: Page, width: int | None) -> str:
    # As above: paid for by its own format.
    from cleveragents.cli.plain_page import draw  # noqa: PLC0415

    return draw(page, width)


def _draw_rich(page: Page, invocation: Invocation) -> None:
    # As above; this is the only way to rich (a terminal, or --format rich).
    from cleveragents.cli.rich_page import draw  # noqa: PLC0415

    draw(page, invocation.stdout, invocation.width(invocation.stdout))
