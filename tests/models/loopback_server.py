"""A model provider on 127.0.0.1 that answers what a test tells it to, over real HTTP.

It speaks OpenAI's chat completions protocol, streamed (SSE) and in one piece,
as the request asks. A script is a list of answers, given one by one (the last
one again and again, unless ``is_strict``), or a function from the request's
body, and its number from 0, to an answer::

    with LoopbackServer([calls(("read_file", {"path": "a.txt"})), says("done")]) as server:
        ModelEndpoint("openai:any-name", base_url=server.base_url)
        ...
        assert server.bodies[1]["messages"][-1]["role"] == "tool"

Answers are made by the functions of this module: ``says``, ``calls``,
``fails`` and ``raw``; ``replace`` of ``dataclasses`` changes one. From the
command line the script is a JSON file, a list of the same fields::

    python -m tests.models.loopback_server --script FILE --port 0 [--log FILE]

    [{"calls": [["read_file", {"path": "a.txt"}]]},
     {"status": 429, "headers": {"retry-after": "1"}},
     {"text": "done", "usage": [100, 20, 0]}]

The first line that it prints is its base URL, ``http://127.0.0.1:PORT/v1``;
``--log`` appends each request's body to a file, one JSON a line.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

Body = dict[str, Any]
Usage = tuple[int, int, int]
"""Input, output and, of the input, cached tokens."""
Death = Literal["", "headers", "middle", "end"]


@dataclass(frozen=True)
class Answer:
    """One scripted answer."""

    text: str = ""
    calls: tuple[tuple[str, object], ...] = ()
    """Name and arguments; arguments that are a ``str`` are sent as they are, malformed or not."""
    usage: Usage | None = (100, 20, 0)
    """``None``: the provider says nothing about it."""
    finish: str | None = ""
    """Empty: ``tool_calls`` or ``stop``; ``None``: never said."""
    call_ids: tuple[str, ...] = ()
    """Empty: ``call_0``, ``call_1``, ... with the request's number."""
    model: str = "loopback-model"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content: str | bytes | None = None
    """Sent in place of the protocol's body."""
    thinking: str = ""
    dies: Death = ""
    """Where the connection breaks: before any byte, in the middle, or before a stream's end."""
    delay_s: float = 0.0
    """Before the first byte; ended early when the server is closed."""
    pause_s: float = 0.0
    """Between the pieces of a stream; likewise."""
    pieces: int = 3
    """Of a streamed text."""
    is_endless: bool = False
    """A stream that says ``text`` again and again until the other side goes."""


Script = Sequence[Answer] | Callable[[Body, int], Answer]


def says(text: str, *, usage: Usage | None = (100, 20, 0)) -> Answer:
    """A final answer in words."""
    return Answer(text=text, usage=usage)


def calls(*asked: tuple[str, object], text: str = "", usage: Usage | None = (100, 20, 0)) -> Answer:
    """Tool calls, any number in one answer, and words before them."""
    return Answer(text=text, calls=asked, usage=usage)


def fails(status: int, message: str = "", *, retry_after: str = "", code: str = "") -> Answer:
    """An HTTP error in OpenAI's form."""
    headers = {"retry-after": retry_after} if retry_after else {}
    error = {"message": message or f"scripted {status}", "type": "error", "code": code or None}
    return Answer(status=status, headers=headers, content=json.dumps({"error": error}))


def raw(
    content: str | bytes, *, status: int = 200, content_type: str = "application/json"
) -> Answer:
    """Any body; ``content_type`` of ``text/event-stream`` for a stream of your own."""
    return Answer(status=status, headers={"content-type": content_type}, content=content)


