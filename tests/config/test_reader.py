"""A value asked for a type gives it, or says what is wrong and where."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cleveragents.config.place import key_path
from cleveragents.config.reader import Reader
from cleveragents.errors import ConfigurationError
from cleveragents.policy.spelling import shown


def test_a_place_without_a_file_is_its_key_path() -> None:
    assert Reader(1, keys=("a", 0)).where == "a[0]"
    assert Reader(1, path="inputs", keys=("a",)).where == "inputs.a"
    assert Reader(1, "x.yaml").where == "x.yaml"
    assert Reader(1, "x.yaml").prefix == "x.yaml:"
    assert Reader(1, "x.yaml", "steps").prefix == "x.yaml: steps"


def test_a_long_path_or_value_does_not_fill_the_screen() -> None:
    assert len(key_path(("k" * 64,) * 50)) < 200
    assert len(shown(list(range(1000)))) == 60
    assert "\n" not in shown("a\nb")


@pytest.mark.parametrize(
    ("value", "ask", "sentence"),
    [
        (1, Reader.text, "x: expected a string, found the number 1; put it in quotes"),
        (None, Reader.text, "x: expected a string, found nothing"),
        (object(), Reader.text, "x: expected a string, found something else"),
        ("", Reader.text, "x: is empty"),
        ("a", Reader.items, "x: expected a list, found the text 'a'"),
        (["a", 1], Reader.texts, "x: [1]: expected a string, found the number 1; put it in quotes"),
        ("yes", Reader.truth, "x: expected true or false, found the text 'yes'"),
        ({1: 2}, Reader.entries, "x: the key 1 is not a string"),
        ([], Reader.entries, "x: expected a mapping, found a list"),
        ({"a": 1}, Reader.items, "x: expected a list, found a mapping"),
        (float("nan"), Reader.json, "x: nan is no JSON value"),
        ({1}, Reader.json, "x: something else is no JSON value"),
    ],
)
def test_another_type_is_one_sentence(value: object, ask: object, sentence: str) -> None:
    assert callable(ask)
    with pytest.raises(ConfigurationError) as caught:
        ask(Reader(value, "x"))
    assert caught.value.message == sentence


def test_unknown_missing_and_empty_keys_are_errors() -> None:
    for value, sentence in (
        ({"nmae": 1}, "x: nmae: unknown key, did you mean 'name'?"),
        ({"zzz": 1}, "x: zzz: unknown key, known: name, steps"),
        ({"steps": 1}, "x: the key 'name' is missing"),
        ({"name": None}, "x: name: the key has no value; leave the key out"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            Reader(value, "x").mapping(("name", "steps"), required=("name",))
        assert caught.value.message == sentence


def test_words_and_choices() -> None:
    form = re.compile("[a-z]+")
    assert Reader("ab").word(form, "a word", "a-z") == "ab"
    assert Reader("b").choice({"a": 1, "b": 2}) == 2
    with pytest.raises(ConfigurationError, match="'A' cannot be a word; a-z"):
        Reader("A").word(form, "a word", "a-z")
    with pytest.raises(ConfigurationError, match="'c' is not one of a, b"):
        Reader("c").choice({"a": 1, "b": 2})
    assert Reader(value=False).truth() is False


def test_a_path_is_relative_to_its_file_and_knows_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    base = Path("/etc/agents")
    assert Reader("a.py").file(base) == Path("/etc/agents/a.py")
    assert Reader("/b.py").file(base) == Path("/b.py")
    assert Reader("~/c.py").file(base) == Path("/home/somebody/c.py")
    assert Reader("~nobody-of-that-name/c").file(base) == base / "~nobody-of-that-name/c"
    with pytest.raises(ConfigurationError, match="cannot be the path of a file"):
        Reader("a\0b").file(base)
