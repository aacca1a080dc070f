"""The first code in a server's cell, in this process: the order, and what becomes of it."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.boundary.server_cell import BASE_ENVIRONMENT, ServerOrder
from cleveragents.errors import ConfigurationError
from cleveragents.guest import confine, entry, server_start

if TYPE_CHECKING:
    from collections.abc import Iterator


class EndedError(Exception):
    """In place of the end of the process."""


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def test_an_order_is_read_to_its_end_and_no_further(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    order = ServerOrder(command=("x", "é"), environment={"A": "b"}, directory="/d")
    os.write(writing, order.frame() + b"the server's")
    found = server_start.read_order(reading)
    assert found["command"] == ["x", "é"]
    assert found["environment"] == {**BASE_ENVIRONMENT, "A": "b"}
    assert found["directory"] == "/d"
    assert os.read(reading, 99) == b"the server's"


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"\0\0\0\5{}", EOFError),
        (b"\0\0", EOFError),
        (b"\0\0\0\0", ValueError),
        (b"\x7f\0\0\0", ValueError),
        (b"\0\0\0\2no", ValueError),
    ],
)
def test_what_is_no_order_is_refused(
    pipe: tuple[int, int], data: bytes, error: type[Exception]
) -> None:
    reading, writing = pipe
    os.write(writing, data)
    os.close(writing)
    with pytest.raises(error):
        server_start.read_order(reading)


def test_an_order_that_is_too_large_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="larger than 1 MiB"):
        ServerOrder(command=("x", "y" * (2 << 20))).frame()


def become(
    monkeypatch: pytest.MonkeyPatch, order: dict[str, Any], *, fails: bool = False
) -> tuple[list[Any], bytes]:
    """Run ``become`` with everything that would end this process in a list instead."""
    done: list[Any] = []
    said: list[bytes] = []

    def execute(name: str, command: list[str], environment: dict[str, str]) -> None:
        done.append((name, command, environment))
        if fails:
            raise FileNotFoundError(2, "No such file or directory")

    def end(code: int) -> None:
        done.append(code)
        raise EndedError

    monkeypatch.setattr(os, "chdir", done.append)
    monkeypatch.setattr(os, "close", lambda fd: done.append(("close", fd)))
    monkeypatch.setattr(os, "dup2", lambda one, other: done.append(("dup2", one, other)))
    monkeypatch.setattr(os, "execvpe", execute)
    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(
        confine, "write_all", lambda fd, data: said.append(data) if fd == 2 else None
    )
    with pytest.raises(EndedError):
        server_start.become(order, channel=10, reading=11, writing=12)
    return done, b"".join(said)


ORDER = {"command": ["srv", "a"], "environment": {"A": "b"}, "directory": "/d"}


def test_the_server_takes_the_streams_and_not_the_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"PATH": "/p", "CLEVERAGENTS_CHANNEL": "10"})
    done, _ = become(monkeypatch, ORDER)
    assert done[:4] == ["/d", ("close", 10), ("dup2", 11, 0), ("dup2", 12, 1)]
    assert ("srv", ["srv", "a"], {"PATH": "/p", "A": "b"}) in done


def test_a_server_that_cannot_be_executed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    done, said = become(monkeypatch, ORDER, fails=True)
    assert said == b"srv: No such file or directory\n"
    assert done[-1] == server_start.NOT_STARTED


def test_main_enters_the_wall_before_it_hears_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[Any] = []
    argv = ["x", "10,11,12", "1,1,1,1,1", "/canary", "name", "/workspace"]
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(entry, "enter", lambda _: order.append("enter"))

    def read(descriptor: int) -> dict[str, Any]:
        order.append(descriptor)
        return ORDER

    monkeypatch.setattr(server_start, "read_order", read)
    monkeypatch.setattr(
        server_start, "become", lambda told, **fds: order.append((json.dumps(told), fds))
    )
    server_start.main()
    assert order[:2] == ["enter", 11]
    assert order[2][1] == {"channel": 10, "reading": 11, "writing": 12}
