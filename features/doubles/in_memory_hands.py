"""Hands without a cell: the real interface over a dictionary, for tests of the door."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cleveragents.errors import ToolFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def digest(text: str) -> str:
    """Digest of a file's text, as the bodies give it."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Effect:
    """What a write is about to change."""

    before: Mapping[str, str | None]
    after: Mapping[str, str | None]


@dataclass
class InMemoryHands:
    """A workspace in a dictionary; what ran is listed in order."""

    files: dict[str, str] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    checkpoints: dict[str, dict[str, str]] = field(default_factory=dict)
    crash_in: str = ""
    """Name of a tool under which the host dies after the effect."""
    _pending: Callable[[], Mapping[str, object]] | None = None

    def is_prepared(self, tool: str) -> bool:
        return tool in {"write_file", "delete_file"}

    def call(
        self, tool: str, arguments: Mapping[str, object], *, timeout_s: float
    ) -> Mapping[str, object]:
        self.ran.append(tool)
        match tool:
            case "read_file":
                path = str(arguments["path"])
                if path not in self.files:
                    raise ToolFailedError(tool_name=tool, reason=f"{path} does not exist")
                return {"text": self.files[path]}
            case "run_command":
                self.files["made.txt"] = self.files.get("made.txt", "") + "x"
                self._die(tool)
                return {"stdout": "ok", "stderr": "", "exit_code": 0}
        raise ToolFailedError(tool_name=tool, reason="no such body")

    def prepare(self, tool: str, arguments: Mapping[str, object], *, timeout_s: float) -> Effect:
        path = str(arguments["path"])
        new = None if tool == "delete_file" else str(arguments["content"])
        old = self.files.get(path)
        if tool == "delete_file" and old is None:
            raise ToolFailedError(tool_name=tool, reason=f"{path} does not exist")

        def commit() -> Mapping[str, object]:
            self.ran.append(tool)
            if new is None:
                del self.files[path]
            else:
                self.files[path] = new
            self._die(tool)
            return {"path": path}

        self._pending = commit
        return Effect(
            before={path: None if old is None else digest(old)},
            after={path: None if new is None else digest(new)},
        )

    def commit(self, *, timeout_s: float) -> Mapping[str, object]:
        if self._pending is None:
            msg = "nothing was prepared"
            raise AssertionError(msg)
        return self._pending()

    def digests(self, paths: tuple[str, ...]) -> Mapping[str, str | None]:
        return {p: digest(self.files[p]) if p in self.files else None for p in paths}

    def checkpoint(self, call_id: str) -> None:
        self.checkpoints[call_id] = dict(self.files)

    def restore(self, call_id: str) -> bool:
        if call_id not in self.checkpoints:
            return False
        self.files.clear()
        self.files.update(self.checkpoints[call_id])
        return True

    def _die(self, tool: str) -> None:
        if self.crash_in == tool:
            self.crash_in = ""
            raise HostDiedError


class HostDiedError(BaseException):
    """Stands for SIGKILL: nothing of the host runs after it."""
