from __future__ import annotations

import base64
import json
import socket
import ssl
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from cleveragents.errors import ToolFailedError
from cleveragents.policy.host_rule import HostRules
from cleveragents.terms.excerpt import MAX_RESULT_BYTES
from cleveragents.tools.broker.address import checked_addresses, system_resolve
from cleveragents.tools.broker.deadline import Deadline
from cleveragents.tools.broker.edge_error import EdgeError
from cleveragents.tools.broker.fetch import Credential, Fetch
from cleveragents.tools.broker.pinned_transport import PinnedTransport
from tests.tools.certificate import CERTIFICATE, KEY
from tests.tools.loopback import Names, Server, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMED = HostRules.parse(["127.0.0.1", "here.test", "there.test"])
SECRET = "s3cret/value+with=odd&characters"  # what must not come back


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


@pytest.fixture
def fetch() -> Fetch:
    names = Names({"here.test": [("127.0.0.1",)], "there.test": [("127.0.0.1",)]})
    return Fetch(resolve=names, timeout_s=10)


def _get(fetch: Fetch, url: str, hosts: HostRules = NAMED) -> dict[str, object]:
    return fetch.fetch_url({"url": url}, hosts)


def _send(
    fetch: Fetch,
    url: str,
    *,
    method: str = "POST",
    credential_hosts: tuple[str, ...] = ("here.test",),
    value: str = SECRET,
    **more: object,
) -> dict[str, object]:
    credentials = {"KEY": Credential(value, HostRules.parse(credential_hosts))}
    return fetch.send_request({"url": url, "method": method, **more}, NAMED, credentials)


# -- what works --------------------------------------------------------------


def test_gives_status_and_text(fetch: Fetch, server: Server) -> None:
    url = f"http://127.0.0.1:{server.port}/"
    result = _get(fetch, url)
    headers = result.pop("headers")
    assert result == {
        "status": 200,
        "text": "hello",
        "url": url,
        "content_type": "text/plain; charset=utf-8",
        "size": 5,
        "truncated": False,
        "encoding": "utf-8",
    }
    assert isinstance(headers, dict)
    assert headers["content-length"] == "5"
    assert "set-cookie" not in headers
    sent = server.seen[-1]
    assert (sent.method, sent.headers["accept-encoding"]) == ("GET", "identity")
    assert sent.headers["host"] == f"127.0.0.1:{server.port}"


def test_another_status_is_a_result(fetch: Fetch, server: Server) -> None:
    result = _get(fetch, f"http://127.0.0.1:{server.port}/missing")
    assert (result["status"], result["text"]) == (404, "not here")


def test_the_name_goes_into_host_and_the_connection_to_the_address(
    fetch: Fetch, server: Server
) -> None:
    _get(fetch, f"http://here.test:{server.port}/")
    assert server.seen[-1].headers["host"] == f"here.test:{server.port}"


def test_a_request_carries_method_headers_and_body(fetch: Fetch, server: Server) -> None:
    result = _send(
        fetch,
        f"http://here.test:{server.port}/echo?q=1#part",
        method="PUT",
        headers={"Content-Type": "application/json", "User-Agent": "mine"},
        body='{"é": 1}',
    )
    sent = server.seen[-1]
    assert (sent.method, sent.path, sent.body) == ("PUT", "/echo?q=1", '{"é": 1}'.encode())
    assert (sent.headers["content-type"], sent.headers["user-agent"]) == (
        "application/json",
        "mine",
    )
    assert result["status"] == 200


@pytest.mark.parametrize("path", ["zipped", "deflated"])
def test_content_that_is_compressed_unasked_is_read_all_the_same(
    fetch: Fetch, server: Server, path: str
) -> None:
    assert str(_get(fetch, f"http://127.0.0.1:{server.port}/{path}")["text"]).startswith("hello")


def test_binary_content_comes_as_base64(fetch: Fetch, server: Server) -> None:
    result = _get(fetch, f"http://127.0.0.1:{server.port}/binary")
    assert (result["text"], result["encoding"]) == ("", "binary")
    assert base64.b64decode(str(result["base64"])) == b"\0\1\2"


@pytest.mark.parametrize(
    ("path", "text", "encoding"),
    [
        ("odd?latin-1", "café", "iso8859-1"),
        ("odd?utf-8", "caf\ufffd", "utf-8"),
        ("odd?no-such", "caf\ufffd", "utf-8"),
        ("odd?zip", "caf\ufffd", "utf-8"),
        ("untyped?text", "é", "utf-8"),
        ("untyped?noise", "", "binary"),
    ],
)
def test_text_is_decoded_as_declared(
    fetch: Fetch, server: Server, path: str, text: str, encoding: str
) -> None:
    result = _get(fetch, f"http://127.0.0.1:{server.port}/{path}")
    assert (result["text"], result["encoding"]) == (text, encoding)


