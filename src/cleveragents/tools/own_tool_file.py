"""Reads a file of own tools as text: names, schemas and declarations; nothing is run."""

from __future__ import annotations

import ast
import difflib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Never

from cleveragents.errors import ConfigurationError
from cleveragents.terms.digest import digest_bytes
from cleveragents.terms.tool import TOOL_NAME, ToolSpec
from cleveragents.tools.annotation import accepts, schema_of
from cleveragents.tools.declaration import declare

if TYPE_CHECKING:
    from pathlib import Path

    from cleveragents.tools.declaration import Declaration

MAX_SOURCE_BYTES: Final = 1 << 20
MAX_DESCRIPTION_CHARS: Final = 4_000
_KEYWORDS: Final = ("effects", "resources", "cost_usd")
_HOMES: Final = frozenset({"cleveragents", "cleveragents.tools.own_tool"})
"""Modules that the mark may be imported from."""

_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def read(path: Path) -> tuple[ToolSpec, ...]:
    """Give the tools that a file defines, in its order.

    Raises:
        ConfigurationError: As ``own_tool.describe``.
    """
    data = _bytes(path)
    tree = _parse(data, path)
    names = _mark_names(tree)
    source, digest = str(path.absolute()), digest_bytes(data)
    specs: dict[str, ToolSpec] = {}
    top = frozenset(map(id, tree.body))
    # Breadth first: the functions at the top come in the order of the file.
    for node in ast.walk(tree):
        if not isinstance(node, _Function):
            continue
        mark = next((one for one in node.decorator_list if _is_mark(one, names)), None)
        if mark is None:
            continue
        where = f"{path}:{node.lineno}: {node.name}"
        function = _plain_function(node, where=where, is_top=id(node) in top)
        if function.name in specs:
            raise ConfigurationError(problem="two tools have this name", where=where)
        specs[function.name] = _spec(
            function, declare(**_keywords(mark, where=where), where=where), where=where
        )
    if not specs:
        raise ConfigurationError(
            problem="the file defines no tool",
            where=str(path),
            hint="mark a function with '@tool(effects={...})', imported from cleveragents",
        )
    return tuple(replace(spec, source=source, source_digest=digest) for spec in specs.values())


