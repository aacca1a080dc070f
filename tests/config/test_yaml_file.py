"""What the reader of YAML keeps exactly, and what it refuses."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cleveragents.config import yaml_file
from cleveragents.config.yaml_file import load_file, load_text
from cleveragents.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


def is_one_sentence(message: str) -> None:
    assert message.startswith("a.yaml")
    assert "\n" not in message


def refusal(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_text(text, "a.yaml")
    assert "\n" not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("true", True),
        ("FALSE", False),
        ("on", "on"),
        ("yes", "yes"),
        ("no", "no"),
        ("~", None),
        ("", None),
        ("null", None),
        ("12", 12),
        ("-7", -7),
        ("0o17", 15),
        ("0x1F", 31),
        ("010", 10),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2026-01-02", "2026-01-02"),
        ("0.10", 0.1),
        ("2.00", 2.0),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("'12'", "12"),
        ('"true"', "true"),
        ("<<", "<<"),
        ("=", "="),
    ],
)
def test_plain_words_follow_yaml_1_2(word: str, value: object) -> None:
    loaded = load_text(f"a: {word}", "a.yaml").value
    assert loaded == {"a": value}
    assert isinstance(loaded, dict)
    assert type(loaded["a"]) is type(value)


def test_keys_that_yaml_1_1_reads_as_truth_values_stay_words() -> None:
    assert load_text("on: 1\nyes: 2\n", "a.yaml").value == {"on": 1, "yes": 2}


def test_a_place_is_told_by_file_and_line() -> None:
    document = load_text("a:\n  - x\n  - b:\n      c: 1\nd: [1,\n 2]\n", "a.yaml")
    assert document.where() == "a.yaml:1"
    assert document.where(("a", 1, "b", "c")) == "a.yaml:4"
    assert document.where(("d", 1)) == "a.yaml:6"
    assert document.where(("a", 7)) == "a.yaml:1", "what is not there stands where it would be"
    assert document.reader.at("a", 1, "b").where == "a.yaml:3: a[1].b"


def test_an_alias_repeats_a_value() -> None:
    assert load_text("a: &x {p: [1]}\nb: *x\nc: *x\n", "a.yaml").value == {
        "a": {"p": [1]},
        "b": {"p": [1]},
        "c": {"p": [1]},
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "a.yaml:1: is empty"),
        ("# only a remark\n", "is empty"),
        ("a: 1\nb: 2\na: 3\n", "a.yaml:3: a: the key is given twice, first on line 1"),
        ("s:\n  - {k: 1, k: 2}", "a.yaml:2: s[0].k: the key is given twice"),
        ("a: !!python/object:os.system x", "the tag 'tag:yaml.org,2002:python/object:os.system'"),
        ("a: !x [1]", "the tag '!x' is not supported; write a plain value"),
        ("a: !!str 1", "is not supported"),
        ("!x a: 1", "the tag '!x' is not supported"),
        ("1: x", "the key '1' is not a string; put it in quotes"),
        ("true: x", "the key 'true' is not a string"),
        ("~: x", "the key '~' is not a string"),
        ("? [a]\n: x", "a key must be a plain string"),
        ("a: &k x\n*k : 1", "a.yaml:2: a key must be a plain string"),
        ("&k a: 1", "a key must be a plain string"),
        ("a: 1\n---\nb: 2\n", "a.yaml:2: holds several documents; write one to a file"),
        ("a: .nan", "a: .nan is not a number that can be used; put it in quotes"),
        ("a: -.INF", "-.INF is not a number that can be used"),
        ("a: 1e999", "the number 1e999 cannot be kept exactly"),
        ("a: 1e-999", "cannot be kept exactly"),
        ("a: 0e" + "9" * 30, "cannot be kept exactly"),
        ("a: 0.10000000000000000001", "cannot be kept exactly"),
        ("a: 9223372036854775808", "does not fit into 64 bits"),
        ("a: " + "9" * 5000, "the number 999999999999... is too long"),
        ("a: *x", "the alias *x stands for nothing"),
        ("a: &x [*x]", "the alias *x stands inside of what it repeats"),
        ("a: &x 1\nb: &x 2", "a.yaml:2: b: the anchor &x is defined twice"),
        ("a: [", "a.yaml:2: is not YAML: "),
        ("\ta: 1", "a.yaml:1: is not YAML: "),
        ("a: 'x", "is not YAML: "),
        ("a: 1\nb: \x07", "a.yaml:2: is not YAML: "),
        ('a: "\\ud800"', "a.yaml:1: "),
        ("%YAML 2.0\n--- a", "is not YAML: "),
        ("\ud800", "a.yaml: is not UTF-8 text"),
    ],
)
def test_what_a_person_cannot_see_at_a_glance_is_refused(text: str, sentence: str) -> None:
    assert sentence in refusal(text)


def test_depth_is_limited() -> None:
    deep = yaml_file.MAX_DEPTH
    assert load_text("[" * deep + "]" * deep, "a.yaml").value
    assert f"nests deeper than {deep}" in refusal("[" * (deep + 1) + "]" * (deep + 1))
    assert "nests deeper than" in refusal("[" * 200_000)


def test_aliases_do_not_add_depth_unseen() -> None:
    half = "[" * 40 + "]" * 40
    text = "a: &x " + half + "\nb: " + "[" * 40 + "*x" + "]" * 40
    assert "b[0][0]" in refusal(text)
    assert "nests deeper than" in refusal(text)


def test_a_bomb_of_aliases_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "aliases stand for more than 1000 values" in refusal("\n".join(lines))


def test_size_is_limited_in_bytes() -> None:
    assert refusal("a: " + "x" * yaml_file.MAX_BYTES) == "a.yaml: is larger than 1 MiB"
    assert "larger" in refusal("é" * (yaml_file.MAX_BYTES // 2 + 1))


def test_a_file_that_is_no_plain_text_file_is_refused(tmp_path: Path) -> None:
    pipe, big, binary = tmp_path / "pipe", tmp_path / "big", tmp_path / "binary"
    os.mkfifo(pipe)
    with big.open("wb") as file:
        file.truncate(100 << 20)
    binary.write_bytes(b"a: 1\nb: \xff\n")
    for path, sentence in (
        (pipe, "is not a regular file"),
        (tmp_path, "cannot be read: Is a directory"),
        (big, "is larger than 1 MiB"),
        (binary, f"{binary}:2: is not UTF-8 text (byte 8)"),
        (tmp_path / "absent.yaml", "cannot be read: No such file or directory"),
        (tmp_path / "a\0b", "cannot be read: embedded null byte"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            load_file(path)
        assert sentence in caught.value.message


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert load_file(path).value == {"a": 1}


@pytest.mark.parametrize("loader", [yaml.SafeLoader, yaml_file._LOADER])
def test_both_parsers_give_the_same(
    loader: type[yaml.SafeLoader], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yaml_file, "_LOADER", loader)
    assert load_text("a: [1, on, &x {b: c}, *x]", "a.yaml").value == {
        "a": [1, "on", {"b": "c"}, {"b": "c"}]
    }
    for text in ("a: \x07", "a: [", "a: !x 1", "a: 1\na: 2", "", 'a: "\\ud800"'):
        assert "a.yaml" in refusal(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_whatever_pyyaml_writes_in_quotes_reads_back(value: object) -> None:
    text = yaml.safe_dump(value, default_style='"', allow_unicode=False)
    # Quoted, every scalar is a text; its tag is written where it is none.
    if "!!" in text or "!<" in text or text.startswith("! "):
        return
    assert load_text(text, "a.yaml").value == value


@given(st.text(max_size=200) | st.text(alphabet="{}[]&*!|>'\"%@`-:,#? \na1.\\", max_size=60))
def test_any_text_is_a_value_or_one_sentence(text: str) -> None:
    try:
        load_text(text, "a.yaml")
    except ConfigurationError as error:
        is_one_sentence(error.message)


@given(st.decimals(0, 10**9, places=6))
def test_an_amount_of_six_decimals_is_kept_exactly(amount: object) -> None:
    loaded = load_text(f"a: {amount}", "a.yaml").reader.entries()["a"]
    assert loaded.microusd() == int(str(amount).replace(".", ""))