# -- hosts and addresses -----------------------------------------------------


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://other.test/", "do not admit the host 'other.test'"),
        ("ftp://127.0.0.1/", "not of the form http"),
        ("file:///etc/passwd", "not of the form http"),
        ("http://user@127.0.0.1/", "user information"),
        ("http://127.0.0.1:99999/", "not a port"),
        ("http://0x7f.1/", "four decimal"),
        ("http://127.0.0.1\\@a.org/", "backslash"),
        ("http://a.org\n/", "printable"),
        ("http:///x", "not a host"),
    ],
)
def test_a_url_that_is_not_admitted_sends_nothing(
    fetch: Fetch, server: Server, url: str, reason: str
) -> None:
    before = len(server.seen)
    with pytest.raises(ToolFailedError, match=reason):
        _get(fetch, url)
    assert len(server.seen) == before


PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "0.0.0.0",  # noqa: S104  # an address to refuse, not to bind
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "100.100.100.200",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_public_name_at_a_private_address_is_refused(address: str) -> None:
    fetch = Fetch(resolve=Names({"a.example.com": [("8.8.8.8", address)]}), timeout_s=5)
    with pytest.raises(ToolFailedError, match=r"not a public address|link-local or metadata"):
        _get(fetch, "http://a.example.com/", HostRules.parse(["*"]))


def _addresses(names: Names, *entries: str, host: str = "a.example.com") -> tuple[str, ...]:
    hosts = HostRules.parse(entries)
    return checked_addresses(host, 80, hosts=hosts, resolve=names, deadline=Deadline(5))


def test_a_private_address_is_admitted_when_it_or_a_private_name_is_named() -> None:
    names = Names({"a.example.com": [("10.0.0.1",)], "db": [("10.0.0.1",)]})
    assert _addresses(names, "*", "10.0.0.1") == ("10.0.0.1",)
    assert _addresses(names, "db", host="db") == ("10.0.0.1",)
    for entries in (["*.example.com"], ["a.example.com"], ["*", "db"]):
        with pytest.raises(EdgeError, match="not a public address"):
            _addresses(names, *entries)


def test_narrowing_the_star_to_a_public_name_opens_no_private_address() -> None:
    narrowed = HostRules.parse(["*"]).meet(HostRules.parse(["evil.example"]))
    assert narrowed.names_exactly("evil.example")
    names = Names({"evil.example": [("127.0.0.1",)]})
    with pytest.raises(EdgeError, match="not a public address"):
        checked_addresses("evil.example", 80, hosts=narrowed, resolve=names, deadline=Deadline(5))


@pytest.mark.parametrize(
    "address", ["168.63.129.16", "192.0.0.192", "::ffff:169.254.169.254", "2002:a9fe:a9fe::"]
)
def test_a_metadata_address_is_not_reached_by_a_private_name_either(address: str) -> None:
    with pytest.raises(EdgeError, match="metadata"):
        _addresses(Names({"db": [(address,)]}), "db", host="db")


@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254", "100.100.100.200"])
def test_a_metadata_address_is_admitted_only_when_it_is_named_itself(address: str) -> None:
    names = Names({"a.example.com": [(address,)]})
    with pytest.raises(EdgeError, match="metadata"):
        _addresses(names, "a.example.com")
    assert _addresses(names, "a.example.com", address) == (address,)


def test_public_addresses_are_admitted_and_no_endless_list_is_tried() -> None:
    many = tuple(f"8.8.8.{number}" for number in range(20))
    assert _addresses(Names({"a.example.com": [many]}), "*") == many[:8]
    assert _addresses(Names({}), "*", host="1.1.1.1") == ("1.1.1.1",)


@pytest.mark.parametrize("answer", [(), ("nonsense",)])
def test_an_answer_that_is_no_address_is_refused(answer: tuple[str, ...]) -> None:
    with pytest.raises(EdgeError, match="no address"):
        _addresses(Names({"a.example.com": [answer]}), "*")


def test_a_name_that_changes_its_answer_is_looked_up_once(server: Server) -> None:
    names = Names({"here.test": [("127.0.0.1",), ("10.9.9.9",)]})
    fetch = Fetch(resolve=names, timeout_s=5)
    assert _get(fetch, f"http://here.test:{server.port}/")["text"] == "hello"
    assert names.asked == ["here.test"]


