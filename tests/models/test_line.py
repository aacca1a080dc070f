"""One request and its answer over real HTTP: what is sent, what comes back, what goes wrong."""

from __future__ import annotations

import copy
import threading
import time
from dataclasses import replace

import pytest

from cleveragents.errors import ConfigurationError, ModelFailedError
from cleveragents.models import edge
from cleveragents.models.line import ModelLine
from cleveragents.terms.model import ModelEndpoint, ModelUsage
from tests.models.asking import READ, SECRET, USER, ask, failure, request
from tests.models.loopback_server import Answer, LoopbackServer, calls, fails, raw, says

BOTH = pytest.mark.parametrize("is_streamed", [False, True])


@BOTH
def test_an_answer_in_words(line: ModelLine, *, is_streamed: bool) -> None:
    heard: list[str] = []
    with LoopbackServer([says("all is well", usage=(120, 7, 100))]) as server:
        reply = ask(line, server, on_text=heard.append if is_streamed else None)
    assert (reply.text, reply.asks, reply.finish) == ("all is well", (), "stop")
    assert reply.usage == ModelUsage(120, 7, 100)
    assert reply.model == "loopback-model"
    assert "".join(heard) == ("all is well" if is_streamed else "")
    assert len(heard) == (3 if is_streamed else 0)


def test_words_are_told_in_the_thread_that_asks_while_the_answer_goes_on(line: ModelLine) -> None:
    where: list[threading.Thread] = []

    def hear(_: str) -> None:
        where.append(threading.current_thread())

    def should_stop() -> bool:
        return bool(where)

    # An answer without an end: what is heard of it is heard before its end.
    with (
        LoopbackServer([replace(says("abc"), is_endless=True)]) as server,
        pytest.raises(ModelFailedError),
    ):
        ask(line, server, on_text=hear, should_stop=should_stop)
    assert set(where) == {threading.current_thread()}


def test_what_is_sent(line: ModelLine) -> None:
    with LoopbackServer([says("x")]) as server:
        ask(line, server, model="openai:some/model")
        body, (method, path, headers) = server.bodies[0], server.requests[0]
    assert (method, path) == ("POST", "/v1/chat/completions")
    assert body == {
        "model": "some/model",
        "stream": False,
        "messages": [
            {"role": "system", "content": "Be good."},
            {"role": "user", "content": "read it"},
        ],
        "max_tokens": 500,
        "tool_choice": "auto",
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": READ.name,
                    "description": READ.description,
                    "parameters": READ.parameters,
                },
            }
        ],
    }
    assert headers["authorization"] == f"Bearer {SECRET}"
    assert set(headers) == {
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "host",
        "user-agent",
    }


def test_no_key_is_sent_when_there_is_none(line: ModelLine) -> None:
    with LoopbackServer([says("x")]) as server:
        ask(line, server, secret=None)
        assert "authorization" not in server.requests[0][2]


def test_nothing_of_the_environment_is_sent_or_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "OPENAI_API_KEY": "sk-of-the-environment",
        "OPENAI_ADMIN_KEY": "sk-admin",
        "OPENAI_ORG_ID": "org-x",
        "OPENAI_PROJECT_ID": "proj-x",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        "OPENAI_CUSTOM_HEADERS": "authorization: Bearer stolen\nx-spy: 1",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
        "ALL_PROXY": "http://127.0.0.1:9",
    }.items():
        monkeypatch.setenv(name, value)
    line = ModelLine()
    with LoopbackServer([says("x")]) as server:
        assert ask(line, server, secret=None).text == "x"
        assert ask(line, server).text == "x"
        bare, keyed = (headers for _, _, headers in server.requests)
    line.close()
    assert "authorization" not in bare
    assert keyed["authorization"] == f"Bearer {SECRET}"
    assert not any("x-spy" in one or "openai-organization" in one for one in (bare, keyed))


@BOTH
def test_several_calls_of_one_answer(line: ModelLine, *, is_streamed: bool) -> None:
    asked = [("read_file", {"path": f"f{at}"}) for at in range(200)]
    with LoopbackServer([calls(*asked, text="Let me see.")]) as server:
        reply = ask(line, server, on_text=(lambda _: None) if is_streamed else None)
    assert [(one.name, one.arguments) for one in reply.asks] == asked
    assert len({one.id for one in reply.asks}) == 200
    assert (reply.text, reply.finish) == ("Let me see.", "tools")


