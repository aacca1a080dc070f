"""A small MCP server on stdio whose one tool asks a URL through the proxy of its environment."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from typing import Any

BEGAN = time.time_ns()
CANCELLED: list[int] = []
TOOL = {
    "name": "fetch",
    "description": "Ask a URL.",
    "inputSchema": {
        "type": "object",
        "properties": {"url": {"type": "string"}},
        "required": ["url"],
    },
}


def fetch(url: str) -> str:
    if url == "began:":
        return str(BEGAN)
    if url == "cancelled:":
        return str(CANCELLED)
    proxy = os.environ.get("HTTP_PROXY")
    if proxy is None:
        return "no proxy"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy}))
    os.environ["no_proxy"] = ""
    try:
        with opener.open(url, timeout=20) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read().decode()}"


def result_of(message: dict[str, Any]) -> dict[str, Any]:
    match message["method"]:
        case "initialize":
            return {
                "protocolVersion": message["params"]["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "fetching", "version": "1"},
            }
        case "tools/list":
            return {"tools": [TOOL]}
        case "tools/call":
            said = fetch(message["params"]["arguments"]["url"])
            return {"content": [{"type": "text", "text": said}]}
        case _:
            return {}


for line in sys.stdin:
    request = json.loads(line)
    if request["method"] == "notifications/cancelled":
        CANCELLED.append(request["params"]["requestId"])
    if "id" in request:
        answer = {"jsonrpc": "2.0", "id": request["id"], "result": result_of(request)}
        print(json.dumps(answer), flush=True)  # noqa: T201  # the protocol
