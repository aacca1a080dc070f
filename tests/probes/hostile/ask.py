"""Requests for what was not handed on, each a message like any other.

The control is the same program in a plan that was handed everything that
there is a right to: what is refused here is given there.
"""

# ruff: noqa: PTH211

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

from tests.probes.hostile.kit import declare

if TYPE_CHECKING:
    from collections.abc import Callable

    from cleveragents.guest.program_client import Client

_GATE: Final = "the gate, by the grant that the host holds"
_NO_RIGHT: Final = "there is no right that would give it"
Ask = "Callable[[Client, dict[str, Any]], Any]"
ASKS: Final[dict[str, Callable[[Client, dict[str, Any]], Any]]] = {}


def _enter(name: str, title: str, ask: Callable[[Client, dict[str, Any]], Any], *, covers: int, layer: str = _GATE, never: str = "") -> None:  # fmt: skip
    declare(
        name,
        "ask",
        title,
        layer=layer,
        covers=(covers,),
        shown_by="nobody" if never else "anyone",
        why_not=never,
    )
    ASKS[name] = ask


def _open(resource: str) -> Callable[[Client, dict[str, Any]], Any]:
    return lambda client, inputs: client.open(resource.format(**inputs))


def _tool(tool: str, **arguments: str) -> Callable[[Client, dict[str, Any]], Any]:
    return lambda client, inputs: client.ask(
        tool, **{k: v.format(**inputs) for k, v in arguments.items()}
    )


def _through_link(target: str) -> Callable[[Client, dict[str, Any]], Any]:
    def ask(client: Client, inputs: dict[str, Any]) -> Any:
        if not os.path.lexists("new/link"):
            os.symlink(target.format(**inputs), "new/link")
        try:
            return client.ask("read_file", path="new/link")
        finally:
            os.unlink("new/link")  # noqa: PTH108

    return ask


def _spawn(**more: Any) -> Callable[[Client, dict[str, Any]], Any]:
    def ask(client: Client, _: dict[str, Any]) -> Any:
        delegate = {"tools": ["read_file"], "read": ["docs/"], **more}
        step = {"tool": "read_file", "args": {"path": "docs/readable.md"}}
        body = {
            "name": f"grandchild-{len(json.dumps(more))}",
            "delegate": delegate,
            "steps": [step],
        }
        return client.ask("spawn_subplan", **body)

    return ask


def _outputs(**outputs: Any) -> Callable[[Client, dict[str, Any]], Any]:
    return lambda client, _: client.submit(outputs)