@BOTH
def test_arguments_that_cannot_be_read_say_why(line: ModelLine, *, is_streamed: bool) -> None:
    deep = '{"a":' * 3_000 + "1" + "}" * 3_000
    cases = {
        "{bad": "the arguments are not JSON: expecting property name enclosed in double quotes at",
        '{"a": 1': "the arguments are not JSON: expecting ',' delimiter at character 8",
        "[1]": "the arguments are a list, not a JSON object",
        '"x"': "the arguments are a text, not a JSON object",
        "null": "the arguments are null, not a JSON object",
        "true": "the arguments are true or false, not a JSON object",
        "7": "the arguments are a number, not a JSON object",
        '{"a": NaN}': "the arguments are not JSON: NaN is no number",
        '{"a": 1e999}': "the arguments are not JSON: the number 1e999 is too large",
        '{"a": ' + "9" * 5_000 + "}": "the arguments are not JSON: ",
        '{"a":' * 70 + "1" + "}" * 70: "the arguments nest 71 levels deep; at most 64 are read",
        deep: "the arguments ",
    }
    with LoopbackServer([calls(*(("read_file", text) for text in cases))]) as server:
        reply = ask(line, server, on_text=(lambda _: None) if is_streamed else None)
    for one, problem in zip(reply.asks, cases.values(), strict=True):
        assert one.problem.startswith(problem), one.problem
        assert len(one.problem) < 200
        assert one.arguments == {}


@pytest.mark.parametrize("arguments", ["", "{}", {}])
def test_a_call_without_arguments_is_one(line: ModelLine, arguments: object) -> None:
    with LoopbackServer([calls(("list", arguments))]) as server:
        (one,) = ask(line, server).asks
    assert (one.name, one.arguments, one.problem) == ("list", {}, "")


def test_names_are_kept_apart_and_within_bounds(line: ModelLine) -> None:
    answer = replace(
        calls(("a" * 5_000, {}), ("rm -rf /", {}), ("b", {})), call_ids=("same", "same", "i" * 900)
    )
    with LoopbackServer([answer]) as server:
        asks = ask(line, server).asks
    assert [len(one.name) for one in asks] == [128, 8, 1]
    assert [one.id for one in asks] == ["same", "same-2", "i" * 128]


def test_a_conversation_goes_back_as_it_was(line: ModelLine) -> None:
    first = calls(("read_file", {"path": "a"}), ("read_file", "{bad"), text="I look.")
    with LoopbackServer([first, says("done")]) as server:
        reply = ask(line, server)
        results: tuple[dict[str, object], ...] = (
            {
                "role": "tool",
                "id": reply.asks[0].id,
                "name": "read_file",
                "text": "A",
                "failed": False,
            },
            {
                "role": "tool",
                "id": reply.asks[1].id,
                "name": "read_file",
                "text": "no",
                "failed": True,
            },
        )
        answer = {"role": "assistant", "message": reply.message}
        again = {"role": "user", "text": "go on"}
        for _ in range(2):
            ask(line, server, request(USER, answer, *results, again))
        one, two = server.bodies[1:]
    assert one == two
    assert one["messages"][2:] == [
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [
                {
                    "id": "call_0_0",
                    "type": "function",
                    "function": {"name": "read_file", "arguments": '{"path":"a"}'},
                },
                {
                    "id": "call_0_1",
                    "type": "function",
                    "function": {"name": "read_file", "arguments": '{"INVALID_JSON":"{bad"}'},
                },
            ],
        },
        {"role": "tool", "tool_call_id": "call_0_0", "content": "A"},
        {"role": "tool", "tool_call_id": "call_0_1", "content": '{"error":"no"}'},
        {"role": "user", "content": "go on"},
    ]


@pytest.mark.filterwarnings("ignore")
@BOTH
@pytest.mark.parametrize("usage", [None, (0, 0, 0), (-5, 10, 0)])
def test_usage_that_nobody_reports_is_told(
    line: ModelLine, usage: tuple[int, int, int] | None, *, is_streamed: bool
) -> None:
    with LoopbackServer([says("x", usage=usage)]) as server:
        reply = ask(line, server, on_text=(lambda _: None) if is_streamed else None)
    assert reply.usage == ModelUsage(is_reported=False)


