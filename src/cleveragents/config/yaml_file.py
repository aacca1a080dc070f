"""What does a YAML file say, and on which line? The only reader of YAML.

Plain words follow the core schema of YAML 1.2: ``true`` and ``false`` are the
only truth values, so that ``on``, ``yes`` and ``no`` stay words. What a person
cannot see at a glance is refused: duplicate keys, tags, several documents,
aliases that multiply, numbers that cannot be kept exactly.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import yaml

from cleveragents.config.place import Keys, key_path
from cleveragents.config.reader import Reader
from cleveragents.config.yaml_scalar import plain_value
from cleveragents.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 64
"""Mappings and lists within each other."""
MAX_ALIASED_NODES: Final = 1000
"""Values that all aliases of a file may stand for together."""

# libyaml is tens of times faster; PyYAML's own parser gives the same events.
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class _Node:
    """A value with its line, its children's, and its size when an alias repeats it."""

    value: object
    line: int
    children: dict[str | int, _Node]
    size: int
    height: int


@dataclass(frozen=True, slots=True)
class Document:
    """One parsed file: plain dicts, lists, strings, numbers, truth values, ``None``."""

    name: str
    """The file as the person named it."""
    value: object
    _root: _Node

    def line_of(self, keys: Keys) -> int:
        """The line, from 1, of the deepest part of a key path that exists."""
        node = self._root
        for key in keys:
            child = node.children.get(key)
            if child is None:
                break
            node = child
        return node.line

    def where(self, keys: Keys = ()) -> str:
        """``file:line`` of a value."""
        return f"{self.name}:{self.line_of(keys)}"

    @property
    def reader(self) -> Reader:
        """The whole document, to be asked for types."""
        return Reader(self.value, self.name, lines=self)


def load_file(path: Path) -> Document:
    """Read a YAML file.

    Raises:
        ConfigurationError: It cannot be read, is too big, or is not the plain
            YAML that this module reads; names file, line and key path.
    """
    return load_text(decode(read_bytes(path), str(path)), str(path))


def read_bytes(path: Path) -> bytes:
    """The content of a regular file of at most ``MAX_BYTES``.

    Raises:
        ConfigurationError: It cannot be read, is something else, or is bigger.
    """
    where = str(path)
    try:
        # Not blocking: a pipe by this name would wait for somebody to write.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:  # noqa: PTH123  # not a path
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ConfigurationError(problem="is not a regular file", where=where)
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        # ValueError: a NUL in the name.
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(problem=f"cannot be read: {reason}", where=where) from error
    if len(data) > MAX_BYTES:
        raise ConfigurationError(problem="is larger than 1 MiB", where=where)
    return data


def decode(data: bytes, name: str) -> str:
    """UTF-8 to text.

    Raises:
        ConfigurationError: It is something else.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(
            problem=f"is not UTF-8 text (byte {error.start})", where=f"{name}:{line}"
        ) from error


def load_text(text: str, name: str) -> Document:
    """Read YAML out of a string.

    Args:
        text: The whole document.
        name: What it is called in errors.

    Raises:
        ConfigurationError: As ``load_file``.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise ConfigurationError(problem="is larger than 1 MiB", where=name)
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ConfigurationError(problem="is not UTF-8 text", where=name)
    try:
        root = _Composer(text, name).compose()
    except yaml.YAMLError as error:
        raise ConfigurationError(
            problem=f"is not YAML: {_problem(error)}", where=_marked(error, name, text)
        ) from error
    return Document(name, root.value, root)


