"""The MCP server that the conformance suite expects, with what passes through a gateway and what does not.

Started by the gateway in a cell of its own; imports nothing of the project. A tool that asks its
client for something says so where the client cannot be asked, as the suite wants it.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import anyio
import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

if TYPE_CHECKING:
    from mcp.server import ServerRequestContext

NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCHEMA_2020: dict[str, Any] = {
    "$schema": DIALECT,
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
PROMPT: dict[str, Any] = {
    "type": "object",
    "properties": {"prompt": {"type": "string"}, "message": {"type": "string"}},
}
HEADERS: dict[str, Any] = {
    "type": "object",
    "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
    "required": ["region"],
}
NAME: dict[str, Any] = {"type": "object", "properties": {"name": {"type": "string"}}}
# One red dot.
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
SOUND = base64.b64encode(
    b"RIFF\x26\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0"
    b"data\x02\0\0\0\x80\x80"
).decode()
IMAGE = types.ImageContent(data=PICTURE, mime_type="image/png")
SCHEMAS = {
    "test_simple_text": NOTHING,
    "test_image_content": NOTHING,
    "test_audio_content": NOTHING,
    "test_embedded_resource": NOTHING,
    "test_multiple_content_types": NOTHING,
    "test_tool_with_logging": NOTHING,
    "test_logging_tool": NOTHING,
    "test_tool_with_progress": NOTHING,
    "test_error_handling": NOTHING,
    "test_reconnection": NOTHING,
    "test_sampling": PROMPT,
    "test_elicitation": PROMPT,
    "test_elicitation_sep1034_defaults": NOTHING,
    "test_elicitation_sep1330_enums": NOTHING,
    "test_streaming_elicitation": NOTHING,
    "greet": NAME,
    "test_custom_header": HEADERS,
    "json_schema_2020_12_tool": SCHEMA_2020,
}
TOOLS = [
    types.Tool(
        name=name,
        description=f"The tool {name} of the conformance suite.",
        input_schema=schema,
        annotations=types.ToolAnnotations(read_only_hint=True, open_world_hint=False),
    )
    for name, schema in SCHEMAS.items()
]


def embedded(uri: str, mime_type: str, text: str) -> types.EmbeddedResource:
    contents = types.TextResourceContents(uri=uri, mime_type=mime_type, text=text)
    return types.EmbeddedResource(resource=contents)


def text(said: str) -> types.TextContent:
    return types.TextContent(text=said)


CONTENTS: dict[str, list[types.ContentBlock]] = {
    "test_simple_text": [text("This is a simple text response for testing.")],
    "test_image_content": [IMAGE],
    "test_audio_content": [types.AudioContent(data=SOUND, mime_type="audio/wav")],
    "test_embedded_resource": [
        embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")
    ],
    "test_multiple_content_types": [
        text("Multiple content types test:"),
        IMAGE,
        embedded(
            "test://mixed-content-resource", "application/json", '{"test":"data","value":123}'
        ),
    ],
}


def content(name: str, arguments: dict[str, Any]) -> list[types.ContentBlock]:
    said = f"Hello, {arguments.get('name')}!" if name == "greet" else f"{name} is done"
    return CONTENTS.get(name, [text(said)])


async def listed(ctx: object, params: object) -> types.ListToolsResult:
    return types.ListToolsResult(tools=TOOLS)


async def called(
    ctx: ServerRequestContext[Any], params: types.CallToolRequestParams
) -> types.CallToolResult:
    session = ctx.session
    match params.name:
        case "test_tool_with_progress":
            for done in (0, 50, 100):
                await session.report_progress(done, 100, f"{done} of 100")
        case "test_tool_with_logging" | "test_logging_tool":
            for event in ("started", "processing data", "completed"):
                await session.send_log_message("info", f"Tool {event}")
        case "test_error_handling":
            return failed("This tool intentionally returns an error for testing")
        case "test_sampling":
            if not session.check_client_capability(
                types.ClientCapabilities(sampling=types.SamplingCapability())
            ):
                return failed("the client cannot be asked for a sample")
        case name if "_elicitation" in name:
            if not session.check_client_capability(
                types.ClientCapabilities(elicitation=types.ElicitationCapability())
            ):
                return failed("the client cannot be asked for anything")
    return types.CallToolResult(content=content(params.name, params.arguments or {}))


def failed(reason: str) -> types.CallToolResult:
    return types.CallToolResult(content=[text(reason)], is_error=True)


async def main() -> None:
    server = Server("everything", on_list_tools=listed, on_call_tool=called)
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(main)