def test_usage_that_lies_is_handed_on_and_more_cached_than_sent_is_not(line: ModelLine) -> None:
    with LoopbackServer([says("x", usage=(10, 10**9, 50))]) as server:
        assert ask(line, server).usage == ModelUsage(10, 10**9, 10)


@BOTH
@pytest.mark.parametrize(
    ("finish", "expected"),
    [("length", "length"), ("content_filter", "refused"), ("odd", "unknown"), ("stop", "stop")],
)
def test_why_a_model_stopped(
    line: ModelLine, finish: str, expected: str, *, is_streamed: bool
) -> None:
    with LoopbackServer([replace(says("x"), finish=finish)]) as server:
        reply = ask(line, server, on_text=(lambda _: None) if is_streamed else None)
    assert reply.finish == expected


def test_a_call_that_was_cut_is_a_cut_answer(line: ModelLine) -> None:
    with LoopbackServer([replace(calls(("read_file", '{"pa')), finish="length")]) as server:
        reply = ask(line, server)
    assert reply.finish == "length"
    assert reply.asks[0].problem


def test_thinking_is_kept_and_is_not_part_of_the_text(line: ModelLine) -> None:
    heard: list[str] = []
    with LoopbackServer([replace(says("x"), thinking="let me think")]) as server:
        reply = ask(line, server, on_text=heard.append)
    assert (reply.text, heard) == ("x", ["x"])
    assert "let me think" in str(reply.message)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (fails(429), "overloaded", "overloaded or its rate limit is reached (429"),
        (fails(503), "overloaded", "(503"),
        (fails(529), "overloaded", "(529"),
        (fails(500, "boom"), "outage", "the provider failed (500: boom)"),
        (fails(502), "outage", "(502"),
        (fails(401, f"Incorrect API key {SECRET}"), "unauthorised", "the credential (401)"),
        (fails(403), "unauthorised", "(403)"),
        (fails(404, "no such model"), "refused_by_provider", "refuses the request (404: no such"),
        (fails(400, f"odd \x1b[31m\u202e{SECRET}"), "refused_by_provider", "odd [31m [redacted])"),
        (fails(429, "pay", code="insufficient_quota"), "refused_by_provider", "used up (429: pay)"),
        (fails(402), "refused_by_provider", "used up (402"),
        (
            fails(400, code="context_length_exceeded"),
            "too_long",
            "longer than the model reads (400",
        ),
        (fails(400, "exceeds the available context size"), "too_long", "longer than"),
        (fails(413), "too_long", "(413)"),
        (fails(302), "refused_by_provider", "answers with a redirect (302), which is not followed"),
        (fails(404, "x" * 9_000), "refused_by_provider", "x" * 200 + ")"),
        (raw("<html>", status=400), "refused_by_provider", "(400"),
        (raw('{"error": {"message": 5}}', status=400), "refused_by_provider", "request (400)"),
        (raw('{"error": " "}', status=400), "refused_by_provider", "request (400)"),
    ],
)
@BOTH
def test_what_a_provider_answers_instead(
    line: ModelLine, answer: Answer, kind: str, words: str, *, is_streamed: bool
) -> None:
    with LoopbackServer([answer]) as server:
        error = failure(line, server, is_streamed=is_streamed)
        # Decided and paid one by one: nothing is tried again behind our back.
        assert len(server.bodies) == 1
    assert error.kind == kind
    assert words in error.message
    assert error.is_billed == (answer.status == 502)


@pytest.mark.parametrize(
    ("said", "expected"), [("7", 7.0), ("0", 0.0), ("86400", 3600.0), ("", None), ("soon", None)]
)
def test_how_long_an_overloaded_provider_asks_to_wait(
    line: ModelLine, said: str, expected: float | None
) -> None:
    with LoopbackServer([fails(429, retry_after=said)]) as server:
        assert failure(line, server).retry_after_s == expected


def test_a_redirect_to_another_host_is_not_followed(line: ModelLine) -> None:
    with LoopbackServer([says("stolen")]) as thief:
        away = Answer(status=307, headers={"location": thief.base_url}, content="")
        with LoopbackServer([away]) as server:
            assert failure(line, server).kind == "refused_by_provider"
        assert thief.requests == []


