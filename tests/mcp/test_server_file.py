"""`servers.json`: the form that users have, our keys, and what is wrong with a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.config.mcp_server_file import read_server_file
from cleveragents.errors import ConfigurationError
from cleveragents.terms.tool import Effect

if TYPE_CHECKING:
    from pathlib import Path

    from cleveragents.config.mcp_server import ServerDefinition


def read(place: Path, servers: Any, **more: Any) -> tuple[ServerDefinition, ...]:
    path = place / "servers.json"
    path.write_text(json.dumps({"mcpServers": servers, **more}))
    return read_server_file(path)


def problem(place: Path, servers: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(place, servers)
    return caught.value.message


def test_the_form_of_other_clients_is_read(tmp_path: Path) -> None:
    stdio, http = read(
        tmp_path,
        {
            "My-Files": {
                "command": "npx",
                "args": ["-y", "@modelcontextprotocol/server-filesystem", "/home/u/x", ""],
                "env": {"A": "1", "EMPTY": ""},
                "cwd": "sub",
                "type": "stdio",
                "autoApprove": ["read_file"],
            },
            "remote": {"url": "https://mcp.example.com/x", "headers": {"X-A": "b"}, "type": "http"},
        },
        globalShortcut="Ctrl+Space",
    )
    assert stdio.name == "my_files"
    assert stdio.kind == "stdio"
    assert stdio.arguments[-2:] == ("/home/u/x", "")
    assert stdio.environment == {"A": "1", "EMPTY": ""}
    assert stdio.directory == str(tmp_path / "sub")
    assert stdio.ignored == ("autoApprove",)
    assert stdio.startup_timeout_s == 60
    assert not stdio.is_trusted
    assert (http.kind, http.url) == ("http", "https://mcp.example.com/x")
    assert http.file_digest.startswith("sha256:")


def test_our_own_keys_are_read(tmp_path: Path) -> None:
    (found,) = read(
        tmp_path,
        {
            "a": {
                "command": "x",
                "trusted": True,
                "effects": ["read"],
                "rw": True,
                "hosts": ["Example.com"],
                "startup_timeout_s": 5,
                "timeout_s": 7,
                "parallel": 3,
                "memory_mb": 512,
                "runtime": ["lib"],
                "env": {"T": "Bearer ${credential:TOKEN}"},
                "tools": {
                    "t": {
                        "effects": ["read", "network"],
                        "resources": {"p": "file:read"},
                        "cost_usd": 0.02,
                    }
                },
            }
        },
    )
    assert found.is_trusted
    assert found.is_writable
    assert found.effects == frozenset({Effect.READ})
    assert found.hosts == ("example.com",)
    assert (found.startup_timeout_s, found.timeout_s, found.parallel) == (5, 7, 3)
    assert found.memory_mb == 512
    assert found.runtime == (str(tmp_path / "lib"),)
    assert found.credentials == ("TOKEN",)
    assert found.tools["t"].effects == frozenset({Effect.READ, Effect.NETWORK})
    assert found.tools["t"].resources == {"p": "file:read"}
    assert found.tools["t"].cost_microusd == 20_000


def test_a_disabled_server_is_left_out(tmp_path: Path) -> None:
    assert read(tmp_path, {"a": {"command": "x", "disabled": True}}) == ()


def test_a_secret_is_in_no_representation(tmp_path: Path) -> None:
    (found,) = read(tmp_path, {"a": {"command": "x", "env": {"KEY": "hunter2hunter2"}}})
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(
    ("server", "told"),
    [
        ({}, "either 'command' or 'url'"),
        ({"command": "x", "url": "https://a"}, "either 'command' or 'url'"),
        ({"command": "x", "headers": {}}, "has no 'headers'"),
        ({"url": "https://a", "args": []}, "has no 'args'"),
        ({"url": "https://a", "type": "sse"}, "'sse' is not spoken"),
        ({"url": "https://a", "type": "stdio"}, "does not fit"),
        ({"url": "https://a", "type": "pipe"}, "is not one of"),
        ({"url": "ftp://a"}, "URL"),
        ({"url": "https://a", "headers": {"bad name": "x"}}, "name of a header"),
        ({"url": "https://a", "headers": {"X": "a\nb"}}, "control character"),
        ({"url": "https://${credential:T}/"}, "command lines"),
        ({"command": "x", "comand": 1}, "did you mean 'command'"),
        ({"command": ""}, "is empty"),
        ({"command": "a\0b"}, "NUL"),
        ({"command": "x", "args": ["${HOME}/x"]}, "not expanded"),
        ({"command": "x", "args": ["${credential:T}"]}, "command lines"),
        ({"command": "x", "env": {"A": "${KEY}"}}, "not expanded"),
        ({"command": "x", "env": {"A": "${credential:1-}"}}, "no credential's name"),
        ({"command": "x", "env": {"A B": "x"}}, "name of a variable"),
        ({"command": "x", "env": {"A": 1}}, "expected a string"),
        ({"command": "x", "effects": ["spawn"]}, "is not one of"),
        ({"command": "x", "tools": {"t": {"resources": {"p": "plan"}}}}, "is not one of"),
        ({"command": "x", "tools": {"t": {"cost_usd": "much"}}}, "amount"),
        ({"command": "x", "timeout_s": 0}, "is not between"),
        ({"command": "x", "hosts": ["a b"]}, "host"),
        ({"command": "x", "trusted": "yes"}, "true or false"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    tmp_path: Path, server: dict[str, Any], told: str
) -> None:
    found = problem(tmp_path, {"a": server})
    assert told in found
    assert "servers.json: mcpServers.a" in found


@pytest.mark.parametrize("name", ["", "a b!", "a__b", "_a", "a_", "x" * 33, "bi\u202edi"])
def test_a_name_that_cannot_be_made_plain_is_refused(tmp_path: Path, name: str) -> None:
    assert "cannot be the name of a server" in problem(tmp_path, {name: {"command": "x"}})


def test_two_names_that_become_one_are_refused(tmp_path: Path) -> None:
    servers = {"a-b": {"command": "x"}, "A_B": {"command": "y"}}
    assert "another server is named 'a_b' too" in problem(tmp_path, servers)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is not JSON"),
        ('{"mcpServers": {"a": {}, "a": {}}}', "'a' stands twice"),
        ('{"servers": {}}', "'mcpServers' is missing"),
        ('{"mcpServers": []}', "expected a mapping"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "servers.json"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=told):
        read_server_file(path)


def test_too_many_servers_are_refused(tmp_path: Path) -> None:
    servers = {f"s{n}": {"command": "x"} for n in range(65)}
    assert "more than 64" in problem(tmp_path, servers)


def test_tabs_are_fine_in_json(tmp_path: Path) -> None:
    path = tmp_path / "servers.json"
    path.write_text('{\n\t"mcpServers": {\n\t\t"a": {"command": "x"}\n\t}\n}\n')
    assert read_server_file(path)[0].command == "x"
