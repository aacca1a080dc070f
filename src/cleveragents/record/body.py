"""How a body becomes bytes: canonical JSON, its large values kept as objects.

``{"$object": digest, "size": n}`` stands for a value in the object store. A
value that looks like one, from a file or a model, is wrapped as
``{"$literal": value}``: data never becomes a reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from cleveragents.errors import RecordError
from cleveragents.terms.digest import canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.record.object_store import ObjectStore

MAX_INLINE_BYTES: Final = 16 * 1024
"""Longest value that stays in the row itself."""
OBJECT: Final = "$object"
LITERAL: Final = "$literal"
_MARKS: Final = (OBJECT, LITERAL)


class BodyCodec:
    """Encodes bodies for the record and brings them back."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def encode(
        self, body: Mapping[str, object], *, durable: bool = False
    ) -> tuple[Mapping[str, object], bytes]:
        """Give the body as stored, and its canonical JSON.

        Raises:
            RecordError: It is not JSON, or a large value cannot be kept.
        """
        try:
            data = canonical_json(body)
            if len(data) > MAX_INLINE_BYTES or b'"$' in data:
                # Once through JSON: what is walked is what is going to be read.
                plain = msgspec.json.decode(data, type=dict[str, object])
                body = {name: self._shrink(value, durable) for name, value in plain.items()}
                body = {LITERAL: body} if _is_marked(plain) else body
                data = canonical_json(body)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise RecordError(problem=f"something cannot be recorded: {error}") from error
        return body, data

    def resolve(self, body: Mapping[str, object]) -> dict[str, object]:
        """Bring back what ``encode`` moved away.

        Raises:
            RecordError: A kept value is missing or was changed.
        """
        whole = self._grow(dict(body))
        return whole if isinstance(whole, dict) else {}

    def _shrink(self, value: object, durable: bool) -> object:
        match value:
            case dict():
                small: object = {name: self._shrink(item, durable) for name, item in value.items()}
                small = {LITERAL: small} if _is_marked(value) else small
            case list():
                small = [self._shrink(item, durable) for item in value]
            case str() if len(value) > MAX_INLINE_BYTES // 6:
                small = value
            case _:
                return value
        data = canonical_json(small)
        if len(data) <= MAX_INLINE_BYTES:
            return small
        return {OBJECT: self._objects.put(data, durable=durable), "size": len(data)}

    def _grow(self, value: object) -> object:
        match value:
            case {"$object": str() as digest}:
                return self._grow(msgspec.json.decode(self._objects.get(digest)))
            case {"$literal": dict() as inner}:
                return {name: self._grow(item) for name, item in inner.items()}
            case dict():
                return {name: self._grow(item) for name, item in value.items()}
            case list():
                return [self._grow(item) for item in value]
            case _:
                return value


def _is_marked(value: dict[str, object]) -> bool:
    return any(mark in value for mark in _MARKS)