def _bytes(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise ConfigurationError(problem="there is no such file", where=str(path))
        with path.open("rb") as file:
            data = file.read(MAX_SOURCE_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(
            problem=f"the file cannot be read: {error.strerror}", where=str(path)
        ) from None
    if len(data) > MAX_SOURCE_BYTES:
        raise ConfigurationError(
            problem=f"the file is larger than {MAX_SOURCE_BYTES} bytes", where=str(path)
        )
    return data


def _parse(data: bytes, path: Path) -> ast.Module:
    try:
        return ast.parse(data, filename=str(path))
    except SyntaxError as error:
        raise ConfigurationError(
            problem=f"the file is no Python: {error.msg}", where=f"{path}:{error.lineno or 1}"
        ) from None
    except (ValueError, RecursionError, MemoryError) as error:
        reason = str(error) or "it is nested too deeply"
        raise ConfigurationError(
            problem=f"the file is no Python: {reason}", where=str(path)
        ) from None


def _mark_names(tree: ast.Module) -> frozenset[str]:
    """Give each spelling of the mark in this file, such as ``tool`` or ``cleveragents.tool``."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in _HOMES and not node.level:
            names |= {one.asname or one.name for one in node.names if one.name == "tool"}
        elif isinstance(node, ast.Import):
            names |= {f"{one.asname or one.name}.tool" for one in node.names if one.name in _HOMES}
    return frozenset(names)


def _is_mark(decorator: ast.expr, names: frozenset[str]) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(called, ast.Name | ast.Attribute) and ast.unparse(called) in names


def _plain_function(node: _Function, *, where: str, is_top: bool) -> ast.FunctionDef:
    problem = ""
    if not isinstance(node, ast.FunctionDef):
        problem = "a tool is a plain function, neither async nor a class"
    elif not is_top:
        problem = "a tool is defined at the top of its file, not inside something else"
    elif len(node.decorator_list) > 1:
        problem = "a tool has no other decorator: its schema is read from its own parameters"
    elif TOOL_NAME.fullmatch(node.name) is None:
        problem = "a tool's name has 1 to 64 characters of a-z, 0-9 and _"
    else:
        return node
    raise ConfigurationError(problem=problem, where=where)


def _keywords(mark: ast.expr, *, where: str) -> dict[str, object]:
    if not isinstance(mark, ast.Call):
        return {}
    if mark.args:
        _refuse("'@tool' takes named values only", where, 'write it like effects={"read"}')
    found: dict[str, object] = {}
    for keyword in mark.keywords:
        if keyword.arg not in _KEYWORDS:
            near = difflib.get_close_matches(keyword.arg or "", _KEYWORDS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(_KEYWORDS)
            _refuse(f"'@tool' has no {keyword.arg or '**'!r}", where, hint)
        found[keyword.arg] = _literal(keyword.value, f"{keyword.arg!r} of '@tool'", where=where)
    return found


def _refuse(problem: str, where: str, hint: str = "") -> Never:
    raise ConfigurationError(problem=problem, where=where, hint=hint)


def _literal(node: ast.expr, what: str, *, where: str) -> object:
    try:
        value: object = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        _refuse(
            f"{what} is not a literal value", where, "the file is read, not run, to learn about it"
        )
    return value


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str
    schema: dict[str, object]
    is_required: bool
    default: object = None


def _parameters(function: ast.FunctionDef, *, where: str) -> tuple[_Parameter, ...]:
    signature = function.args
    if signature.posonlyargs or signature.vararg or signature.kwarg:
        _refuse("a tool has plain named parameters: no '*args', '**kwargs' or '/'", where)
    without = [None] * (len(signature.args) - len(signature.defaults))
    pairs = [
        *zip(signature.args, [*without, *signature.defaults], strict=True),
        *zip(signature.kwonlyargs, signature.kw_defaults, strict=True),
    ]
    return tuple(_parameter(one, default, where=where) for one, default in pairs)


def _parameter(one: ast.arg, default: ast.expr | None, *, where: str) -> _Parameter:
    here = f"{where}({one.arg})"
    schema = schema_of(one.annotation, where=here)
    if default is None:
        return _Parameter(one.arg, schema, is_required=True)
    value = _literal(default, "the default", where=here)
    if not accepts(schema, value):
        _refuse(f"the default {value!r} does not fit the annotation", here)
    return _Parameter(one.arg, schema, is_required=False, default=value)


def _is_text(schema: dict[str, object]) -> bool:
    choices, allowed = schema.get("anyOf"), schema.get("enum")
    if isinstance(choices, list):
        return all(one.get("type") == "null" or _is_text(one) for one in choices)
    if isinstance(allowed, list):
        return all(isinstance(one, str) for one in allowed)
    return schema.get("type") == "string"


def _spec(function: ast.FunctionDef, declared: Declaration, *, where: str) -> ToolSpec:
    parameters = {one.name: one for one in _parameters(function, where=where)}
    for resource in declared.resources:
        one = parameters.get(resource.argument)
        if one is None:
            _refuse(f"the resource {resource.argument!r} is not a parameter", where)
        if not _is_text(one.schema):
            _refuse(f"the resource {resource.argument!r} is not a text", where)
    return ToolSpec(
        name=function.name,
        description=(ast.get_docstring(function) or "")[:MAX_DESCRIPTION_CHARS],
        parameters={
            "type": "object",
            "properties": {name: one.schema for name, one in parameters.items()},
            "required": [name for name, one in parameters.items() if one.is_required],
            "additionalProperties": False,
        },
        effects=declared.effects,
        resources=declared.resources,
        origin="own",
        cost_microusd=declared.cost_microusd,
        # An absent argument whose default is None stays absent: it names nothing.
        defaults={
            name: one.default
            for name, one in parameters.items()
            if not one.is_required and one.default is not None
        },
    )
