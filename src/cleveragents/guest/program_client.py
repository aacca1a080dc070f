"""A small client for program actors in Python: ask for tools, report, submit.

Standard library only, and copied into every cell::

    from cleveragents.guest.program_client import Client, RefusedError

    client = Client.connect()
    task = client.begin()
    try:
        text = client.ask("read_file", path="README.md")["text"]
    except RefusedError as refusal:
        client.progress(f"not allowed: {refusal}")
    client.submit(outputs={"title": "done"}, summary="one file read")
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from cleveragents.boundary.frame import FrameReader, pack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_QUOTA = 1 << 62


class RefusedError(Exception):
    """The host did nothing: the plan may not do this. ``code`` says why."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class FailedError(Exception):
    """The tool ran and failed."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Client:
    """One program's channel to its host. One thread at a time.

    Args:
        descriptor: A connected stream socket.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._reader = FrameReader(lambda size: os.read(descriptor, size), quota=_QUOTA)
        self._seq = 0

    @classmethod
    def connect(cls) -> Client:
        """Take the channel that the host left open for this process."""
        return cls(int(os.environ["CLEVERAGENTS_CHANNEL"]))

    def begin(self) -> Mapping[str, Any]:
        """Learn the task: ``plan_id``, ``name``, ``goal``, ``inputs``, ``tools``."""
        return self._request("begin")

    def ask(self, tool: str, /, **arguments: object) -> Mapping[str, Any]:
        """Have the host run a tool and give its result.

        Raises:
            RefusedError: The plan may not do this; nothing was done.
            FailedError: The tool ran and failed.
        """
        value: Mapping[str, Any] = self._request("ask", tool=tool, arguments=arguments)["value"]
        return value

    def open(self, resource: str) -> Mapping[str, Any]:
        """Ask for a resource by name, such as ``file:docs/a.md``.

        Raises:
            RefusedError: It was not handed to this plan.
        """
        value: Mapping[str, Any] = self._request("open", resource=resource)["value"]
        return value

    def progress(self, text: str) -> None:
        """Report a line for people."""
        self._request("progress", text=text)

    def decide(
        self,
        question: str,
        choice: str,
        *,
        alternatives: Sequence[str] = (),
        reason: str = "",
        parent: str = "",
    ) -> str:
        """Have a decision recorded for people, and get its id.

        Args:
            question: What was to be decided.
            choice: What was decided.
            alternatives: What else there was.
            reason: Why.
            parent: Id of an earlier decision that it belongs to.

        Raises:
            RefusedError: It is too long, one too many, or its parent is not known.
        """
        value = self._request(
            "decide",
            question=question,
            choice=choice,
            alternatives=list(alternatives),
            reason=reason,
            parent=parent,
        )["value"]
        return str(value["decision"])

    def conclude(self, decision: str, outcome: str) -> None:
        """Say what became of a decision that ``decide`` recorded.

        Raises:
            RefusedError: This program has made no such decision.
        """
        self._request("outcome", decision=decision, text=outcome)

    def submit(self, outputs: Mapping[str, object] | None = None, summary: str = "") -> None:
        """Hand the result in, once; then end with exit code 0."""
        self._request("submit", outputs=dict(outputs or {}), summary=summary)

    def _request(self, kind: str, **fields: object) -> Mapping[str, Any]:
        self._seq += 1
        text = json.dumps({"type": kind, "seq": self._seq, **fields}, allow_nan=False)
        view = memoryview(pack(text.encode()))
        while view:
            view = view[os.write(self._descriptor, view) :]
        payload = self._reader.next()
        if payload is None:
            raise ConnectionError("the host has closed the channel")
        answer: Mapping[str, Any] = json.loads(payload)
        if answer["type"] == "refused":
            raise RefusedError(answer["code"], answer["reason"])
        if answer["type"] == "failed":
            raise FailedError(answer["code"], answer["reason"])
        return answer
