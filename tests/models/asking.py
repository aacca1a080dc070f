"""What the tests of this room ask, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cleveragents.errors import ModelFailedError
from cleveragents.terms.model import ModelEndpoint, ModelRequest, ModelTool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cleveragents.models.line import ModelLine
    from cleveragents.terms.model import ModelReply
    from tests.models.loopback_server import LoopbackServer

SECRET = "sk-of-the-test-0123456789"
READ = ModelTool(
    "read_file",
    "Reads a file.",
    {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
)
USER: Mapping[str, object] = {"role": "user", "text": "read it"}


def request(
    *messages: Mapping[str, object], tools: tuple[ModelTool, ...] = (READ,)
) -> ModelRequest:
    return ModelRequest("Be good.", messages or (USER,), tools, max_output_tokens=500)


def ask(
    line: ModelLine,
    server: LoopbackServer,
    asked: ModelRequest | None = None,
    *,
    model: str = "openai:gpt-5-mini",
    base_url: str = "",
    on_text: Callable[[str], None] | None = None,
    secret: str | None = SECRET,
    timeout_s: float = 20,
    should_stop: Callable[[], bool] = lambda: False,
) -> ModelReply:
    return line.ask(
        ModelEndpoint(model, base_url or server.base_url),
        asked or request(),
        secret=secret,
        on_text=on_text,
        timeout_s=timeout_s,
        should_stop=should_stop,
    )


def failure(
    line: ModelLine, server: LoopbackServer, *, is_streamed: bool = False, timeout_s: float = 20
) -> ModelFailedError:
    """What goes wrong; its sentence is short, printable and without the key."""
    on_text = (lambda _: None) if is_streamed else None
    with pytest.raises(ModelFailedError) as caught:
        ask(line, server, on_text=on_text, timeout_s=timeout_s)
    error = caught.value
    assert error.message.isprintable()
    assert len(error.message) < 400
    assert SECRET not in error.message
    return error
