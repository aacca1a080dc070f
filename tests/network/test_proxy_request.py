"""What a cell asks its proxy for: read in one way, or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleveragents.terms.connection import Connection
from cleveragents.tools.broker.proxy_flow import MAX_ANSWER_HEAD, Answer, Body, Through
from cleveragents.tools.broker.proxy_request import (
    CHUNKED,
    END,
    Asking,
    MalformedError,
    read_asking,
)


def asking(*lines: str, rest: bytes = b"") -> Asking:
    return read_asking("\r\n".join((*lines, "", "")).encode("latin-1") + rest)


@pytest.mark.parametrize(
    ("target", "host", "port"),
    [
        ("example.com:443", "example.com", 443),
        ("EXAMPLE.com.:8443", "example.com", 8443),
        ("127.0.0.1:80", "127.0.0.1", 80),
        ("[::1]:80", "::1", 80),
    ],
)
def test_a_tunnel(target: str, host: str, port: int) -> None:
    found = asking(f"CONNECT {target} HTTP/1.1", "Host: whatever", rest=b"tls")
    assert found == Asking(Connection(host, port, "tunnel"), rest=b"tls")


def test_a_plain_request_is_rewritten_for_the_host_that_is_decided_on() -> None:
    found = asking(
        "POST http://Example.com:8080/a?b HTTP/1.1",
        "Host: example.com:8080",
        "Proxy-Authorization: Basic eDp5",
        "Connection: keep-alive, X-Hop",
        "Proxy-Connection: keep-alive",
        "X-Hop: 1",
        "TE: trailers",
        "Upgrade: h2c",
        "Accept: */*",
        "Content-Length: 3",
        rest=b"abc",
    )
    assert found.connection == Connection("example.com", 8080, "http")
    assert found.head == (
        b"POST /a?b HTTP/1.1\r\nHost: example.com:8080\r\naccept: */*\r\ncontent-length: 3\r\n"
        b"Connection: close\r\n\r\n"
    )
    assert (found.body, found.rest, found.is_head) == (3, b"abc", False)


@pytest.mark.parametrize(
    ("url", "line", "host"),
    [
        ("http://a.org", b"GET / HTTP/1.0", b"Host: a.org\r\n"),
        ("http://a.org?q", b"GET /?q HTTP/1.0", b"Host: a.org\r\n"),
        ("http://[::1]:8/x", b"GET /x HTTP/1.0", b"Host: [::1]:8\r\n"),
    ],
)
def test_every_spelling_of_a_path(url: str, line: bytes, host: bytes) -> None:
    found = asking(f"GET {url} HTTP/1.0")
    assert found.head.startswith(line + b"\r\n" + host)


def test_a_head_request_and_a_chunked_one() -> None:
    assert asking("HEAD http://a.org/ HTTP/1.1").is_head
    assert asking("PUT http://a.org/ HTTP/1.1", "Transfer-Encoding: Chunked").body == CHUNKED


@pytest.mark.parametrize(
    "target",
    [
        "2130706433:80",
        "0x7f.1:80",
        "0177.0.0.1:80",
        "127.1:80",
        "0x7f000001:443",
        "user@example.com:443",
        "example.com",
        "example.com:",
        "example.com:0",
        "example.com:99999",
        "example.com:80/x",
        "::1:80",
        "[::1%eth0]:80",
        "ex\xe4mple.com:443",
        "example.com\\@evil.org:443",
        "http://example.com:80",
        "..:80",
        ":80",
    ],
)
def test_odd_spellings_of_a_tunnel_are_malformed(target: str) -> None:
    found = asking(f"CONNECT {target} HTTP/1.1").connection
    assert found.problem
    assert (found.host, found.port) == ("", 0)


def test_mapped_addresses_keep_the_one_spelling_that_rules_compare() -> None:
    assert asking("CONNECT [::ffff:127.0.0.1]:80 HTTP/1.1").connection.host == "::ffff:7f00:1"


@pytest.mark.parametrize(
    "lines",
    [
        ("GET / HTTP/1.1", "Host: a.org"),
        ("OPTIONS * HTTP/1.1",),
        ("GET https://a.org/ HTTP/1.1",),
        ("GET ftp://a.org/ HTTP/1.1",),
        ("GET http://a.org/#x HTTP/1.1",),
        ("GET http://u:p@a.org/ HTTP/1.1",),
        ("GET http://a.org/ HTTP/2.0",),
        ("GET  http://a.org/ HTTP/1.1",),
        ("GET http://a.org/ x HTTP/1.1",),
        ("G\x00T http://a.org/ HTTP/1.1",),
        ("G(T http://a.org/ HTTP/1.1",),
        ("",),
        ("\x16\x03\x01 garbage",),
        ("GET http://a.org/ HTTP/1.1", "Host: b.org"),
        ("GET http://a.org/ HTTP/1.1", "Host: a.org:81"),
        ("GET http://a.org/ HTTP/1.1", "Host: a.org", "Host: a.org"),
        ("GET http://a.org/ HTTP/1.1", "Host: a.org/x"),
        ("GET http://a.org/ HTTP/1.1", "Host : a.org"),
        ("GET http://a.org/ HTTP/1.1", "X: 1", " folded"),
        ("GET http://a.org/ HTTP/1.1", "no colon"),
        ("GET http://a.org/ HTTP/1.1", "X: a\nY: b"),
        ("GET http://a.org/ HTTP/1.1", "Content-Length: 1", "Content-Length: 2"),
        ("GET http://a.org/ HTTP/1.1", "Content-Length: +1"),
        ("GET http://a.org/ HTTP/1.1", "Content-Length: 1", "Transfer-Encoding: chunked"),
        ("GET http://a.org/ HTTP/1.1", "Transfer-Encoding: gzip, chunked"),
        ("GET http://a.org/ HTTP/1.1", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        ("GET http://a.org/ HTTP/1.1", "Connection: content-length", "Content-Length: 5"),
        ("GET http://a.org/ HTTP/1.1", "Connection: host"),
    ],
)
def test_what_two_readers_could_read_differently_is_malformed(lines: tuple[str, ...]) -> None:
    assert asking(*lines).connection.problem


@given(st.binary(max_size=300))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    found = read_asking(data + END)
    assert found.connection.problem or found.connection.host


@given(st.text(st.characters(codec="ascii"), max_size=40))
def test_a_tunnel_leads_where_its_own_name_says(target: str) -> None:
    found = asking(f"CONNECT {target} HTTP/1.1").connection
    if not found.problem:
        assert target.lower().rstrip("0123456789").rstrip(":").rstrip(".").strip("[]")
        assert found.port == int(target.rpartition(":")[2])


def test_a_body_ends_where_it_says() -> None:
    body = Body(5)
    assert body.take(b"abc") == b"abc"
    with pytest.raises(MalformedError):
        body.end()
    assert body.take(b"deGET / HTTP/1.1") == b"de"
    assert body.is_complete
    body.end()
    assert not body.take(b"more")
    assert Body(0).is_complete


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_chunked_body_passes_unchanged_in_any_pieces(size: int) -> None:
    whole = b"5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n"
    body = Body(CHUNKED)
    data = whole + b"GET http://b.org/ HTTP/1.1\r\n\r\n"
    passed = b"".join(body.take(data[at : at + size]) for at in range(0, len(data), size))
    assert passed == whole
    assert body.is_complete


@pytest.mark.parametrize(
    "data",
    [
        b"5;ext=1\r\n",
        b"x\r\n",
        b"\r\n",
        b"5\n",
        b"5\r5\r\n",
        b"0\r\nX: y\r\n",
        b"-5\r\n",
        b"1" * 5000,
    ],
)
def test_a_chunked_body_with_anything_odd_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        Body(CHUNKED).take(data)


def test_a_tunnel_passes_everything() -> None:
    flow = Through()
    assert flow.take(b"\0\xff") == b"\0\xff"
    flow.end()
    assert not flow.is_complete


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_answer_passes_without_what_is_said_between_hops(size: int) -> None:
    data = (
        b"HTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nConnection: keep-alive, x-hop\r\nX-Hop: 1\r\n"
        b"Content-Length: 5\r\n\r\nhello and more"
    )
    answer = Answer(has_body=True)
    passed = b"".join(answer.take(data[at : at + size]) for at in range(0, len(data), size))
    assert passed == (
        b"HTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"
    )
    assert answer.is_complete
    answer.end()


@pytest.mark.parametrize(
    ("head", "has_body", "body", "ends"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True, b"to the end", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", False, b"", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True, b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", True, b"", True),
        (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", True, b"whatever", False),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            True,
            b"5;x\r\nhello\r\n0\r\n\r\n",
            False,
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", True, b"0\r\n\r\n", True),
    ],
)
def test_where_an_answer_ends(head: bytes, has_body: bool, body: bytes, ends: bool) -> None:
    answer = Answer(has_body=has_body)
    passed = answer.take(head + body)
    assert passed.endswith(b"\r\n\r\n" + body)
    assert answer.has_begun
    assert answer.is_complete is ends
    answer.end()


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"x" * (MAX_ANSWER_HEAD + 1),
    ],
)
def test_what_is_no_answer_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        Answer(has_body=True).take(data)


def test_an_answer_that_ends_too_early_is_malformed() -> None:
    answer = Answer(has_body=True)
    with pytest.raises(MalformedError):
        answer.end()
    answer.take(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
    with pytest.raises(MalformedError):
        answer.end()
