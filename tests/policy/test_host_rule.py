"""Which hosts the entries admit, and which host a URL names: one spelling or none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleveragents.errors import ConfigurationError
from cleveragents.policy.host_rule import (
    PUBLIC,
    HostRules,
    host_of_url,
    is_private,
    normalise_host,
    parse_url,
)

from . import generated as g

entry_lists = st.lists(g.host_entries, max_size=4)


@pytest.mark.parametrize(
    ("raw", "normal"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("1.1.1.1", "1.1.1.1"),
        ("[2001:DB8::1]", "2001:db8::1"),
        ("::1", "::1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("_dns.example.com", "_dns.example.com"),
    ],
)
def test_a_host_has_one_spelling(raw: str, normal: str) -> None:
    assert normalise_host(raw) == normal
    assert normalise_host(normal) == normal


@pytest.mark.parametrize(
    "raw",
    [
        "",
        ".",
        "..",
        "example..com",
        "example.com..",
        "-a.example",
        "a-.example",
        "a b",
        "bücher.example",
        "example.com\u3002",
        "127.1",
        "127.0.0.1.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "127.0.0.0x1",
        "0177.0.0.1",
        "127.0.0.01",
        "256.1.1.1",
        "example.123",
        "%6c%6f.example",
        "a@b",
        "a/b",
        "a:80",
        "[::1",
        "::1]",
        "[fe80::1%eth0]",
        "fe80::1%25eth0",
        "[example.com]",
        "[127.0.0.1]",
        "a" * 64 + ".example",
        ".".join(["a" * 60] * 5),
        "exa\tmple.com",
        "example.com\n",
    ],
)
def test_a_spelling_that_readers_disagree_about_is_refused(raw: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        normalise_host(raw)
    assert not HostRules.parse(["*"]).admits(raw)
    assert not HostRules.parse(["*.example", "*.com"]).admits(raw)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.9.9.9",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        # An address to be refused, not one to bind.
        "0.0.0.0",  # noqa: S104
        "255.255.255.255",
        "224.0.0.1",
        "240.0.0.1",
        "192.0.2.1",
        "::1",
        "::",
        "fe80::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::7f00:1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::1",
        "2001:0:7f00:1::1",
        "168.63.129.16",
        "192.0.0.9",
        "fec0::1",
        "3fff::1",
        "5f00::1",
        "2001:470::5efe:7f00:1",
        "2001:470::200:5efe:a00:1",
        "localhost",
        "app.localhost",
        "printer.local",
        "metadata.google.internal",
        "nas.lan",
        "router.home.arpa",
        "db",
    ],
)
def test_a_private_host_needs_an_entry_of_its_own(host: str) -> None:
    host = normalise_host(host)
    assert is_private(host)
    assert not PUBLIC.admits(host)
    named = HostRules.parse([host])
    assert named.admits(host)
    assert named.names_exactly(host)
    assert not PUBLIC.names_exactly(host)
    assert not PUBLIC.contains(named)


@pytest.mark.parametrize(
    "host", ["example.com", "1.1.1.1", "2606:4700::1111", "2001:470::5efe:101:101", "localhost.com"]
)
def test_a_public_host_is_admitted_by_the_star(host: str) -> None:
    assert not is_private(host)
    assert PUBLIC.admits(host)


@pytest.mark.parametrize(
    ("entries", "host", "expected"),
    [
        (["example.com"], "example.com", True),
        (["example.com"], "EXAMPLE.com.", True),
        (["example.com"], "api.example.com", False),
        (["example.com"], "example.com.evil.org", False),
        (["*.example.com"], "api.example.com", True),
        (["*.example.com"], "a.b.example.com", True),
        (["*.example.com"], "example.com", False),
        (["*.example.com"], "evilexample.com", False),
        ([], "example.com", False),
    ],
)
def test_hosts_are_compared_by_whole_labels(entries: list[str], host: str, expected: bool) -> None:
    assert HostRules.parse(entries).admits(host) is expected


@pytest.mark.parametrize(
    "entry",
    [
        "*.",
        "*example.com",
        "a.*",
        "**",
        "*.local",
        "*.internal",
        "*.10",
        "*.[::1]",
        "https://a.b",
        1,
    ],
)
def test_an_entry_that_admits_more_or_less_than_it_names_is_refused(entry: object) -> None:
    with pytest.raises(ConfigurationError):
        HostRules.parse([entry])  # type: ignore[list-item]  # the point of the test


@pytest.mark.parametrize(
    ("raw", "host", "spelling"),
    [
        ("http://example.com", "example.com", "http://example.com"),
        ("HTTPS://EXAMPLE.com./A?b=c#d", "example.com", "https://example.com/A?b=c#d"),
        ("http://example.com:8080/x", "example.com", "http://example.com:8080/x"),
        ("http://example.com?x=http://evil.org", "example.com", None),
        ("http://example.com#@evil.org", "example.com", None),
        ("http://example.com/@evil.org", "example.com", None),
        ("http://[::1]:80/x", "::1", None),
        ("http://[0:0::1]/x", "::1", "http://[::1]/x"),
        ("https://a.org/${credential:KEY}?k=${credential:B}", "a.org", None),
        ("http://example.com:", "example.com", "http://example.com"),
    ],
)
def test_a_url_names_one_host(raw: str, host: str, spelling: str | None) -> None:
    assert host_of_url(raw) == host
    assert str(parse_url(raw)) == (spelling or raw)
    assert str(parse_url(str(parse_url(raw)))) == str(parse_url(raw))


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "example.com",
        "//example.com",
        "ftp://example.com",
        "file:///etc/passwd",
        "http:example.com",
        "http:/example.com",
        "http:///example.com",
        "http://",
        "http://:80/",
        "http://user@example.com/",
        "http://user:pw@example.com/",
        "http://example.com@evil.org/",
        "http://example.com\\@evil.org/",
        "http://example.com\\.evil.org",
        "http://exa mple.com/",
        "http://example.com/\n",
        "http://example.com/\x00",
        "http://example.com/\x7f",
        " http://example.com",
        "http://ex\u00e4mple.com/",
        "http://example.com/\u00e4",
        "http://example.com%2eevil.org/",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:8o/",
        "http://example.com:80:80/",
        "http://::1/",
        "http://[::1]x/",
        "http://[::1]x:80/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://${credential:KEY}.org/",
    ],
)
def test_a_url_that_could_be_read_twice_is_refused(raw: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_url(raw)


@given(st.text(max_size=60))
def test_reading_any_text_ends_in_a_host_or_a_refusal(text: str) -> None:
    for raw in (text, "http://" + text, "https://example.com/" + text):
        try:
            url = parse_url(raw)
        except ValueError:
            continue
        assert normalise_host(url.host) == url.host
        assert parse_url(str(url)).host == url.host


@given(entry_lists, entry_lists, g.hosts)
def test_the_meet_admits_what_both_admit(one: list[str], other: list[str], host: str) -> None:
    a, b = HostRules.parse(one), HostRules.parse(other)
    assert a.meet(b).admits(host) is (a.admits(host) and b.admits(host))
    assert a.contains(a.meet(b))
    if a.contains(b) and b.admits(host):
        assert a.admits(host)
