"""What stands beside a plan on its host: a server, sockets, shared memory, and a process with secrets."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import ExitStack

_BYSTANDER: Final = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
libc.prctl(0x59616D61, ctypes.c_ulong(-1 & (1 << 64) - 1), 0, 0, 0)
secret = ctypes.create_string_buffer(sys.stdin.readline().strip().encode())
scratch = ctypes.create_string_buffer(64)
file = os.open(sys.argv[3], os.O_RDONLY)
print(ctypes.addressof(secret), ctypes.addressof(scratch), file, flush=True)
sys.stdin.read()
"""


class _Answer(BaseHTTPRequestHandler):
    def _answer(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"what the host's loopback serves")

    do_GET = do_POST = _answer  # noqa: N815  # the names that http.server looks for

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def open_sockets(home: Path, stack: ExitStack) -> dict[str, Any]:
    """Listen on everything that a program could connect to."""
    name = "probe-" + os.urandom(8).hex()
    addresses: list[str] = ["\0" + name, str(home / "agent.sock")]
    for address in addresses:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(address)
        listener.listen(8)
    tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=8))
    udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    udp.bind(("127.0.0.1", 0))
    echo = threading.Thread(target=_echo, args=(udp,), daemon=True)
    echo.start()
    stack.callback(_end_echo, udp, echo)
    web = ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    stack.callback(web.server_close)
    stack.callback(web.shutdown)
    return {
        "abstract": name,
        "socket_file": addresses[1],
        "tcp": tcp.getsockname()[1],
        "udp": udp.getsockname()[1],
        "web": web.server_address[1],
    }


def _echo(udp: socket.socket) -> None:
    while True:
        data, sender = udp.recvfrom(64)
        if not data:
            return
        udp.sendto(data, sender)


def _end_echo(udp: socket.socket, echo: threading.Thread) -> None:
    # It is not connected, and says so; whoever waits on it wakes all the same.
    with suppress(OSError):
        udp.shutdown(socket.SHUT_RDWR)
    echo.join()


def share_memory(stack: ExitStack) -> dict[str, Any]:
    """Put up shared memory of both sorts, and a terminal."""
    name = "probe-" + os.urandom(8).hex()
    path = Path("/dev/shm") / name
    path.write_text("x")
    stack.callback(path.unlink)
    key = int.from_bytes(os.urandom(3), "big") | 1
    libc = ctypes.CDLL(None)
    segment = libc.shmget(key, 4096, 0o1600)
    assert segment >= 0
    stack.callback(libc.shmctl, segment, 0, None)
    controller, terminal = os.openpty()
    stack.callback(os.close, controller)
    stack.callback(os.close, terminal)
    return {"shm_name": name, "shm_key": key}


def start_bystander(
    environment: Mapping[str, str], secrets: Mapping[str, str], key_file: Path, stack: ExitStack
) -> dict[str, Any]:
    """Start a process that holds a secret in its environment, arguments, memory and open files."""
    token = "bystander-" + os.urandom(8).hex()
    line = [sys.executable, "-c", _BYSTANDER, token, secrets["arg"], str(key_file)]
    process = subprocess.Popen(
        line, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    assert process.stdin is not None
    assert process.stdout is not None
    stack.callback(process.stdin.close)
    stack.callback(process.stdout.close)
    process.stdin.write(secrets["mem"] + "\n")
    process.stdin.flush()
    address, scratch, file = map(int, process.stdout.readline().split())
    return {
        "pid": process.pid,
        "token": token,
        "address": address,
        "scratch": scratch,
        "open_file": file,
    }
