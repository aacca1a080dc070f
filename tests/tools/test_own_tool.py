from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cleveragents.errors import ConfigurationError
from cleveragents.policy.condition import compile_parameters
from cleveragents.terms.digest import digest_bytes
from cleveragents.terms.tool import ALL_EFFECTS, Effect
from cleveragents.tools.own_tool import describe, load, tool

if TYPE_CHECKING:
    from pathlib import Path

    from cleveragents.terms.tool import ToolSpec

HEAD = "from cleveragents import tool\n"
GOOD = '''
import typing
from typing import Literal, Optional
from cleveragents.tools.own_tool import tool

raise_if_run = 1

@tool(effects={"read"}, resources={"path": "file"}, cost_usd="0.02")
def count_words(
    path: str,
    kind: Literal["all", "unique"] = "all",
    *,
    least: int = 1,
    weight: float = 0.5,
    skip: Optional[list[str]] = None,
    table: "dict[str, int]" = {},
    flag: bool = True,
    other: typing.Union[int, str, None] = None,
) -> int:
    """Count words.

    In a file.
    """
    with open(path) as file:
        return len(file.read().split())

@tool
def anything(x: str | int): ...

def helper(): ...
'''


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "my_tools.py"


def _describe(source: Path, text: str) -> tuple[ToolSpec, ...]:
    source.write_text(text)
    return describe(source)


def test_a_file_is_read_and_not_run(source: Path) -> None:
    spec, other = _describe(source, GOOD + "\nraise SystemExit('it was run')\n")
    assert spec.name == "count_words"
    assert spec.description == "Count words.\n\nIn a file."
    assert (spec.effects, spec.cost_microusd) == (frozenset({Effect.READ}), 20_000)
    assert [(one.argument, one.kind, one.access) for one in spec.resources] == [
        ("path", "file", "read")
    ]
    assert (spec.origin, spec.place, spec.source) == ("own", "cell", str(source))
    assert spec.source_digest == digest_bytes(source.read_bytes())
    assert spec.parameters["required"] == ["path"]
    assert spec.parameters["properties"] == {
        "path": {"type": "string"},
        "kind": {"enum": ["all", "unique"]},
        "least": {"type": "integer"},
        "weight": {"type": "number"},
        "skip": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
        "table": {"type": "object", "additionalProperties": {"type": "integer"}},
        "flag": {"type": "boolean"},
        "other": {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]},
    }
    assert spec.defaults == {
        "kind": "all",
        "least": 1,
        "weight": 0.5,
        "table": {},
        "flag": True,
    }
    compile_parameters(spec)
    assert other.name == "anything"


def test_nothing_declared_is_every_effect(source: Path) -> None:
    for mark in ("@tool", "@tool()"):
        (spec,) = _describe(source, f"{HEAD}{mark}\ndef read_only(): ...\n")
        assert spec.effects == ALL_EFFECTS
    (spec,) = _describe(source, f"{HEAD}@tool(effects=set())\ndef pure(): ...\n")
    assert spec.effects == frozenset()


@pytest.mark.parametrize(
    "head",
    [
        "from cleveragents import tool as mark",
        "import cleveragents as mark_home\nmark = mark_home.tool",
        "from other import mark",
        "from .cleveragents import tool as mark",
    ],
)
def test_the_mark_is_known_by_where_it_comes_from(source: Path, head: str) -> None:
    text = f"{head}\n@mark(effects=['read'])\ndef f(): ...\n"
    if head.startswith("from cleveragents"):
        assert _describe(source, text)[0].effects == frozenset({Effect.READ})
    else:
        with pytest.raises(ConfigurationError, match="defines no tool"):
            _describe(source, text)


def test_the_mark_may_be_named_with_its_module(source: Path) -> None:
    text = "import cleveragents as ca\n@ca.tool(effects=('read',))\ndef f(): ...\n"
    assert _describe(source, text)[0].name == "f"


