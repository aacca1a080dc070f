"""One stdio server's process in its cell: what it is given, and what is left when it ends."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cleveragents.boundary.server_cell import ServerOrder
from cleveragents.boundary.server_runtime import find_runtime
from cleveragents.policy.argument import CREDENTIAL_TEMPLATE
from cleveragents.record.redaction import Redactor
from cleveragents.tools.mcp_failure import ServerFailedError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cleveragents.boundary.cell import CellLauncher
    from cleveragents.boundary.cell_spec import CellSpec
    from cleveragents.boundary.server_cell import ServerCell
    from cleveragents.config.mcp_server import ServerDefinition

    Serve = Callable[[socket.socket, ServerDefinition], Callable[[], None]]
    """Serves a cell's port for a server; gives what ends the service."""

_LOG_S: Final = 1.0
"""How long the end of a server's last words is waited for."""
_MIN_HIDDEN_CHARS: Final = 4


class ServerProcess:
    """Starts and ends the cell of one server.

    Args:
        definition: The server.
        launcher: Starts cells.
        spec_of: Mounts and limits.
        environ: Where commands are looked for.
        values: Values of the credentials that were handed on, by handle.
        root: The user's own path of the workspace.
        private: Places of the host that it is not shown.
        serve: Serves the port of a cell that has a network.
    """

    def __init__(
        self,
        definition: ServerDefinition,
        *,
        launcher: CellLauncher,
        spec_of: Callable[[ServerDefinition], CellSpec],
        environ: Mapping[str, str],
        values: Mapping[str, str],
        root: str,
        private: tuple[Path, ...],
        serve: Serve | None,
    ) -> None:
        self._definition = definition
        self._launcher = launcher
        self._spec_of = spec_of
        self._environ = environ
        self._values = values
        own = {name: values[name] for name in definition.credentials if name in values}
        self._redactor = Redactor(own)
        self._root = root
        self._private = private
        self._serve = serve
        self._cell: ServerCell | None = None
        self._spec: CellSpec | None = None
        self._stop_serving: Callable[[], None] = _nothing
        self._is_killed = False
        self._log = ""
        self._lock = threading.Lock()

    def start(self) -> tuple[int, int]:
        """Start it; gives the descriptors of its output and its input.

        Raises:
            ServerFailedError: A credential that it needs was not handed on.
            ConfigurationError: Its command is not found, or cannot be mounted.
            IsolationUnavailableError: There is no wall for it.
        """
        definition = self._definition
        order_environment = {n: self._filled(text) for n, text in definition.environment.items()}
        runtime = find_runtime(
            definition.command,
            definition.arguments,
            environ=self._environ,
            workspace=self._root,
            directory=definition.directory,
            extra=definition.runtime,
            private=self._private,
        )
        self._spec = spec = self._spec_of(definition)
        if definition.memory_mb is not None:
            limits = replace(spec.limits, memory_bytes=definition.memory_mb << 20)
            spec = replace(spec, limits=limits)
        order = ServerOrder(
            command=runtime.command,
            environment={**runtime.environment, **order_environment},
            directory=definition.directory or self._root,
        )
        cell = self._launcher.start_server(replace(spec, runtime=runtime.places), order)
        with self._lock:
            self._cell = cell
            is_killed = self._is_killed
        listener = cell.take_listener()
        if listener is not None:
            if self._serve is None:
                listener.close()
            else:
                self._stop_serving = self._serve(listener, definition)
        if is_killed:
            cell.kill("the plan was ended")
        return cell.take_streams()

    @property
    def is_as_now(self) -> bool:
        """Say whether a cell that is started now would be made of the same as the one that runs."""
        return self._spec == self._spec_of(self._definition)

    def kill(self, reason: str) -> None:
        """Kill it without waiting, if it runs. May be called by any thread."""
        cell = self._cell
        if cell is not None:
            cell.kill(reason)

    def end_for_good(self) -> None:
        """Kill it, and what is being started."""
        with self._lock:
            self._is_killed = True
        self.kill("the plan was ended")

    def close(self) -> None:
        """End it and wait until it is dead; it may be started again.

        Raises:
            RecordError: It does not die.
        """
        with self._lock:
            cell, self._cell = self._cell, None
            stop, self._stop_serving = self._stop_serving, _nothing
        if cell is None:
            return
        cell.close()
        stop()
        self._log = cell.log

    def last_words(self) -> str:
        """The end of what it wrote to its standard error, the process that ran last."""
        cell = self._cell
        if cell is None:
            return self._log
        # One that has ended is given the time for its last words to arrive.
        cell.wait_exit(timeout_s=_LOG_S)
        return cell.log

    def redacted(self, answer: dict[str, object]) -> dict[str, object]:
        """Take the values that it was given out of an answer, before anything of it is cut."""
        return self._redactor.value(answer)

    def hidden(self, text: str) -> str:
        """Replace the values that it was given by their names."""
        for name in self._definition.credentials:
            value = self._values.get(name, "")
            if len(value) >= _MIN_HIDDEN_CHARS:
                text = text.replace(value, f"[redacted:{name}]")
        return text

    def _filled(self, text: str) -> str:
        return CREDENTIAL_TEMPLATE.sub(lambda found: self._value(found[1]), text)

    def _value(self, name: str) -> str:
        value = self._values.get(name)
        if value is None:
            raise ServerFailedError(
                f"the credential {name!r} was not handed on, or has no value", is_over=False
            )
        if "\0" in value:
            raise ServerFailedError(f"the credential {name!r} holds a NUL", is_over=False)
        return value


def _nothing() -> None:
    """There is no service to end."""