_enter("open_outside", "`open` of `file:../x`", _open("file:../x"), covers=9, never=_NO_RIGHT)
_enter(
    "open_absolute",
    "`open` of `file:/etc/passwd`",
    _open("file:/etc/passwd"),
    covers=9,
    never=_NO_RIGHT,
)
_enter(
    "open_path", "`open` of a path that was not handed on", _open("file:src/private.py"), covers=8
)
_enter(
    "open_context",
    "`open` of its parent's context",
    _open("plan:{parent}/context"),
    covers=51,
    never=_NO_RIGHT,
)
_enter(
    "open_decisions",
    "`open` of its parent's decisions",
    _open("plan:{parent}/decisions"),
    covers=51,
    never=_NO_RIGHT,
)
_enter(
    "open_credential",
    "`open` of a credential that was not handed on",
    _open("credential:PROBE_KEY"),
    covers=1,
)
_enter("open_host", "`open` of a host that was not handed on", _open("host:127.0.0.1"), covers=17)
_enter("ask_tool", "a tool that was not handed on", _tool("run_command", command="id"), covers=54)
_enter(
    "ask_spelling",
    "a tool by another spelling of its name",
    _tool("READ_FILE", path="docs/readable.md"),
    covers=51,
    layer="exact ASCII names",
    never=_NO_RIGHT,
)
_enter(
    "ask_lookalike",
    "a tool by letters that look alike",
    _tool("re\u0430d_file", path="docs/readable.md"),
    covers=51,
    layer="exact ASCII names",
    never=_NO_RIGHT,
)
_enter(
    "ask_read",
    "a tool with a path that was not handed on",
    _tool("read_file", path="src/private.py"),
    covers=8,
)
_enter(
    "ask_write",
    "a tool that writes where it may only read",
    _tool("write_file", path="docs/readable.md", content="changed"),
    covers=54,
)
_enter(
    "ask_dots",
    "a tool with `../` in its path",
    _tool("read_file", path="docs/../../x"),
    covers=9,
    never=_NO_RIGHT,
)
_enter(
    "ask_absolute",
    "a tool with an absolute path",
    _tool("read_file", path="/etc/passwd"),
    covers=9,
    never=_NO_RIGHT,
)
_enter(
    "ask_link",
    "a tool with a symbolic link to a host file",
    _through_link("{key_file}"),
    covers=10,
    layer="resolution beneath the workspace",
    never=_NO_RIGHT,
)
_enter(
    "ask_link_beside",
    "a tool with a symbolic link to a path that was not handed on",
    _through_link("../src/private.py"),
    covers=10,
    layer="mounts: it is not there",
)
_enter(
    "fetch_host",
    "a request to a host that was not handed on",
    _tool("fetch_url", url="http://127.0.0.1:{web}/"),
    covers=16,
)
_enter("fetch_metadata", "a request to the cloud's metadata address", _tool("fetch_url", url="http://169.254.169.254/latest/"), covers=17, layer=_GATE + "; private addresses are named one by one", never="a control would ask a real network for it")  # fmt: skip
_enter("send_credential", "a request that carries a credential that was not handed on", lambda client, inputs: client.ask("send_request", url=f"http://127.0.0.1:{inputs['web']}/", method="POST", headers={"X-Key": "${credential:PROBE_KEY}"}), covers=1)  # fmt: skip
_enter(
    "spawn_tool",
    "a grandchild with a tool that it does not hold",
    _spawn(tools=["read_file", "run_command"]),
    covers=54,
    layer="attenuate: nothing is trimmed",
)
_enter(
    "spawn_path",
    "a grandchild with a path that it does not hold",
    _spawn(read=["."]),
    covers=8,
    layer="attenuate: nothing is trimmed",
)
_enter(
    "spawn_depth",
    "generations without end",
    _spawn(depth=3),
    covers=54,
    layer="attenuate: one generation less",
)
_enter(
    "output_undeclared",
    "an output that was not declared",
    _outputs(other="x"),
    covers=51,
    layer="declared outputs",
    never="there is no output without a declaration",
)
_enter(
    "output_schema",
    "an output that does not fit its schema",
    _outputs(words=17),
    covers=51,
    layer="declared outputs",
    never="a wider schema would be another output",
)

declare(
    "output_reference",
    "ask",
    "an output with `${{ }}` in it, to be evaluated by its parent",
    layer="what is inserted is data",
    covers=(51,),
)
declare(
    "terminal_codes",
    "ask",
    "terminal control codes in summary, progress, log and file content",
    layer="every text is made plain before it is shown",
    covers=(44,),
)
declare(
    "over_budget",
    "ask",
    "more calls than its budget holds",
    layer="held before spent",
    covers=(37,),
)

REFERENCE: Final = "${{ plan.id }}"
CODES: Final = "\x1b[2J\x1b]0;title\x07 shown"


def main(report: str) -> None:
    """Make every request, write down the answers, hand the rest in."""
    from cleveragents.guest.program_client import Client, FailedError, RefusedError

    client = Client.connect()
    inputs = dict(client.begin()["inputs"])
    found = {}
    for name, ask in ASKS.items():
        try:
            found[name] = {"got": repr(ask(client, inputs))[:200]}
        except RefusedError as error:
            found[name] = {"held": error.code}
        except FailedError as error:
            found[name] = {"held": f"{error.code}: {error}"}
        except OSError as error:
            found[name] = {"broken": str(error)}
    with open(report, "w") as file:  # noqa: PTH123
        json.dump(found, file)
    client.submit({"words": REFERENCE}, "asked")


def spend(calls: int) -> None:
    """Make calls until one is refused."""
    from cleveragents.guest.program_client import Client, RefusedError

    client = Client.connect()
    client.begin()
    try:
        for _ in range(calls):
            client.ask("read_file", path="docs/readable.md")
    except RefusedError as error:
        client.submit(summary=f"refused: {error.code}")
    else:
        client.submit(summary="everything was given")


def show_codes() -> None:
    """Say it in every place from which something is shown to a person."""
    from cleveragents.guest.program_client import Client

    client = Client.connect()
    client.begin()
    os.write(1, CODES.encode())
    with open("new/codes.txt", "w") as file:  # noqa: PTH123
        file.write(f"{CODES}\n")
    client.progress(CODES)
    client.submit(summary=CODES)