class LoopbackServer:
    """The server; a context manager, or ``close()`` it.

    Args:
        script: Answers, or a function that makes them.
        port: 0: any free one.
        is_strict: A request after the last answer gets a 400, not the last one again.
        on_request: Told each body before it is answered.
    """

    def __init__(
        self,
        script: Script,
        *,
        port: int = 0,
        is_strict: bool = False,
        on_request: Callable[[Body], None] | None = None,
    ) -> None:
        self.bodies: list[Body] = []
        """Every request's body, in the order that they came."""
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        """Every request's method, path and headers (names in lower case)."""
        self.closed = threading.Event()
        self.gone = threading.Event()
        """Set when a client went before its answer was complete."""
        self._script = script
        self._is_strict = is_strict
        self._on_request = on_request
        self._lock = threading.Lock()
        self._http = _Http(("127.0.0.1", port), _Handler)
        self._http.owner = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def base_url(self) -> str:
        """What a ``base_url`` is set to."""
        return f"http://127.0.0.1:{self.port}/v1"

    def close(self) -> None:
        """Stop listening, end every answer that is on its way, and wait for its thread."""
        self.closed.set()
        self._http.shutdown()
        self._http.hang_up()
        self._http.server_close()
        self._thread.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def take(
        self, method: str, path: str, headers: dict[str, str], body: Body
    ) -> tuple[Answer, int]:
        """Note a request and give its answer and its number."""
        with self._lock:
            number = len(self.bodies)
            self.bodies.append(body)
            self.requests.append((method, path, headers))
            if self._on_request is not None:
                self._on_request(body)
        if callable(self._script):
            return self._script(body, number), number
        if number >= len(self._script) and self._is_strict:
            return fails(400, f"no answer is scripted for request {number}"), number
        return self._script[min(number, len(self._script) - 1)], number


