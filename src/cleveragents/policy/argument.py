"""Which arguments will the tool really get, and which resources do they name?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, assert_never

from cleveragents.errors import ConfigurationError
from cleveragents.policy.condition import compile_parameters
from cleveragents.policy.host_rule import normalise_host, parse_url
from cleveragents.terms.resource import WORKSPACE, Resource, normalise_path, parse_resource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cleveragents.policy.condition import Condition
    from cleveragents.terms.tool import ResourceArgument, ToolSpec

CREDENTIAL_TEMPLATE: Final = re.compile(r"\$\{credential:([^{}]*)\}")
"""How ``headers`` and ``url`` name a credential that the host puts in at the edge."""
HANDLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
"""What a credential's name looks like."""
_TEMPLATE_ARGUMENTS: Final = ("url", "headers")
_MAX_REMEMBERED: Final = 4096


@dataclass(frozen=True, slots=True)
class UnusableArgument(Resource):
    """Stands among a call's resources for an argument that names none.

    It travels with them so that no caller can forget to look at it: the gate
    refuses it, by rule ``arguments``.
    """

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call's arguments in the one form that is decided on, recorded and run."""

    arguments: Mapping[str, object]
    """Defaults filled in, paths normalised, URLs in their one spelling."""
    resources: tuple[Resource, ...]

    @property
    def problem(self) -> str:
        """What is wrong with the arguments; empty when nothing is."""
        for resource in self.resources:
            if isinstance(resource, UnusableArgument):
                return resource.reason
        return ""


def prepare(spec: ToolSpec, arguments: object) -> Prepared:
    """Bring a call's arguments to their one form and name its resources.

    Args:
        spec: The tool.
        arguments: As they were sent; what is no mapping is refused like any
            other argument that cannot be used.

    Raises nothing for what an actor sent: what cannot be used is among the
    resources as an ``UnusableArgument``, which the gate refuses.

    >>> from cleveragents.terms.tool import ResourceArgument, ToolSpec
    >>> spec = ToolSpec("cat", "", {"type": "object"},
    ...                 resources=(ResourceArgument("path", "file", "read"),))
    >>> prepare(spec, {"path": "docs/../a.md"}).arguments
    {'path': 'a.md'}
    """
    if not isinstance(arguments, Mapping):
        return Prepared({}, (_unusable(spec, "the arguments are no object"),))
    final: dict[str, object] = {**spec.defaults, **arguments}
    resources: list[Resource] = []
    for name in spec.reaches:
        reached = parse_resource(name)
        resources.append(reached or _unusable(spec, f"{name!r} names no resource"))
    for wanted in spec.resources:
        value = final.get(wanted.argument)
        if value is not None:
            final[wanted.argument] = _named(spec, wanted, value, resources)
    if spec.place == "host":
        for name in _TEMPLATE_ARGUMENTS:
            _templates(spec, final.get(name), resources)
    failure = _failure(spec, dict(arguments))
    if failure:
        resources.append(_unusable(spec, failure))
    # Most calls name one; only of several can two be the same.
    named = dict.fromkeys(resources) if len(resources) > 1 else resources
    return Prepared(final, tuple(named))


def resources_of(spec: ToolSpec, arguments: object) -> tuple[Resource, ...]:
    """The resources that a call names, each in its one spelling."""
    return prepare(spec, arguments).resources


def _unusable(spec: ToolSpec, reason: str) -> UnusableArgument:
    return UnusableArgument(kind="tool", value=spec.name, access="use", reason=reason)


def _named(
    spec: ToolSpec, wanted: ResourceArgument, value: object, resources: list[Resource]
) -> object:
    if isinstance(value, str):
        return _one(spec, wanted, value, resources)
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return [_one(spec, wanted, item, resources) for item in value]
    if wanted.kind == "credential" and isinstance(value, Mapping):
        _templates(spec, value, resources)
        return value
    resources.append(_unusable(spec, f"{wanted.argument}: names no {wanted.kind}"))
    return value


def _one(spec: ToolSpec, wanted: ResourceArgument, value: str, resources: list[Resource]) -> str:
    try:
        match wanted.kind:
            case "file":
                value = normalise_path(_in_workspace(spec.root, value))
                resources.append(Resource("file", value, wanted.access))
            case "host":
                if "://" in value:
                    url = parse_url(value)
                    value = str(url)
                    resources.append(Resource("host", url.host, wanted.access))
                else:
                    value = normalise_host(value)
                    resources.append(Resource("host", value, wanted.access))
            case "credential":
                if HANDLE.fullmatch(value):
                    resources.append(Resource("credential", value, "use"))
                else:
                    _templates(spec, value, resources)
            case "plan" | "tool":
                resources.append(Resource(wanted.kind, value, wanted.access))
            case _:
                assert_never(wanted.kind)
    except ValueError as error:
        resources.append(_unusable(spec, f"{wanted.argument}: {error}"))
    return value


def _in_workspace(root: str, path: str) -> str:
    """Read the user's own name of the workspace as the workspace; any other path stays.

    >>> _in_workspace("/home/u/project", "/home/u/project/a.md")
    '/workspace/a.md'
    >>> _in_workspace("/home/u/project", "/home/u/projects/a.md")
    '/home/u/projects/a.md'
    """
    if root and (path == root or path.startswith(root + "/")):
        return WORKSPACE + path[len(root) :]
    return path


def _templates(spec: ToolSpec, value: object, resources: list[Resource]) -> None:
    for text in _texts(value):
        for handle in CREDENTIAL_TEMPLATE.findall(text):
            if HANDLE.fullmatch(handle):
                resources.append(Resource("credential", handle, "use"))
            else:
                resources.append(_unusable(spec, f"{handle[:64]!r} is no credential's name"))


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


# A memo, no policy: compiled schemas by the identity of their frozen spec, which the entry
# keeps alive so that no other object can take its place.
_COMPILED: Final[dict[int, tuple[ToolSpec, Condition]]] = {}


def _failure(spec: ToolSpec, arguments: dict[str, object]) -> str | None:
    found = _COMPILED.get(id(spec))
    if found is None:
        try:
            found = (spec, compile_parameters(spec))
        except ConfigurationError as error:
            return error.message
        if len(_COMPILED) >= _MAX_REMEMBERED:
            _COMPILED.clear()
        _COMPILED[id(spec)] = found
    return found[1].failure(arguments)
