"""How does the guest read what the host asks, and write what it answers?

The same JSON as ``boundary/message.py``, by the standard library: a typed
decoder would cost the guest several times what starting Python costs. The
host is the trusted side; what it sends is checked for shape all the same.
"""

from __future__ import annotations

import json

from cleveragents.boundary.frame import MAX_FRAME, FrameError, pack

# No typing: it is what a cold cell would wait for.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

_FIELDS: Final[Mapping[str, Mapping[str, type]]] = {
    "configure": {"type": str, "tools": list, "own": list},
    "invoke": {"type": str, "seq": int, "tool": str, "arguments": dict, "phase": str},
    "commit": {"type": str, "seq": int},
    "abandon": {"type": str, "seq": int},
}
# Made once: json.loads and json.dumps with options of our own make theirs at every call.
_read_json: Final = json.JSONDecoder().decode
_write_json: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":")
).encode


class WireError(Exception):
    """The host sent what is no message; the guest ends."""


def decode(payload: bytes) -> dict[str, object]:
    """Give the fields of a message of the host's, ``type`` among them.

    Raises:
        WireError: It has another shape than the protocol's.
    """
    try:
        message = _read_json(str(payload, "utf-8"))
    except (ValueError, RecursionError) as error:
        raise WireError(f"not JSON: {error}") from error
    if not isinstance(message, dict):
        raise WireError("not an object")
    fields = _FIELDS.get(str(message.get("type")))
    if fields is None:
        raise WireError("no message of the host has this type")
    if message.keys() != fields.keys():
        raise WireError("fields are missing or unknown")
    for name, kind in fields.items():
        if type(message[name]) is not kind:
            raise WireError(f"field {name} has the wrong type")
    return message


def answer(kind: str, seq: int, **fields: object) -> bytes:
    """Build the frame of an answer.

    A value that cannot be sent (too large, not a number, a name that is not
    UTF-8) makes a ``failure`` in its place: the call fails, the cell goes on.
    """
    try:
        return _frame({"type": kind, "seq": seq, **fields})
    except (TypeError, ValueError, RecursionError) as error:
        return failure(seq, "unsendable", f"the result cannot be sent: {error}")
    except FrameError:
        return failure(seq, "too_large", f"the result is larger than {MAX_FRAME} bytes")


def failure(seq: int, code: str, message: str) -> bytes:
    """Build the frame that says why a call failed, in one line of at most 2,000 characters."""
    line = " ".join(message.split())[:2000].encode("utf-8", "replace").decode("utf-8")
    return _frame({"type": "failure", "seq": seq, "code": code, "message": line})


def _frame(message: Mapping[str, object]) -> bytes:
    return pack(_write_json(message).encode())