class _Http(ThreadingHTTPServer):
    daemon_threads = False
    # Closing waits for the answers on their way: no thread outlives a test.
    block_on_close = True
    request_queue_size = 128
    owner: LoopbackServer

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.open: set[socket.socket] = set()

    def hang_up(self) -> None:
        """Break every connection: a kept one would keep its thread."""
        for connection in tuple(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        # A client that went is what some tests are about; anything else is a bug of the script.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(cast("socket.socket", request), client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def setup(self) -> None:
        super().setup()
        self.server.open.add(self.connection)

    def finish(self) -> None:
        self.server.open.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        """Say nothing: standard error belongs to the test."""

    def do_GET(self) -> None:
        self._serve({})

    def do_POST(self) -> None:
        size = int(self.headers.get("content-length", "0"))
        self._serve(json.loads(self.rfile.read(size) or b"{}"))

    def _serve(self, body: Body) -> None:
        owner = self.server.owner
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer, number = owner.take(self.command, self.path, headers, body)
        owner.closed.wait(answer.delay_s)
        try:
            if answer.dies == "headers":
                self._die()
            elif answer.content is not None or answer.status != 200:
                self._send(answer, answer.content or "")
            elif body.get("stream"):
                self._stream(answer, number)
            else:
                self._send(answer, json.dumps(_completion(answer, number)))
        except OSError:
            owner.gone.set()
            self.close_connection = True

    def _send(self, answer: Answer, content: str | bytes) -> None:
        data = content.encode() if isinstance(content, str) else content
        self.send_response(answer.status)
        for name, value in {"content-type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if answer.dies:
            self.wfile.write(data[: len(data) // 2])
            self._die()
        else:
            self.wfile.write(data)

    def _stream(self, answer: Answer, number: int) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        chunks = _chunks(answer, number)
        stop = {"middle": max(1, len(chunks) // 2), "end": len(chunks) - 1}.get(answer.dies)
        for chunk in chunks[:stop]:
            self._event(json.dumps(chunk))
            self.server.owner.closed.wait(answer.pause_s)
        while answer.is_endless and not self.server.owner.closed.is_set():
            self._event(json.dumps(chunks[1]))
        if answer.dies == "middle":
            self._die()
            return
        if answer.dies != "end":
            self._event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, data: str) -> None:
        framed = f"data: {data}\n\n".encode()
        self.wfile.write(f"{len(framed):x}\r\n".encode() + framed + b"\r\n")
        self.wfile.flush()

    def _die(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


def _usage(answer: Answer) -> Body | None:
    if answer.usage is None:
        return None
    taken, given, cached = answer.usage
    return {
        "prompt_tokens": taken,
        "completion_tokens": given,
        "total_tokens": taken + given,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def _tool_calls(answer: Answer, number: int) -> list[Body]:
    ids = answer.call_ids or tuple(f"call_{number}_{at}" for at in range(len(answer.calls)))
    return [
        {
            "id": call_id,
            "type": "function",
            "function": {
                "name": name,
                "arguments": asked if isinstance(asked, str) else json.dumps(asked),
            },
        }
        for call_id, (name, asked) in zip(ids, answer.calls, strict=True)
    ]


def _finish(answer: Answer) -> str | None:
    if answer.finish == "":
        return "tool_calls" if answer.calls else "stop"
    return answer.finish


def _completion(answer: Answer, number: int) -> Body:
    message: Body = {"role": "assistant", "content": answer.text or None}
    if answer.thinking:
        message["reasoning_content"] = answer.thinking
    if answer.calls:
        message["tool_calls"] = _tool_calls(answer, number)
    completion: Body = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": answer.model,
        "choices": [{"index": 0, "message": message, "finish_reason": _finish(answer)}],
    }
    usage = _usage(answer)
    return completion if usage is None else {**completion, "usage": usage}


def _chunks(answer: Answer, number: int) -> list[Body]:
    deltas: list[tuple[Body, str | None]] = [({"role": "assistant", "content": ""}, None)]
    if answer.thinking:
        deltas.append(({"reasoning_content": answer.thinking}, None))
    size = max(1, -(-len(answer.text) // answer.pieces))
    deltas += [
        ({"content": answer.text[at : at + size]}, None) for at in range(0, len(answer.text), size)
    ]
    for at, call in enumerate(_tool_calls(answer, number)):
        asked = call["function"]["arguments"]
        head = {**call, "index": at, "function": {**call["function"], "arguments": ""}}
        deltas.append(({"tool_calls": [head]}, None))
        half = len(asked) // 2
        deltas += [
            ({"tool_calls": [{"index": at, "function": {"arguments": part}}]}, None)
            for part in (asked[:half], asked[half:])
        ]
    if answer.finish is not None:
        deltas.append(({}, _finish(answer)))
    made: Body = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": answer.model,
    }
    chunks = [
        {**made, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        for delta, finish in deltas
    ]
    usage = _usage(answer)
    return chunks if usage is None else [*chunks, {**made, "choices": [], "usage": usage}]


def answer_from(written: Body) -> Answer:
    """Read one answer of a script file."""
    found = dict(written)
    if "calls" in found:
        found["calls"] = tuple((str(name), asked) for name, asked in found["calls"])
    if found.get("usage") is not None:
        taken, given, cached = found["usage"]
        found["usage"] = (int(taken), int(given), int(cached))
    if "call_ids" in found:
        found["call_ids"] = tuple(found["call_ids"])
    return replace(Answer(), **found)


def main(arguments: Sequence[str]) -> int:
    """Serve a script file until standard input or the process ends."""
    parser = argparse.ArgumentParser(description="a scripted model provider on 127.0.0.1")
    parser.add_argument("--script", required=True, type=Path)
    parser.add_argument("--port", default=0, type=int)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--strict", action="store_true")
    asked = parser.parse_args(arguments)
    script = [answer_from(one) for one in json.loads(asked.script.read_text("utf-8"))]

    def note(body: Body) -> None:
        if asked.log is not None:
            with asked.log.open("a", encoding="utf-8") as log:
                log.write(json.dumps(body) + "\n")

    with LoopbackServer(script, port=asked.port, is_strict=asked.strict, on_request=note) as server:
        sys.stdout.write(f"{server.base_url}\n")
        sys.stdout.flush()
        # Whoever started it closes its standard input, or ends it.
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
