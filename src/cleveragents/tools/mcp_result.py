"""What does an MCP tool's answer become as a call's result?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from cleveragents.terms.excerpt import head_within, json_bytes
from cleveragents.tools.mcp_failure import ServerFailedError
from cleveragents.tools.mcp_text import MAX_REASON_CHARS, plain_text

MAX_TEXT_BYTES: Final = 600_000
MAX_STRUCTURED_BYTES: Final = 200_000
"""Both together stay below one message of a program's channel."""
MAX_WHOLE_BYTES: Final = 4 << 20
"""Of a whole answer; the same as of a request that the gateway takes."""
CONTENT: Final = "content"
STRUCTURED: Final = "structured"
META: Final = "meta"
_MAX_BLOCKS: Final = 1_000
_NOTE_BYTES: Final = 300
"""Of what is said about a block that was left out."""
_PROTOCOLS_OWN: Final = ("io.modelcontextprotocol/", "modelcontextprotocol.io/")
"""Keys of ``_meta`` that speak about one session; a gateway's client has another."""


def value_of(answer: Mapping[str, object]) -> dict[str, object]:
    """Turn a ``tools/call`` result into a call's result.

    Args:
        answer: The protocol's JSON.

    Returns:
        ``text`` (every text block, a line apart; of anything else what it is),
        ``structured`` where the server gives it, and ``truncated`` where
        something was left out for its size.

    Raises:
        ServerFailedError: The tool says that it failed; its text, cut and
            made harmless, says why.
    """
    blocks = _blocks(answer)
    text = _text(blocks)
    kept = head_within(text, MAX_TEXT_BYTES)
    value: dict[str, object] = {"text": kept}
    is_cut = len(kept) < len(text) or len(blocks) > _MAX_BLOCKS
    structured = answer.get("structuredContent")
    if structured is not None:
        if _fits(structured, MAX_STRUCTURED_BYTES):
            value[STRUCTURED] = structured
        else:
            is_cut = True
    if is_cut:
        value["truncated"] = True
    return value


def whole_value_of(answer: Mapping[str, object]) -> dict[str, object]:
    """Turn a ``tools/call`` result into one that another client can be given again.

    Args:
        answer: The protocol's JSON.

    Returns:
        ``content`` (every block as it is), ``structured`` and ``meta`` where
        the server gives them, and ``truncated`` where something was left out
        for its size: a block's place is then taken by what it was.

    Raises:
        ServerFailedError: As ``value_of``.
    """
    blocks = _blocks(answer)
    room = MAX_WHOLE_BYTES
    value: dict[str, object] = {}
    meta = answer.get("_meta")
    shown = {
        key: item
        for key, item in (meta.items() if isinstance(meta, Mapping) else ())
        if not str(key).startswith(_PROTOCOLS_OWN)
    }
    is_cut = len(blocks) > _MAX_BLOCKS
    # First what is data for programs: a picture that was left out is missed, a shape relied on.
    for name, part in ((STRUCTURED, answer.get("structuredContent")), (META, shown or None)):
        if part is None:
            continue
        if _fits(part, room):
            value[name], room = part, room - json_bytes(part)
        else:
            is_cut = True
    content: list[object] = []
    for block in blocks[:_MAX_BLOCKS]:
        kept = block if _fits(block, room) else _remainder(block, room)
        content.append(kept)
        is_cut = is_cut or kept is not block
        room = max(room - json_bytes(kept), 0)
    value[CONTENT] = content
    if is_cut:
        value["truncated"] = True
    return value


def _blocks(answer: Mapping[str, object]) -> list[object]:
    """The blocks of an answer; raises their text where the tool says that it failed."""
    content = answer.get("content")
    blocks = content if isinstance(content, list) else []
    if answer.get("isError"):
        reason = plain_text(_text(blocks), MAX_REASON_CHARS, is_line=True)
        raise ServerFailedError(
            reason or "it failed and does not say why", is_over=False, is_line=False
        )
    return blocks


def _remainder(block: object, room: int) -> dict[str, object]:
    """What stands in the place of a block that does not fit."""
    return {"type": "text", "text": head_within(_text([block]), max(room, _NOTE_BYTES))}


def _text(blocks: list[object]) -> str:
    text = "\n".join(_block(block) for block in blocks[:_MAX_BLOCKS])
    # Lone surrogates are no Unicode, and no record could keep them.
    return text.encode("utf-8", "replace").decode("utf-8")


def _block(block: object) -> str:
    if not isinstance(block, Mapping):
        return ""
    match block.get("type"):
        case "text":
            return str(block.get("text", ""))
        case "resource" if isinstance(block.get("resource"), Mapping):
            resource = block["resource"]
            if isinstance(resource.get("text"), str):
                return str(resource["text"])
            return f"[resource {plain_text(str(resource.get('uri')), 200, is_line=True)}]"
        case "resource_link":
            return f"[link {plain_text(str(block.get('uri')), 200, is_line=True)}]"
        case kind:
            mime = plain_text(str(block.get("mimeType", "")), 60, is_line=True)
            size = len(str(block.get("data", "")))
            named = plain_text(str(kind), 30, is_line=True)
            return f"[{named} {mime}, {size} characters of base64, left out]"


def _fits(value: object, max_bytes: int) -> bool:
    try:
        # As the record will: not-a-number and lone surrogates are no JSON.
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        return json_bytes(value) <= max_bytes
    except (ValueError, TypeError, RecursionError):
        return False
