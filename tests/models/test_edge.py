"""What the edge lets out and in, asked directly: the libraries' own mistakes."""

from __future__ import annotations

import asyncio

import httpx2
import pytest
from pydantic_ai import exceptions as lib

from cleveragents.models.edge import EdgeError, EdgeTransport
from cleveragents.models.failure import failure_of
from cleveragents.policy.host_rule import parse_url
from tests.models.loopback_server import LoopbackServer, says


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.2:{port}/v1/x",
        "http://localhost:{port}/v1/x",
        "https://127.0.0.1:{port}/v1/x",
        "http://127.0.0.1:9/v1/x",
        "http://127.0.0.1/v1/x",
        "ftp://127.0.0.1:{port}/x",
    ],
)
def test_a_library_that_turns_elsewhere_sends_nothing(url: str) -> None:
    async def send() -> None:
        edge = EdgeTransport(parse_url(server.base_url), key_header=("authorization", "Bearer k"))
        try:
            await edge.handle_async_request(
                httpx2.Request("POST", url.format(port=server.port), json={})
            )
        finally:
            await edge.aclose()

    with LoopbackServer([says("x")]) as server:
        with pytest.raises(EdgeError, match="turned to another host") as caught:
            asyncio.run(send())
        assert server.requests == []
    assert failure_of(caught.value, secret=None).kind == "refused_by_provider"


def test_https_is_verified_with_the_systems_authorities() -> None:
    async def send() -> None:
        edge = EdgeTransport(parse_url(server.base_url.replace("http", "https")), key_header=None)
        try:
            await edge.handle_async_request(
                httpx2.Request("POST", server.base_url.replace("http", "https") + "/x", json={})
            )
        finally:
            await edge.aclose()

    # A server without TLS: whatever it says, nothing is sent to it in the open.
    with LoopbackServer([says("x")]) as server:
        with pytest.raises(httpx2.TransportError) as caught:
            asyncio.run(send())
        assert server.bodies == []
    assert failure_of(caught.value, secret=None).kind == "outage"


def caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind", "is_billed"),
    [
        (KeyError("choices"), "bad_reply", True),
        (lib.UserError("x"), "bad_reply", True),
        (lib.UnexpectedModelBehavior("x", "body"), "bad_reply", True),
        (lib.ModelContextWindowExceededError("m", "x"), "too_long", False),
        (lib.ModelOverloadedError("m", "x"), "overloaded", False),
        (lib.ModelRateLimitError("m", "x", in_stream=True), "overloaded", True),
        (lib.ModelServerError("m", "x"), "outage", True),
        (lib.ModelAPIError("m", "x", body={"message": "why"}), "bad_reply", True),
        (lib.ModelConnectionError("m", "x", phase="connect"), "outage", False),
        (lib.ModelConnectionError("m", "x", phase="read"), "outage", True),
        (httpx2.ConnectTimeout("x"), "outage", False),
        (httpx2.ReadTimeout("x"), "outage", True),
        (caused(RuntimeError("x"), EdgeError("bad_reply", "too large")), "bad_reply", True),
    ],
)
def test_every_error_of_a_library_has_a_meaning(
    error: BaseException, kind: str, *, is_billed: bool
) -> None:
    found = failure_of(error, secret=None)
    assert (found.kind, found.is_billed) == (kind, is_billed)


def test_a_circle_of_causes_has_an_end() -> None:
    one, two = ValueError("1"), ValueError("2")
    one.__cause__, two.__cause__ = two, one
    assert failure_of(one, secret=None).kind == "bad_reply"


def test_the_systems_own_words_are_told() -> None:
    refused = caused(httpx2.ConnectError("x"), ConnectionRefusedError(111, "Connection refused"))
    assert (
        "no connection to the provider: connection refused"
        in failure_of(refused, secret="").message
    )
