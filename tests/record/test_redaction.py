from __future__ import annotations

import base64
import string
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleveragents.record.redaction import MIN_LENGTH, Redactor

SECRET = 'pa55/w+rd "é" s3cret'  # a test's own


def test_nothing_declared_changes_nothing() -> None:
    redactor = Redactor({})
    value = {"a": ["text", {"b": 1}]}
    assert redactor.value(value) is value
    assert redactor.text("text") == "text"


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        quote(SECRET, safe="").lower().replace("pa55", "pa55"),
        SECRET.replace('"', '\\"'),
        SECRET.replace('"', '\\"').replace("é", "\\u00e9"),
    ],
)
def test_each_spelling_is_replaced_by_the_name(form: str) -> None:
    redactor = Redactor({"API_KEY": SECRET, "OTHER": "quite-another-value"})
    assert redactor.text(f"before {form} after") == "before [redacted:API_KEY] after"


@pytest.mark.parametrize(
    "form",
    [
        "a\\/b&c+d=e<f'gh",
        r"a\u002fb&c+d=e<f'gh",
        r"a/b\u0026c+d=e\u003cf'gh",
        r"a/b\u0026c\u002bd\u003de\u003cf\u0027gh",
        r"a/b\u0026c\u002Bd=e\u003Cf\u0027gh",
        r"a/b&c+d\u003de<f'gh",
        "a/b&amp;c+d=e&lt;f&#x27;gh",
        "a/b&amp;c+d=e&lt;f&#39;gh",
        "a/b&amp;c+d=e&lt;f'gh",
    ],
)
def test_what_writers_of_json_and_html_escape_is_found(form: str) -> None:
    redactor = Redactor({"K": "a/b&c+d=e<f'gh"})
    assert redactor.text(f"before {form} after") == "before [redacted:K] after"


def test_a_value_of_several_lines_is_found_in_a_sentence() -> None:
    key = "-----BEGIN KEY-----\nabcdefgh12345678\n-----END KEY-----\n"
    redactor = Redactor({"K": key, "BLANK": " " * 12})
    assert redactor.text(f"bad: {' '.join(key.split())}!") == "bad: [redacted:K]!"
    assert redactor.text("a b") == "a b"


def test_a_value_of_any_depth_is_walked() -> None:
    value: object = "secret-secret"
    for _ in range(50_000):
        value = [{"a": value}]
    redacted = Redactor({"K": "secret-secret"}).value(value)
    while isinstance(redacted, list):
        redacted = redacted[0]["a"]
    assert redacted == "[redacted:K]"


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("prefix", [b"", b"a", b"ab", b"abc", b"user:"])
@pytest.mark.parametrize("suffix", [b"", b"z", b"zy", b"\n"])
def test_base64_is_found_in_each_alignment(encode: object, prefix: bytes, suffix: bytes) -> None:
    assert callable(encode)
    redactor = Redactor({"API_KEY": SECRET})
    encoded = encode(prefix + SECRET.encode() + suffix).decode()
    shown = redactor.text(f"Basic {encoded} end")
    assert "[redacted:API_KEY]" in shown
    # At most two characters at each side hold a part of the value.
    assert len(shown) < len("Basic [redacted:API_KEY] end") + len(prefix) * 2 + len(suffix) * 2 + 8


def test_values_are_walked_and_keys_too() -> None:
    redactor = Redactor({"K": b"0123456789abcdef\n"})
    value = {"x 0123456789abcdef": [("a0123456789abcdef", 1, None, True)], "n": 1.5}
    assert redactor.value(value) == {"x [redacted:K]": [["a[redacted:K]", 1, None, True]], "n": 1.5}


def test_short_values_are_left_alone_and_long_ones_win() -> None:
    redactor = Redactor(
        {"SHORT": "x" * (MIN_LENGTH - 1), "LONG": "secret-secret", "MORE": "secret-secret-2"}
    )
    assert redactor.text("xxxxxxx") == "xxxxxxx"
    assert redactor.text("secret-secret-2 secret-secret") == "[redacted:MORE] [redacted:LONG]"


def test_bytes_that_are_no_text_are_found_encoded() -> None:
    secret = bytes(range(200, 220))
    redactor = Redactor({"K": secret})
    assert redactor.text(base64.b64encode(secret).decode()).startswith("[redacted:K]")
    assert redactor.text(quote(secret)) == "[redacted:K]"


@given(
    st.text(
        st.sampled_from(string.ascii_letters + string.digits + '+/=-_ é"\\\n'),
        min_size=8,
        max_size=40,
    ),
    st.binary(max_size=5),
    st.binary(max_size=5),
)
def test_no_declared_value_survives(secret: str, before: bytes, after: bytes) -> None:
    redactor = Redactor({"K": secret})
    kept = secret.rstrip("\r\n")
    if len(kept.encode()) < MIN_LENGTH:
        return
    text = f"{before!r} {secret} {quote(secret)} {after!r}"
    assert kept not in redactor.text(text)
    encoded = base64.b64encode(before + secret.encode() + after).decode()
    assert redactor.text(encoded) != encoded
