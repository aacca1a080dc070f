"""A small MCP server for tests, on the SDK: every kind of content, structures, and sizes.

Started by the gateway in a cell of its own; imports nothing of the project.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

if TYPE_CHECKING:
    from mcp.server import ServerRequestContext

NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
SHAPE: dict[str, Any] = {
    "type": "object",
    "properties": {"n": {"type": "integer"}, "note": {"type": ["string", "null"]}},
    "required": ["n"],
    "additionalProperties": False,
}
BROKEN: dict[str, Any] = {"type": "object", "properties": {"n": {"$ref": "http://elsewhere/"}}}
SHAPES = {"shaped": SHAPE, "shapeless": SHAPE, "vast": SHAPE, "odd": BROKEN}
NAMES = ("everything", "large", *SHAPES, "steps", "few")
TOOLS = [
    types.Tool(
        name=name,
        title=f"\x1b[31mTitle of\n{name}\u202e",
        description=f"The tool {name}.",
        input_schema=NOTHING,
        output_schema=SHAPES.get(name),
        icons=[types.Icon(src="https://elsewhere.example/icon.png")],
        annotations=types.ToolAnnotations(
            read_only_hint=True, idempotent_hint=True, open_world_hint=False
        ),
    )
    for name in NAMES
]
STEPS = [(1, 4, "one"), (2, 4, "two"), (2, 4, "again"), (1, None, "back"), (4, 4, "four")]


def everything() -> types.CallToolResult:
    note = types.Annotations(audience=["user"], priority=0.5)
    link = types.ResourceLink(name="a file", uri="file:///a.txt", mime_type="text/plain")
    blob = types.BlobResourceContents(uri="x:///b", mime_type="image/png", blob="AAEC")
    return types.CallToolResult(
        content=[
            types.TextContent(text="one", annotations=note, _meta={"own.example/a": [1, None]}),
            types.TextContent(text="two"),
            types.ImageContent(data="AAEC", mime_type="image/png", annotations=note),
            types.AudioContent(data="AAEC", mime_type="audio/wav"),
            link,
            types.EmbeddedResource(resource=blob),
        ],
        _meta={"own.example/b": {"c": 1}, "io.modelcontextprotocol/serverInfo": {"name": "x"}},
    )


def result(name: str) -> types.CallToolResult:
    text: list[types.ContentBlock] = [types.TextContent(text="text")]
    match name:
        case "everything":
            return everything()
        case "shaped" | "odd":
            return types.CallToolResult(content=text, structured_content={"n": 1, "note": None})
        case "vast":
            shape = {"n": 1, "note": "x" * (5 << 20)}
            return types.CallToolResult(content=text, structured_content=shape)
        case "large":
            blocks = [
                types.ImageContent(data="A" * (3 << 20), mime_type="image/png") for _ in range(2)
            ]
            return types.CallToolResult(content=[*blocks, *text])
    return types.CallToolResult(content=text)


async def listed(ctx: object, params: object) -> types.ListToolsResult:
    return types.ListToolsResult(tools=TOOLS)


async def called(
    ctx: ServerRequestContext[Any], params: types.CallToolRequestParams
) -> types.CallToolResult:
    match params.name:
        case "steps":
            for done, total, text in STEPS:
                await ctx.session.report_progress(done, total, text)
        case "few":
            asked = "progress_token" in (ctx.meta or {})
            return types.CallToolResult(content=[types.TextContent(text=f"asked: {asked}")])
    return result(params.name)


async def main() -> None:
    server = Server("contents", on_list_tools=listed, on_call_tool=called)
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(main)
