"""How do our tools and their results look in MCP?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, cast

import mcp_types as types
from pydantic import TypeAdapter, ValidationError

from cleveragents.terms.tool import Effect
from cleveragents.tools.mcp_result import CONTENT, META, STRUCTURED
from cleveragents.tools.mcp_text import MAX_DESCRIPTION_CHARS, plain_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.gateway.call_desk import Told
    from cleveragents.terms.tool import ToolSpec

_CHANGES: Final = frozenset({Effect.WRITE, Effect.DELETE, Effect.EXECUTE})
_CUT: Final = "[the result was too long: what is missing was left out]"
_BLOCKS: Final = TypeAdapter(list[types.ContentBlock])


def tool_of(spec: ToolSpec) -> types.Tool:
    """Describe a tool to a client, with what it does to the world as hints.

    The hints say what the tool was admitted for, not what its server says of it.
    """
    title, idempotent = spec.shown.get("title"), spec.shown.get("idempotentHint")
    return types.Tool(
        name=spec.name,
        title=cast("str | None", title),
        description=plain_text(spec.description, MAX_DESCRIPTION_CHARS),
        input_schema=dict(spec.parameters),
        output_schema=cast("dict[str, object] | None", spec.shown.get("outputSchema")),
        annotations=types.ToolAnnotations(
            read_only_hint=not spec.effects & _CHANGES,
            destructive_hint=bool(spec.effects & {Effect.DELETE, Effect.EXECUTE}),
            idempotent_hint=cast("bool | None", idempotent),
            open_world_hint=Effect.NETWORK in spec.effects,
        ),
    )


def answer_of(told: Told, tool: types.Tool | None, *, is_modern: bool) -> types.CallToolResult:
    """Bring what a call gave into the protocol's form.

    Args:
        told: How the call ended.
        tool: Which one it was, as it is listed.
        is_modern: The client's protocol knows structures that are no objects.
    """
    if told.problem:
        return _failed(told.problem)
    value = told.value
    if CONTENT not in value:
        return types.CallToolResult(content=_texts(value))
    structured = value.get(STRUCTURED)
    if tool is not None and tool.output_schema is not None and structured is None:
        # A client that knows the schema takes a result without the structure for a broken one.
        return _failed(f"{tool.name} ran, but its structured result is missing or was too long")
    try:
        content = _BLOCKS.validate_python(value[CONTENT])
    except ValidationError:
        # Redaction has taken a value out of what has to have a form.
        content = [types.TextContent(text=json.dumps(value[CONTENT], ensure_ascii=False))]
    if value.get("truncated"):
        content.append(types.TextContent(text=_CUT))
    if structured is not None and not is_modern and not isinstance(structured, dict):
        content.append(types.TextContent(text=json.dumps(structured, ensure_ascii=False)))
        structured = None
    return types.CallToolResult(
        content=content,
        structured_content=structured,
        _meta=cast("dict[str, object] | None", value.get(META)),
    )


def _texts(value: Mapping[str, object]) -> list[types.ContentBlock]:
    """One of our own tools' results: its text, and the other fields as JSON."""
    text = value.get("text")
    if not isinstance(text, str):
        return [types.TextContent(text=json.dumps(value, ensure_ascii=False))]
    others = {key: item for key, item in value.items() if key != "text"}
    texts = [text, json.dumps(others, ensure_ascii=False)] if others else [text]
    return [types.TextContent(text=one) for one in texts]


def _failed(problem: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=problem)], is_error=True)
