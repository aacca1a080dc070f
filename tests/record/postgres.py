"""A PostgreSQL server of its own: temporary directory, loopback port, unprivileged user."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from collections.abc import Iterator

INSTALL = "apt-get install -y postgresql"


def find_binaries() -> Path:
    """The newest server on the machine.

    Raises:
        RuntimeError: None is there; says what to type.
    """
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3])
    )
    on_path = shutil.which("initdb")
    if not found and on_path:
        found = [Path(on_path)]
    if not found:
        problem = (
            f"the record's tests need a PostgreSQL server's binaries (initdb, pg_ctl): {INSTALL}"
        )
        raise RuntimeError(problem)
    return found[-1].parent


@contextmanager
def server() -> Iterator[str]:
    """Run a server; gives the URL of its first database."""
    binaries = find_binaries()
    # Not below pytest's own directory: that one is closed to other users.
    home = Path(tempfile.mkdtemp(prefix="record-pg-"))
    user = _user()
    try:
        if user is not None:
            os.chown(home, user.pw_uid, user.pw_gid)
        data, port = home / "data", _free_port()
        _run(
            user, binaries / "initdb", "-A", "trust", "-E", "UTF8", "-U", "tester", "-D", data, "-N"
        )
        options = (
            f"-c listen_addresses=127.0.0.1 -p {port} -c unix_socket_directories='' -c fsync=off"
            " -c max_connections=120"
        )
        control = (binaries / "pg_ctl", "-D", data, "-w")
        _run(user, *control, "-l", home / "log", "-o", options, "start")
        try:
            yield f"postgresql://tester@127.0.0.1:{port}/postgres"
        finally:
            _run(user, *control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home)


@contextmanager
def database(server_url: str, name: str) -> Iterator[str]:
    """Make an empty database and drop it afterwards."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    try:
        yield server_url.rpartition("/")[0] + "/" + name
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def _user() -> pwd.struct_passwd | None:
    """Whom the server runs as: it refuses root."""
    return pwd.getpwnam("nobody") if os.getuid() == 0 else None


def _run(user: pwd.struct_passwd | None, *command: object) -> None:
    identity: dict[str, Any] = {}
    if user is not None:
        identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    done = subprocess.run(
        [str(part) for part in command],
        check=False,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
        text=True,
        **identity,
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
