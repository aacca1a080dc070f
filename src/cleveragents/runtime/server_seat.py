"""One MCP server of a plan and, while it runs, its process and its session.

It is started at the first call, asked again after it died, and not started any
more when it dies again and again.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING, Final

from cleveragents.errors import (
    ConfigurationError,
    IsolationUnavailableError,
    ToolAccessDeniedError,
    ToolFailedError,
)
from cleveragents.runtime.server_process import ServerProcess
from cleveragents.tools.mcp_failure import ServerFailedError
from cleveragents.tools.mcp_result import value_of, whole_value_of
from cleveragents.tools.mcp_spec import PinnedServer, list_digest, pin
from cleveragents.tools.mcp_text import plain_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cleveragents.boundary.cell_spec import CellSpec
    from cleveragents.config.mcp_server import ServerDefinition
    from cleveragents.runtime.server_ground import Ground, ServerDesk, ServerLine
    from cleveragents.terms.tool import ToolSpec
    from cleveragents.tools.mcp_spec import PinnedTool

MAX_FAILURES: Final = 3
"""Ends of a server in a row, without one good answer between, until it is not started again."""
LIST_TIMEOUT_S: Final = 30.0
_LOG_CHARS: Final = 300


class ServerSeat:
    """One server and, while it runs, its process and its session. Thread-safe.

    Args:
        definition: The server.
        ground: What it is started with.
        spec_of: Mounts and limits of its cell, looked at for each start.
        desk: Gives who opens sessions.
    """

    def __init__(
        self,
        definition: ServerDefinition,
        ground: Ground,
        spec_of: Callable[[ServerDefinition], CellSpec],
        desk: Callable[[], ServerDesk],
    ) -> None:
        self.definition = definition
        self.pinned: PinnedServer | None = None
        self._ground = ground
        self._desk = desk
        self._room = threading.BoundedSemaphore(definition.parallel)
        self._lock = threading.RLock()
        self._line: ServerLine | None = None
        self._process = ServerProcess(
            definition,
            launcher=ground.launcher,
            spec_of=spec_of,
            environ=ground.environ,
            values=ground.values,
            root=ground.root,
            private=ground.private,
            serve=ground.serve,
        )
        self._failures = 0
        self._is_killed = False
        self._is_listed = False
        """It runs since it was asked for its tools, and was not called yet."""

    @property
    def pinned_tools(self) -> tuple[PinnedTool, ...]:
        """Its tools as they were approved."""
        return () if self.pinned is None else self.pinned.tools

    def learn(self) -> PinnedServer:
        """Start it once, read what it offers, and fix that.

        One in a cell goes on for its first call; whoever has asked ends it otherwise. One behind
        a URL would forget its session.

        Raises:
            ConfigurationError: It is not found, does not start, or does not say.
            IsolationUnavailableError: There is no wall for it.
        """
        with ExitStack() as stack:
            stack.callback(self.end, "its tools were read")
            try:
                self.pinned = pin(self.definition, self._start().tools(timeout_s=LIST_TIMEOUT_S))
            except ServerFailedError as error:
                reason = self._reason(error)
                raise ConfigurationError(
                    problem=f"the MCP server {self.definition.name!r} does not start: {reason}",
                    where=self.definition.where,
                ) from error
            if self.definition.kind == "stdio":
                self._is_listed = True
                stack.pop_all()
        return self.pinned

    def call(
        self,
        spec: ToolSpec,
        tool: PinnedTool,
        arguments: Mapping[str, object],
        *,
        timeout_s: float,
    ) -> Mapping[str, object]:
        """Call one of its tools; see ``ToolServers.call``."""
        limit_s = self.definition.timeout_s or timeout_s
        if not self._room.acquire(timeout=limit_s):
            raise ToolFailedError(
                tool_name=spec.name, reason=f"the MCP server {self.definition.name!r} is busy"
            )
        try:
            line = self._checked(spec)
            answer = line.call(tool.original, self._sent(spec, arguments), timeout_s=limit_s)
            self._failures = 0
            answer = self._process.redacted(answer)
            return whole_value_of(answer) if self._ground.is_whole else value_of(answer)
        except ServerFailedError as error:
            reason = self._reason(error)
            if error.is_over:
                self._failures += 1
            if error.is_over or (error.is_line and self.definition.kind == "http"):
                # A server that was started anew knows its old session no more.
                self.end(error.reason)
            raise ToolFailedError(tool_name=spec.name, reason=reason) from None
        except (ConfigurationError, IsolationUnavailableError) as error:
            self._failures += 1
            self.end(error.message)
            raise ToolFailedError(tool_name=spec.name, reason=error.message) from error
        except OSError as error:
            # Out of descriptors or processes, which may pass.
            self.end("it cannot be started")
            reason = f"the MCP server {self.definition.name!r} cannot be started: {error.strerror}"
            raise ToolFailedError(tool_name=spec.name, reason=reason) from error
        finally:
            self._room.release()

    def end(self, reason: str) -> None:
        """End it and wait until it is dead; the next call starts it again.

        Raises:
            RecordError: Its cell does not end.
        """
        with self._lock:
            line, self._line = self._line, None
            # The process first: a session that waits for it is told by its end.
            self._process.kill(reason)
            if line is not None:
                line.close()
            self._process.close()

    def kill(self) -> None:
        """End it for good, without waiting; may be called by any thread."""
        # No lock: a call that starts it holds it, and this is what ends that call.
        self._is_killed = True
        self._process.end_for_good()

    def _checked(self, spec: ToolSpec) -> ServerLine:
        """Give a running session whose list of tools is the one that was approved."""
        # INVARIANT: the guard before the lock, as whoever ends a plan's cell takes them.
        guard = nullcontext() if self.definition.kind == "http" else self._ground.guard
        with guard, self._lock:
            if self._line is not None and not self._line.is_alive:
                self.end("it has ended")
            if self._is_listed:
                self._is_listed = False
                if not self._process.is_as_now:
                    self.end("its cell is made of something else by now")
            line, is_new = self._line, self._line is None
            if line is None:
                if self._is_killed:
                    raise ServerFailedError("the plan was ended", is_over=False)
                if self._failures >= MAX_FAILURES:
                    raise ServerFailedError(
                        f"the MCP server {self.definition.name!r} ended {self._failures} times in"
                        " a row and is not started again",
                        is_over=False,
                    )
                line = self._start()
            if is_new or line.may_have_changed:
                self._check_list(line, spec)
            return line

    def _check_list(self, line: ServerLine, spec: ToolSpec) -> None:
        found = list_digest(line.tools(timeout_s=LIST_TIMEOUT_S))
        if self.pinned is not None and found == self.pinned.digest:
            return
        # The next call looks again: a list may be put back as it was.
        self.end("its list of tools changed")
        raise ToolAccessDeniedError(
            tool_name=spec.name,
            profile_name=f"mcp:{self.definition.name}",
            reason=f"the tools of the MCP server {self.definition.name!r} are not those that were"
            " approved when the plan started; start a new plan to approve what it offers now",
        )

    def _start(self) -> ServerLine:
        definition = self.definition
        if definition.kind == "http":
            line = self._desk().over_http(
                definition.url,
                definition.headers,
                hosts=self._ground.hosts,
                granted=frozenset(self._ground.values),
                timeout_s=definition.timeout_s or self._ground.call_timeout_s,
            )
        else:
            line = self._desk().over_pipes(*self._process.start())
        self._line = line
        line.start(timeout_s=definition.startup_timeout_s)
        return line

    def _sent(self, spec: ToolSpec, arguments: Mapping[str, object]) -> dict[str, object]:
        """Spell paths as the server knows them: beneath the user's own path of the workspace."""
        sent = dict(arguments)
        if self.definition.kind == "http":
            return sent
        for resource in spec.resources:
            value = sent.get(resource.argument)
            if resource.kind != "file" or value is None:
                continue
            if isinstance(value, str):
                sent[resource.argument] = self._absolute(value)
            elif isinstance(value, list | tuple):
                sent[resource.argument] = [self._absolute(str(item)) for item in value]
        return sent

    def _absolute(self, path: str) -> str:
        return self._ground.root if path == "." else f"{self._ground.root}/{path}"

    def _reason(self, error: ServerFailedError) -> str:
        if not error.is_over:
            return self._process.hidden(error.reason)
        said = plain_text(self._process.last_words(), _LOG_CHARS, is_line=True)
        reason = f"the MCP server {self.definition.name!r}: {error.reason}"
        return self._process.hidden(f"{reason}; it said: {said}" if said else reason)