class _Composer:
    """Builds values out of the parser's events, and counts while it does."""

    def __init__(self, text: str, name: str) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=_LOADER)
        self._name = name
        self._keys: list[str | int] = []
        self._anchors: dict[str, _Node | None] = {}
        self._aliased = 0

    def compose(self) -> _Node:
        """The one document of the stream."""
        next(self._events)
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            raise self._error(event, "is empty")
        root = self._node(next(self._events), 0)
        next(self._events)
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise self._error(event, "holds several documents", "write one to a file")
        return root

    def _node(self, event: yaml.Event, depth: int) -> _Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        # The grammar has no other: a document holds aliases, scalars and collections.
        event = cast("yaml.ScalarEvent | yaml.CollectionStartEvent", event)
        if event.tag is not None:
            raise self._error(
                event, f"the tag {event.tag!r} is not supported", "write a plain value"
            )
        if event.anchor is not None:
            if event.anchor in self._anchors:
                raise self._error(event, f"the anchor &{event.anchor} is defined twice")
            # Not yet known: an alias to it from inside would never end.
            self._anchors[event.anchor] = None
        node = self._bare_node(event, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _bare_node(self, event: yaml.Event, depth: int) -> _Node:
        if isinstance(event, yaml.ScalarEvent):
            return _Node(self._scalar(event), _line(event), {}, 1, 0)
        if depth >= MAX_DEPTH:
            raise self._error(event, f"nests deeper than {MAX_DEPTH}")
        if isinstance(event, yaml.MappingStartEvent):
            children = self._mapping(depth)
            value: object = {key: child.value for key, child in children.items()}
        else:
            children = self._sequence(depth)
            value = [child.value for child in children.values()]
        return _Node(
            value,
            _line(event),
            children,
            1 + sum(child.size for child in children.values()),
            1 + max((child.height for child in children.values()), default=0),
        )

    def _sequence(self, depth: int) -> dict[str | int, _Node]:
        children: dict[str | int, _Node] = {}
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            self._keys.append(len(children))
            children[len(children)] = self._node(event, depth + 1)
            self._keys.pop()
        return children

    def _mapping(self, depth: int) -> dict[str | int, _Node]:
        children: dict[str | int, _Node] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event)
            self._keys.append(key)
            if key in children:
                raise self._error(
                    event, f"the key is given twice, first on line {children[key].line}"
                )
            child = self._node(next(self._events), depth + 1)
            self._keys.pop()
            # An entry stands where its key does, also when its value begins further down.
            children[key] = _Node(
                child.value, _line(event), child.children, child.size, child.height
            )
        return children

    def _key(self, event: yaml.Event) -> str:
        if not isinstance(event, yaml.ScalarEvent) or event.anchor is not None:
            raise self._error(event, "a key must be a plain string")
        if event.tag is not None:
            raise self._error(event, f"the tag {event.tag!r} is not supported")
        key = self._scalar(event)
        if not isinstance(key, str):
            raise self._error(
                event, f"the key {event.value[:60]!r} is not a string", "put it in quotes"
            )
        return key

    def _scalar(self, event: yaml.ScalarEvent) -> object:
        try:
            if event.implicit[0]:
                return plain_value(event.value)
            event.value.encode()
        except UnicodeEncodeError as error:
            raise self._error(event, "holds half of a surrogate pair") from error
        except ValueError as error:
            raise self._error(event, str(error), "put it in quotes to keep it as text") from error
        return event.value

    def _alias(self, event: yaml.AliasEvent, depth: int) -> _Node:
        if event.anchor not in self._anchors:
            raise self._error(event, f"the alias *{event.anchor} stands for nothing")
        node = self._anchors[event.anchor]
        if node is None:
            raise self._error(event, f"the alias *{event.anchor} stands inside of what it repeats")
        self._aliased += node.size
        if self._aliased > MAX_ALIASED_NODES:
            raise self._error(event, f"aliases stand for more than {MAX_ALIASED_NODES} values")
        if depth + node.height > MAX_DEPTH:
            raise self._error(event, f"nests deeper than {MAX_DEPTH}")
        return node

    def _error(self, event: yaml.Event, problem: str, hint: str = "") -> ConfigurationError:
        line, path = f"{self._name}:{_line(event)}", key_path(self._keys)
        where = f"{line}: {path}" if path else line
        return ConfigurationError(problem=problem, where=where, hint=hint)


def _line(event: yaml.Event) -> int:
    # Only events that a program makes itself have no mark.
    return event.start_mark.line + 1 if event.start_mark is not None else 0


def _problem(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError):
        return error.problem or error.context or "it cannot be parsed"
    # The reader's complaint: a character that YAML does not admit.
    return str(error).partition("\n")[0]


def _marked(error: yaml.YAMLError, name: str, text: str) -> str:
    line = 0
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        line = error.problem_mark.line
    elif isinstance(error, yaml.reader.ReaderError):
        # Its position counts bytes in one parser and characters in the other.
        line = text.count("\n", 0, max(text.find(chr(error.character)), 0))
    return f"{name}:{line + 1}"