def test_a_name_that_turns_private_on_the_way_is_refused(server: Server) -> None:
    names = Names({"here.lan": [("127.0.0.1",)], "a.example.com": [("127.0.0.1",)]})
    hosts = HostRules.parse(["*", "here.lan"])
    url = f"http://here.lan:{server.port}/redirect?302&http://a.example.com:PORT/"
    before = len(server.seen)
    with pytest.raises(ToolFailedError, match=r"not a public address"):
        _get(Fetch(resolve=names, timeout_s=5), url, hosts)
    assert len(server.seen) == before + 1


def test_an_unknown_name_and_a_slow_look_up_fail_in_time(server: Server) -> None:
    with pytest.raises(ToolFailedError, match="name or service not known"):
        _get(Fetch(resolve=Names({})), "http://here.test/")
    reading, writing = socket.socketpair()

    def stuck(host: str, port: int) -> tuple[str, ...]:
        reading.recv(1)
        return ()

    with pytest.raises(ToolFailedError, match=r"longer than 0\.05 s"):
        _get(Fetch(resolve=stuck, timeout_s=0.05), "http://here.test/")
    writing.send(b"x")
    reading.close()
    writing.close()


def test_the_next_address_is_tried_and_the_last_failure_told(server: Server) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = free.getsockname()[1]
        with pytest.raises(ToolFailedError, match="no connection: connection refused"):
            _get(Fetch(timeout_s=5), f"http://127.0.0.1:{closed}/")
    names = Names({"here.lan": [("127.0.0.2", "127.0.0.1")]})
    hosts = HostRules.parse(["here.lan"])
    result = _get(Fetch(resolve=names, timeout_s=5), f"http://here.lan:{server.port}/", hosts)
    assert result["text"] == "hello"


def test_the_system_resolves_literals() -> None:
    assert system_resolve("127.0.0.1", 80) == ("127.0.0.1",)