@pytest.mark.parametrize(
    ("resources", "effects", "accesses"),
    [
        ('{"p": "file"}', '{"read", "write"}', ["file:read", "file:write"]),
        ('{"p": "file"}', '{"delete"}', ["file:delete"]),
        ('{"p": "file:write"}', '{"read", "write"}', ["file:write"]),
        ('{"p": "host"}', '{"network"}', ["host:use"]),
        ('{"p": "credential"}', '{"read"}', ["credential:use"]),
    ],
)
def test_resources_reach_the_check(
    source: Path, resources: str, effects: str, accesses: list[str]
) -> None:
    mark = f"@tool(effects={effects}, resources={resources})"
    (spec,) = _describe(source, f"{HEAD}{mark}\ndef f(p: str | None = None): ...\n")
    assert [f"{one.kind}:{one.access}" for one in spec.resources] == accesses


@pytest.mark.parametrize(
    ("mark", "problem"),
    [
        ('effects={"writes"}', "did you mean 'write'"),
        ('effects={"READ"}', "did you mean 'read'"),
        ('effects={"qqqq"}', "known: read, write"),
        ("effects={3}", "no effect is named 3"),
        ('effects="read"', "not a set of names"),
        ("effects={'read': True}", "not a set of names"),
        ("effects=EFFECTS", "not a literal value"),
        ('effects={"read", *MORE}', "not a literal value"),
        ('efects={"read"}', "did you mean 'effects'"),
        ("zzz=1", "known: effects"),
        ("**more", "'@tool' has no"),
        ('{"read"}', "named values only"),
        ('effects={"read"}, resources={"p": "file:write"}', "effects lack write"),
        ('effects={"network"}, resources={"p": "file"}', "effects lack read, write or delete"),
        ('effects={"read"}, resources={"p": "host"}', "effects lack network"),
        ('effects={"read"}, resources={"p": "fil"}', "did you mean 'file'"),
        ('effects={"read"}, resources={"q": "file"}', "'q' is not a parameter"),
        ('effects={"read"}, resources={"n": "file"}', "'n' is not a text"),
        ('effects={"read"}, resources={"e": "file"}', "'e' is not a text"),
        ('effects={"read"}, resources={1: "file"}', "no kind of resource"),
        ('effects={"read"}, resources=["p"]', "not a mapping"),
        ('cost_usd="much"', "not an amount of dollars"),
        ("cost_usd=-1", "not an amount of dollars"),
        ("cost_usd=True", "not an amount of dollars"),
        ('cost_usd="0.0000001"', "not an amount of dollars"),
        ('cost_usd="NaN"', "not an amount of dollars"),
        ("cost_usd=[1]", "not an amount of dollars"),
    ],
)
def test_a_wrong_declaration_is_an_error_with_its_place(
    source: Path, mark: str, problem: str
) -> None:
    text = (
        f"from typing import Literal\n{HEAD}@tool({mark})\n"
        "def f(p: str, n: int, e: Literal[1, 2]): ...\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        _describe(source, text)
    assert problem in caught.value.message
    assert f"{source}:4" in caught.value.message or f"{source}:3" in caught.value.message


@pytest.mark.parametrize(
    ("definition", "problem"),
    [
        ("async def f(): ...", "neither async nor a class"),
        ("class f: ...", "neither async nor a class"),
        ("def F(): ...", "a-z, 0-9 and _"),
        (f"def {'f' * 65}(): ...", "a-z, 0-9 and _"),
        ("def f(x): ...", "has no annotation"),
        ("def f(*x: int): ...", "no '*args'"),
        ("def f(**x: int): ...", "no '*args'"),
        ("def f(x: int, /): ...", "no '*args'"),
        ("def f(x: int = 'a'): ...", "does not fit the annotation"),
        ("def f(x: int = True): ...", "does not fit the annotation"),
        ("def f(x: int = None): ...", "does not fit the annotation"),
        ("def f(x: float = 1e999): ...", "does not fit the annotation"),
        ("def f(x: list[int] = ['a']): ...", "does not fit the annotation"),
        ("def f(x: dict[str, int] = {1: 1}): ...", "does not fit the annotation"),
        ("def f(x: Literal['a'] = 'b'): ...", "does not fit the annotation"),
        ("def f(x: list[int] = (1,)): ...", "does not fit the annotation"),
        ("def f(x: int = compute()): ...", "not a literal value"),
        ("@staticmethod\ndef f(): ...", "no other decorator"),
    ],
)
def test_a_function_that_cannot_be_read_is_an_error(
    source: Path, definition: str, problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"^.*my_tools\.py:\d+: ") as caught:
        _describe(source, f"{HEAD}@tool\n{definition}\n")
    assert problem in caught.value.message


@pytest.mark.parametrize(
    "annotation",
    [
        "bytes",
        "Any",
        "object",
        "list[bytes]",
        "dict[int, str]",
        "dict[str, bytes]",
        "dict[str]",
        "Optional[bytes]",
        "Literal[NAME]",
        "tuple[int, int]",
        "x.Optional[int]",
        "'not python('",
        "make()[int]",
        "1",
        "list[" * 20 + "int" + "]" * 20,
    ],
)
def test_an_annotation_without_a_schema_is_an_error(source: Path, annotation: str) -> None:
    with pytest.raises(ConfigurationError, match="is not accepted"):
        _describe(source, f"{HEAD}@tool\ndef f(x: {annotation}): ...\n")


@pytest.mark.parametrize(
    "default",
    ["x: list = [1, 'a']", "x: dict = {'a': 1}", "x: list[int] = [1]", "x: float = 1"],
)
def test_a_default_that_fits_is_kept(source: Path, default: str) -> None:
    (spec,) = _describe(source, f"{HEAD}@tool\ndef f({default}): ...\n")
    assert "x" in spec.defaults


def test_tools_hidden_inside_something_or_defined_twice_are_errors(source: Path) -> None:
    inside = f"{HEAD}if 1:\n    @tool\n    def f(): ...\n"
    with pytest.raises(ConfigurationError, match="at the top of its file"):
        _describe(source, inside)
    twice = f"{HEAD}@tool\ndef f(): ...\n@tool\ndef f(): ...\n"
    with pytest.raises(ConfigurationError, match="two tools have this name"):
        _describe(source, twice)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"def f(:\n", "is no Python"),
        (b"x = '\xff'\n", "is no Python"),
        (b"x\0y", "is no Python"),
        (b"(" * 3_000 + b")" * 3_000, "is no Python"),
        (b"#" * (1 << 20) + b"\n", "larger than"),
        (b"", "defines no tool"),
    ],
)
def test_a_file_that_is_no_tool_file_is_an_error(source: Path, text: bytes, problem: str) -> None:
    source.write_bytes(text)
    with pytest.raises(ConfigurationError, match=problem):
        describe(source)


def test_a_missing_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (tmp_path / "none.py", tmp_path):
        with pytest.raises(ConfigurationError, match="no such file"):
            describe(path)
    (tmp_path / "a.py").touch()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "open", refuse)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        describe(tmp_path / "a.py")


def test_loading_runs_the_file_and_gives_the_marked_functions(source: Path) -> None:
    source.write_text(GOOD)
    (source.parent / "words").write_text("a b c")
    functions = load(str(source))
    assert set(functions) == {"count_words", "anything"}
    assert functions["count_words"](path=str(source.parent / "words")) == 3


def test_what_the_file_raises_is_raised(source: Path) -> None:
    source.write_text("1 / 0")
    with pytest.raises(ZeroDivisionError):
        load(str(source))
    with pytest.raises(OSError, match="No such file"):
        load(str(source) + "x")


def test_the_mark_leaves_the_function_as_it_is_and_checks_at_once() -> None:
    @tool(effects={"read"})
    def double(x: int) -> int:
        return 2 * x

    @tool
    def same(x: int) -> int:
        return x

    assert (double(2), same(2)) == (4, 2)
    with pytest.raises(ConfigurationError, match="did you mean 'write'"):
        tool(effects={"writes"})(double)