@BOTH
@pytest.mark.parametrize(
    "answer",
    [
        raw("not json"),
        raw("not json", content_type="text/plain"),
        raw("{}"),
        raw('{"choices": []}'),
        raw('{"choices": [{"message": {"content": 5}}]}'),
        raw("[]"),
        raw(b"\xff\xfe"),
        raw(""),
        raw("data: {broken\n\n", content_type="text/event-stream"),
        raw("data: [DONE]\n\n", content_type="text/event-stream"),
        raw('data: {"error": {"message": "sorry"}}\n\n', content_type="text/event-stream"),
    ],
)
def test_what_is_no_answer(line: ModelLine, answer: Answer, *, is_streamed: bool) -> None:
    with LoopbackServer([answer]) as server:
        error = failure(line, server, is_streamed=is_streamed)
    assert error.kind == "bad_reply"
    assert error.is_billed


@pytest.mark.parametrize(
    ("code", "kind"), [("server_is_overloaded", "overloaded"), ("server_error", "outage")]
)
def test_an_error_in_the_middle_of_a_stream(line: ModelLine, code: str, kind: str) -> None:
    said = f'data: {{"error": {{"message": "m", "code": "{code}"}}}}\n\n'
    with LoopbackServer([raw(said, content_type="text/event-stream")]) as server:
        assert failure(line, server, is_streamed=True).kind == kind


@pytest.mark.parametrize(
    ("dies", "is_streamed"),
    [("headers", False), ("headers", True), ("middle", False), ("middle", True)],
)
def test_a_provider_that_dies(line: ModelLine, dies: str, *, is_streamed: bool) -> None:
    answer = replace(says("a long answer that is never complete"), dies=dies)  # type: ignore[arg-type]  # its four words
    with LoopbackServer([answer]) as server:
        error = failure(line, server, is_streamed=is_streamed)
    assert error.kind == "outage"
    assert error.is_billed


def test_a_stream_that_just_ends_is_no_answer(line: ModelLine) -> None:
    answer = replace(says("half an answ", usage=None), finish=None)
    with LoopbackServer([answer]) as server:
        error = failure(line, server, is_streamed=True)
    assert (error.kind, error.is_billed) == ("bad_reply", True)


def test_nobody_there_is_an_outage_that_costs_nothing(line: ModelLine) -> None:
    server = LoopbackServer([says("x")])
    server.close()
    error = failure(line, server)
    assert error.kind == "outage"
    assert not error.is_billed
    assert "no connection to the provider" in error.message


@BOTH
def test_an_answer_larger_than_the_cap(
    monkeypatch: pytest.MonkeyPatch, *, is_streamed: bool
) -> None:
    monkeypatch.setattr(edge.EdgeTransport.__init__, "__kwdefaults__", {"max_reply_bytes": 20_000})
    line = ModelLine()
    endless = replace(says("and again " * 10), is_endless=is_streamed)
    with LoopbackServer([endless if is_streamed else says("x" * 30_000)]) as server:
        error = failure(line, server, is_streamed=is_streamed)
        assert not is_streamed or server.gone.wait(5)
    line.close()
    assert error.kind == "bad_reply"
    assert "larger than 20000 bytes" in error.message


def test_a_compressed_answer_is_not_read(line: ModelLine) -> None:
    answer = replace(raw(b"\x1f\x8b"), headers={"content-encoding": "gzip"})
    with LoopbackServer([answer]) as server:
        assert "compressed" in failure(line, server).message


def test_more_calls_than_any_work_needs(line: ModelLine) -> None:
    with LoopbackServer([calls(*[("read_file", {})] * 513)]) as server:
        error = failure(line, server)
    assert error.kind == "bad_reply"
    assert "calls 513 tools at once; at most 512" in error.message


@BOTH
def test_the_time_limit_ends_a_request(line: ModelLine, *, is_streamed: bool) -> None:
    slow = replace(says("x" * 50), delay_s=0 if is_streamed else 60, pause_s=60)
    with LoopbackServer([slow]) as server:
        error = failure(line, server, is_streamed=is_streamed, timeout_s=0.3)
    assert (error.kind, error.is_billed) == ("timed_out", True)
    assert "model_timeout_s" in error.message