def test_no_proxy_comes_from_the_environment(
    fetch: Fetch, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert _get(fetch, f"http://here.test:{server.port}/")["text"] == "hello"


# -- redirects ---------------------------------------------------------------


def test_redirects_are_followed_and_the_last_url_told(fetch: Fetch, server: Server) -> None:
    start = f"http://here.test:{server.port}/redirect?301&"
    for target in ("/x", "http://there.test:PORT/x", "//there.test:PORT/x", "/a b/é"):
        result = _get(fetch, start + target.replace(" ", "%20").replace("é", "%C3%A9"))
        assert result["text"] == "hello"
        assert str(result["url"]).endswith(("/x", "/a%20b/%C3%A9"))


def test_a_redirect_is_checked_like_a_first_request(fetch: Fetch, server: Server) -> None:
    start = f"http://here.test:{server.port}/redirect?302&"
    for target, reason in {
        "http://other.test/": "do not admit",
        "http://169.254.169.254/": "do not admit",
        "file:///etc/passwd": "not of the form",
        "http://a@b/": "user information",
    }.items():
        with pytest.raises(ToolFailedError, match=reason):
            _get(fetch, start + target)


def test_redirects_have_an_end(fetch: Fetch, server: Server) -> None:
    before = len(server.seen)
    with pytest.raises(ToolFailedError, match="more than 5 redirects"):
        _get(fetch, f"http://here.test:{server.port}/around?")
    assert len(server.seen) == before + 6


@pytest.mark.parametrize(
    ("status", "method", "body"), [(303, "GET", b""), (302, "GET", b""), (307, "POST", b"data")]
)
def test_method_and_body_follow_the_status(
    fetch: Fetch, server: Server, status: int, method: str, body: bytes
) -> None:
    url = f"http://here.test:{server.port}/redirect?{status}&/echo"
    _send(fetch, url, body="data", headers={"content-type": "text/x", "x-a": "b"})
    sent = server.seen[-1]
    assert (sent.method, sent.body, sent.headers["x-a"]) == (method, body, "b")
    assert ("content-type" in sent.headers) is (method == "POST")


# -- credentials -------------------------------------------------------------


def test_a_credential_is_put_in_at_the_edge_and_never_shown(fetch: Fetch, server: Server) -> None:
    result = _send(
        fetch,
        f"http://here.test:{server.port}/echo?k=${{credential:KEY}}",
        headers={"Authorization": "Bearer ${credential:KEY}"},
    )
    sent = server.seen[-1]
    assert sent.headers["authorization"] == f"Bearer {SECRET}"
    assert sent.path == "/echo?k=s3cret%2Fvalue%2Bwith%3Dodd%26characters"
    shown = json.dumps(result)
    assert SECRET not in shown
    assert "s3cret" not in shown
    assert "[redacted:KEY]" in str(result["text"])


def test_a_credential_stays_with_the_hosts_it_was_declared_for(
    fetch: Fetch, server: Server
) -> None:
    before = len(server.seen)
    for url, headers in (
        (f"http://there.test:{server.port}/", {"a": "${credential:KEY}"}),
        (f"http://there.test:{server.port}/?${{credential:KEY}}", {}),
        (f"http://here.test:{server.port}/", {"a": "${credential:OTHER}"}),
    ):
        with pytest.raises(ToolFailedError, match=r"not declared for|was handed"):
            _send(fetch, url, headers=headers)
    assert len(server.seen) == before


def test_a_credential_is_not_sent_on_to_another_host(fetch: Fetch, server: Server) -> None:
    headers = {"X-Key": "${credential:KEY}", "Cookie": "own", "X-Plain": "kept"}
    url = f"http://here.test:{server.port}/redirect?307&http://there.test:PORT/echo"
    _send(fetch, url, headers=headers)
    sent = server.seen[-1].headers
    assert sent["x-plain"] == "kept"
    assert not {"x-key", "cookie"} & set(sent)
    url = f"http://here.test:{server.port}/redirect?307&/echo"
    _send(fetch, url, headers=headers)
    assert server.seen[-1].headers["x-key"] == SECRET


def test_a_server_cannot_have_a_credential_sent_on_in_a_url(fetch: Fetch, server: Server) -> None:
    port = server.port
    before = len(server.seen)
    url = f"http://here.test:{port}/redirect?302&http://there.test:PORT/?${{credential:KEY}}"
    with pytest.raises(ToolFailedError, match=r"would carry a credential to 'there\.test'"):
        _send(fetch, url)
    assert len(server.seen) == before + 1


def test_a_template_that_a_server_writes_stays_a_template() -> None:
    class Planting(httpx.BaseTransport):
        requests: list[httpx.Request]

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            paths.append(str(request.url))
            if len(paths) > 1:
                return httpx.Response(200, text="end")
            return httpx.Response(302, headers={"location": "/?x=${credential:KEY}"})

    paths: list[str] = []

    def transport(*_: object, **__: object) -> httpx.BaseTransport:
        return Planting()

    names = Names({"here.test": [("127.0.0.1",)]})
    result = _send(
        Fetch(resolve=names, transport=transport),
        "http://here.test/",
        headers={"a": "${credential:KEY}"},
    )
    assert result["text"] == "end"
    assert paths[1] == "http://here.test/?x=$%7Bcredential:KEY%7D"


def test_a_credential_is_not_sent_in_the_clear_to_a_public_address() -> None:
    fetch = Fetch(resolve=Names({"here.test": [("8.8.8.8",)]}), timeout_s=5)
    with pytest.raises(ToolFailedError, match="not sent over plain http"):
        _send(fetch, "http://here.test/", headers={"a": "${credential:KEY}"})


@pytest.mark.parametrize("value", ["", "two\r\nlines: x"])
def test_a_credential_that_does_not_fit_is_refused_without_being_quoted(
    fetch: Fetch, server: Server, value: str
) -> None:
    with pytest.raises(ToolFailedError, match="empty or holds") as caught:
        _send(
            fetch,
            f"http://here.test:{server.port}/",
            headers={"a": "${credential:KEY}"},
            value=value,
        )
    assert "two" not in str(caught.value)


def test_a_value_that_the_cap_cuts_through_leaves_no_beginning(
    fetch: Fetch, server: Server
) -> None:
    result = _send(
        fetch,
        f"http://here.test:{server.port}/edge-echo",
        headers={"x-key": "${credential:KEY}"},
    )
    assert result["truncated"] is True
    assert set(str(result["text"])) == {"z"}


def test_a_short_value_is_not_hunted_for_in_the_answer(fetch: Fetch, server: Server) -> None:
    result = _send(
        fetch,
        f"http://here.test:{server.port}/echo",
        headers={"x-key": "${credential:KEY}"},
        value="ab",
    )
    assert "[redacted" not in str(result["text"])


def test_errors_and_tracebacks_hold_no_value(fetch: Fetch, server: Server) -> None:
    with pytest.raises(ToolFailedError) as caught:
        _send(
            fetch,
            f"http://here.test:{server.port}/nonsense?${{credential:KEY}}",
            headers={"a": "${credential:KEY}"},
        )
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(Credential(SECRET, NAMED))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"headers": {"Host": "other"}}, "set by the program"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "set by the program"),
        ({"headers": {"a b": "c"}}, "name is not valid"),
        ({"headers": {"a": "b\r\nc: d"}}, "value of the header 'a'"),
        ({"headers": {"a": 1}}, "value of the header 'a'"),
        ({"headers": ["a"]}, "no object"),
        ({"body": 1}, "not a text"),
        ({"body": "\ud800"}, "not valid Unicode"),
        ({"method": "get"}, "missing or unknown"),
        ({"url": None}, "missing or unknown"),
        ({"url": "http://here.test/" + "x" * 70_000}, "URL or a header is not valid"),
    ],
)
def test_refuses_malformed_arguments(
    fetch: Fetch, server: Server, arguments: dict[str, object], reason: str
) -> None:
    before = len(server.seen)
    whole = {"url": f"http://here.test:{server.port}/", "method": "POST", **arguments}
    with pytest.raises(ToolFailedError, match=reason):
        fetch.send_request(whole, NAMED, {})
    assert len(server.seen) == before


