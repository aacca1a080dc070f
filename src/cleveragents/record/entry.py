"""One line of the record, before and after it is written, and what its hash covers."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec

from cleveragents.terms.digest import canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal[
    "plan_started",
    "decision",
    "outcome",
    "violation",
    "approval_requested",
    "approval",
    "checkpoint",
    "spawn",
    "plan_state",
    "proposal",
    "merge",
    "conflict",
    "resolution",
    "apply_started",
    "apply_finished",
    "plan_ended",
    "note",
    "limits",
    "budget_warning",
    "session",
    "choice",
    "choice_outcome",
    "head",
]
"""``head`` is written by the log itself: where a root plan's chain stood. ``decision`` is the
door's verdict on one call; ``choice`` is what a plan decided, see ``plans.decision_book``."""

GENESIS: Final = "0" * 64
"""What the first entry of a chain follows."""


_NO_BODY: Final[Mapping[str, object]] = {}


class Entry(NamedTuple):
    """What is to be recorded. A tuple, as ``StoredEntry`` is."""

    kind: Kind
    root_id: str
    """The root plan: one chain for it and all its subplans."""
    plan_id: str
    call_id: str = ""
    """Empty for what belongs to no call."""
    body: Mapping[str, object] = _NO_BODY
    """Plain JSON, redacted; large values are moved to the object store."""


class StoredEntry(NamedTuple):
    """What is recorded. A tuple, because one is made for every row that is read."""

    seq: int
    """Key in the database: chain and position in one number, see ``chain_head``."""
    root_id: str
    position: int
    """Place in the root plan's chain, from 1."""
    plan_id: str
    call_id: str
    kind: str
    at: str
    """RFC 3339, UTC."""
    body: Mapping[str, object]
    """As stored: a large value stands as ``{"$object": digest, "size": n}``."""
    prev: str
    hash: str


def chain_hash(fields: tuple[str, int, str, str, str, str, str], body: bytes) -> str:
    """Give the hash of an entry, 64 hexadecimal digits.

    SHA-256 over the JSON list of the fields, a line feed, and the body's bytes
    as stored. JSON escapes line feeds, so no two entries have the same bytes.

    Args:
        fields: root_id, position, plan_id, call_id, kind, at, prev.
        body: Canonical JSON.
    """
    return hashlib.sha256(canonical_json(fields) + b"\n" + body).hexdigest()


def decode_body(text: str) -> dict[str, object]:
    """Read a stored body.

    Raises:
        msgspec.DecodeError: It is no JSON object.
    """
    return msgspec.json.decode(text, type=dict[str, object])