@BOTH
def test_a_stop_ends_a_request_soon_and_lets_go_of_its_connection(
    line: ModelLine, *, is_streamed: bool
) -> None:
    asked = threading.Event()
    endless = replace(says("word " * 20), is_endless=True, pause_s=0.001)
    slow = endless if is_streamed else replace(says("x"), delay_s=60)
    with LoopbackServer([slow], on_request=lambda _: asked.set()) as server:
        started: list[float] = []

        def should_stop() -> bool:
            if asked.is_set():
                started.append(time.monotonic())
            return asked.is_set()

        with pytest.raises(ModelFailedError) as caught:
            ask(
                line,
                server,
                on_text=(lambda _: None) if is_streamed else None,
                should_stop=should_stop,
            )
        assert time.monotonic() - started[0] < 0.5
        # Only a stream's server notices that nobody listens any more.
        assert not is_streamed or server.gone.wait(5)
    assert caught.value.kind == "cancelled"


def test_an_error_of_the_listener_ends_the_request(line: ModelLine) -> None:
    def hear(_: str) -> None:
        raise KeyboardInterrupt

    with LoopbackServer([replace(says("word " * 20), is_endless=True)]) as server:
        with pytest.raises(KeyboardInterrupt):
            ask(line, server, on_text=hear)
        assert server.gone.wait(5)


def test_many_plans_ask_at_once(line: ModelLine) -> None:
    everybody = threading.Barrier(33)

    def answer(body: dict[str, object], number: int) -> Answer:
        # Answered only when all are asked: one after the other would never end.
        everybody.wait(20)
        messages = body["messages"]
        assert isinstance(messages, list)
        return says(f"to {messages[-1]['content']}")

    replies: dict[int, str] = {}

    def plan(at: int) -> None:
        asked = request({"role": "user", "text": str(at)})
        replies[at] = ask(line, server, asked, on_text=lambda _: None).text

    with LoopbackServer(answer) as server:
        threads = [threading.Thread(target=plan, args=(at,)) for at in range(32)]
        for thread in threads:
            thread.start()
        # The 33rd is this thread: every server thread waits at the same barrier.
        everybody.wait(20)
        for thread in threads:
            thread.join(20)
    assert replies == {at: f"to {at}" for at in range(32)}


def test_a_closed_line_asks_nobody_and_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    line = ModelLine()
    with LoopbackServer([says("x")]) as server:
        ask(line, server)
        line.close()
        with pytest.raises(ModelFailedError, match="closed"):
            ask(line, server)
        assert len(server.bodies) == 1
    assert set(threading.enumerate()) == before


def test_closing_ends_what_is_on_its_way() -> None:
    line = ModelLine()
    asked = threading.Event()
    caught: list[str] = []

    def plan() -> None:
        with pytest.raises(ModelFailedError) as error:
            ask(line, server)
        caught.append(error.value.kind)

    with LoopbackServer(
        [replace(says("x"), delay_s=60)], on_request=lambda _: asked.set()
    ) as server:
        thread = threading.Thread(target=plan)
        thread.start()
        assert asked.wait(20)
        line.close()
        thread.join(10)
    assert caught == ["cancelled"]
    line.close()


def test_a_wrong_endpoint_is_told_before_anything_is_loaded(line: ModelLine) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'openai'"):
        line.ask(
            ModelEndpoint("opena:x"),
            request(),
            secret=None,
            on_text=None,
            timeout_s=1,
            should_stop=lambda: False,
        )


def test_lone_surrogates_do_not_pass(line: ModelLine) -> None:
    text = '{"path": "\\ud800"}'
    with LoopbackServer([calls(("read_\ud800", text), text="a\ud800b")]) as server:
        reply = ask(line, server)
        (one,) = reply.asks
        ask(line, server, request({"role": "user", "text": "\udfff"}))
    assert (reply.text, one.name) == ("a?b", "read_?")
    assert one.arguments == {"path": "?"}
    str(reply.message).encode()


def test_a_failure_survives_being_rebuilt_from_its_facts(line: ModelLine) -> None:
    with LoopbackServer([fails(429, retry_after="3")]) as server:
        error = failure(line, server)
    again: ModelFailedError = copy.copy(error)
    assert (again.kind, again.retry_after_s, again.message) == ("overloaded", 3.0, error.message)


def test_without_the_extra_it_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "cleveragents.models.adapter", None)
    line = ModelLine()
    with (
        LoopbackServer([says("x")]) as server,
        pytest.raises(ConfigurationError, match=r"pip install 'cleveragents\[llm\]'"),
    ):
        ask(line, server)
    line.close()
