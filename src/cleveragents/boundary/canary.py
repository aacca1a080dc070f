"""What does the host put up that a cell must not be able to reach?

A file that everybody on the host may read, and a socket that everybody may
connect to: only the namespaces keep a cell from them, so a check that looks
for them means something.
"""

from __future__ import annotations

import secrets
import socket
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path


class Canary:
    """A file and a listening abstract socket, for the life of the launcher."""

    def __init__(self, directory: Path) -> None:
        token = secrets.token_hex(8)
        self.socket_name = f"cleveragents-canary-{token}"
        self.file = directory / "canary"
        if not self.file.exists():
            self.file.write_text("readable by everybody on the host, by no cell\n")
            self.file.chmod(0o644)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind("\0" + self.socket_name)
        self._socket.listen(1)

    @property
    def names(self) -> tuple[str, str]:
        """The file's path and the socket's name."""
        return (str(self.file), self.socket_name)

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the socket down."""
        self.close()

    def close(self) -> None:
        """Take the socket down; the file stays for the next process."""
        self._socket.close()