# -- caps --------------------------------------------------------------------


@pytest.mark.parametrize("path", ["drip", "drip-headers", "silent"])
def test_a_slow_drip_ends_at_the_total_limit(server: Server, path: str) -> None:
    started = time.monotonic()
    with pytest.raises(ToolFailedError, match=r"longer than|in time"):
        _get(Fetch(timeout_s=0.3), f"http://127.0.0.1:{server.port}/{path}")
    assert time.monotonic() - started < 5


def test_no_time_is_left_when_it_is_up() -> None:
    times = iter([0.0, 1.0, 2.0])
    deadline = Deadline(1.5, clock=lambda: next(times))
    assert deadline.left_s() == 0.5
    with pytest.raises(EdgeError, match=r"longer than 1\.5 s"):
        deadline.left_s()


def test_a_call_may_have_less_time_than_the_broker(fetch: Fetch, server: Server) -> None:
    with pytest.raises(ToolFailedError, match=r"longer than 0\.2 s|in time"):
        fetch.fetch_url({"url": f"http://127.0.0.1:{server.port}/silent"}, NAMED, timeout_s=0.2)


@pytest.mark.parametrize("path", ["large", "bomb", "empty-bomb"])
def test_content_is_cut_at_its_cap_and_a_bomb_is_not_unpacked(
    fetch: Fetch, server: Server, path: str
) -> None:
    result = _get(fetch, f"http://127.0.0.1:{server.port}/{path}")
    assert (result["size"], result["truncated"]) == (600_000, True)
    assert len(json.dumps(result)) < MAX_RESULT_BYTES


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("broken-zip", "compressed content is broken"),
        ("unknown-coding", "was not asked for"),
        ("nonsense", "not valid HTTP"),
        ("cut-off", "not valid HTTP"),
    ],
)
def test_a_broken_answer_fails_the_call(
    fetch: Fetch, server: Server, path: str, reason: str
) -> None:
    with pytest.raises(ToolFailedError, match=reason):
        _get(fetch, f"http://127.0.0.1:{server.port}/{path}")


# -- TLS ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tls") / "both.pem"
    place.write_text(KEY + CERTIFICATE)
    return place


@pytest.fixture
def secure_server(certificate: Path) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(context) as running:
        yield running


def _trusting(certificate: Path) -> Fetch:
    names = Names({"here.test": [("127.0.0.1",)], "there.test": [("127.0.0.1",)]})
    context = ssl.create_default_context(cafile=str(certificate))
    return Fetch(resolve=names, context=context, timeout_s=10)


def test_tls_is_for_the_name_on_the_pinned_address(
    secure_server: Server, certificate: Path
) -> None:
    fetch = _trusting(certificate)
    result = _send(
        fetch,
        f"https://here.test:{secure_server.port}/",
        headers={"a": "${credential:KEY}"},
    )
    assert result["text"] == "hello"
    with pytest.raises(ToolFailedError, match=r"certificate is not accepted: .*there\.test"):
        _get(fetch, f"https://there.test:{secure_server.port}/")


def test_an_unknown_authority_is_refused(secure_server: Server, fetch: Fetch) -> None:
    with pytest.raises(ToolFailedError, match="certificate is not accepted"):
        _get(fetch, f"https://here.test:{secure_server.port}/")


def test_plain_http_where_tls_is_expected_fails(server: Server, fetch: Fetch) -> None:
    with pytest.raises(ToolFailedError, match="TLS failed"):
        _get(fetch, f"https://here.test:{server.port}/")


def test_a_transport_without_addresses_connects_nowhere() -> None:
    context = ssl.create_default_context()
    with (
        PinnedTransport((), deadline=Deadline(5), context=context) as transport,
        pytest.raises(EdgeError, match="cannot be reached"),
    ):
        transport.handle_request(httpx.Request("GET", "http://127.0.0.1/"))
