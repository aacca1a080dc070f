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
_MAX_BLOCKS: Final = 1_000


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
    content = answer.get("content")
    blocks = content if isinstance(content, list) else []
    text = "\n".join(_block(block) for block in blocks[:_MAX_BLOCKS])
    # Lone surrogates are no Unicode, and no record could keep them.
    text = text.encode("utf-8", "replace").decode("utf-8")
    if answer.get("isError"):
        reason = plain_text(text, MAX_REASON_CHARS, is_line=True)
        raise ServerFailedError(
            reason or "it failed and does not say why", is_over=False, is_line=False
        )
    kept = head_within(text, MAX_TEXT_BYTES)
    value: dict[str, object] = {"text": kept}
    is_cut = len(kept) < len(text) or len(blocks) > _MAX_BLOCKS
    structured = answer.get("structuredContent")
    if structured is not None:
        if _fits(structured):
            value["structured"] = structured
        else:
            is_cut = True
    if is_cut:
        value["truncated"] = True
    return value


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


def _fits(value: object) -> bool:
    try:
        # As the record will: not-a-number and lone surrogates are no JSON.
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        return json_bytes(value) <= MAX_STRUCTURED_BYTES
    except (ValueError, TypeError, RecursionError):
        return False
