"""A home, a workspace and the commands, all of them real; programs that are the children."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.assembly import plan_command, plan_look
from cleveragents.assembly.allowance import Typed
from cleveragents.assembly.house import open_house
from cleveragents.boundary import orphan
from cleveragents.boundary.git import Git
from cleveragents.boundary.trial import remove_tree
from cleveragents.config.plan_file import parse_plan
from cleveragents.terms.interaction import Nobody
from tests.plans.scene import processes_of, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cleveragents.record.entry import StoredEntry
    from cleveragents.terms.answer import Answer

KILLER = Path(__file__).parent / "killer.py"
PRELUDE = """\
import os, sys, time
from cleveragents.guest.program_client import Client, FailedError, RefusedError

def said(action, *arguments, **more):
    try:
        return repr(action(*arguments, **more))
    except (RefusedError, FailedError) as error:
        return f"{error.code}: {error}"

client = Client.connect()
task = client.begin()
"""
PROGRAMS = "prog/"


class Scene:
    """One home over one workspace; a person is not there unless one is given."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home"
        self.workspace = root / "ws"
        self.workspace.mkdir()
        self.environ = {
            **os.environ,
            "CLEVERAGENTS_HOME": str(self.home),
            "CLEVERAGENTS_CELL_ROOT": str(root / "cell"),
        }

    # -- what there is ------------------------------------------------------

    def file(self, path: str, text: str | bytes) -> Path:
        target = self.workspace / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode() if isinstance(text, str) else text)
        return target

    def program(self, name: str, body: str, *, prelude: str = PRELUDE) -> dict[str, Any]:
        """Put a Python program into the workspace; gives the actor that runs it."""
        self.file(f"{PROGRAMS}{name}.py", prelude + textwrap.dedent(body))
        return {"kind": "program", "command": ["python3", f"{PROGRAMS}{name}.py"]}

    def directory(self) -> dict[str, bytes]:
        """Every file of the user's directory."""
        return {
            str(path.relative_to(self.workspace)): path.read_bytes()
            for path in sorted(self.workspace.rglob("*"))
            if path.is_file()
        }

    # -- what a person types ------------------------------------------------

    def run(
        self, *steps: Mapping[str, Any], plan: Mapping[str, Any] | None = None, **request: Any
    ) -> Answer:
        raw = {"name": "parent", "steps": list(steps), **(plan or {})}
        interaction = request.pop("interaction", Nobody())
        return plan_command.run_loaded(
            parse_plan(raw, name="plan", base=self.root),
            plan_command.RunRequest(workspace=self.workspace, **request),
            interaction,
        )

    def run_alone(self, raw: Mapping[str, Any], **request: Any) -> Answer:
        """A root plan that is written as it is, such as a program's."""
        return plan_command.run_loaded(
            parse_plan(dict(raw), name="plan", base=self.root),
            plan_command.RunRequest(workspace=self.workspace, **request),
            Nobody(),
        )

    def resume(self, plan_id: object, **request: Any) -> Answer:
        return plan_command.resume(
            str(plan_id),
            **{"limits": Typed(), "apply": False, "interaction": Nobody(), **request},
        )

    def apply(self, plan_id: object, *, yes: bool = True, partial: bool = False) -> Answer:
        return plan_command.apply(str(plan_id), yes=yes, partial=partial, interaction=Nobody())

    def status(self, plan_id: object) -> Mapping[str, Any]:
        tree = plan_look.tree(str(plan_id)).data
        assert tree is not None
        return tree

    def command(self, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run ``agents`` as another process."""
        return subprocess.run(
            [sys.executable, "-m", "cleveragents", *words],
            env={**self.environ, **more}, capture_output=True, text=True, check=False,
            cwd=self.root, timeout=120,
        )  # fmt: skip

    def killed(self, point: str, *words: str) -> None:
        """Run ``agents`` and kill it with SIGKILL at a point; see ``killer.py``."""
        ended = subprocess.run(
            [sys.executable, str(KILLER), point, *words],
            env=self.environ, capture_output=True, text=True, check=False, cwd=self.root,
            timeout=120,
        )  # fmt: skip
        assert ended.returncode == -signal.SIGKILL, (point, ended.stdout, ended.stderr)

    # -- what is kept -------------------------------------------------------

    def entries(self, plan_id: object = None, kind: str | None = None) -> list[StoredEntry]:
        house = open_house(self.environ)
        try:
            wanted: Any = kind
            return list(house.log().entries(plan_id=str(plan_id) if plan_id else None, kind=wanted))
        finally:
            house.close()

    def kinds(self, plan_id: object) -> list[str]:
        return [entry.kind for entry in self.entries(plan_id)]

    def proposal(self, plan_id: object) -> Mapping[str, Any]:
        return self.entries(plan_id, "proposal")[-1].body

    def made(self, plan_id: object) -> dict[str, bytes]:
        """Every file of the tree that a plan offers."""
        git = Git.open(self.home / "trees.git")
        entries = git.list_tree(str(self.proposal(plan_id)["tree"]))
        content = git.read_blobs([entry.blob for entry in entries])
        return {entry.path: content[entry.blob] for entry in entries}

    def left(self) -> list[str]:
        """Workspaces that are on disk."""
        place = self.root / "cell/slot"
        return sorted(one.name for one in place.iterdir()) if place.is_dir() else []


@contextmanager
def scene() -> Iterator[Scene]:
    """A scene at a place that the cell's user can pass; nothing of it stays."""
    root = Path(tempfile.mkdtemp(prefix="subplan-test-", dir="/var/tmp"))
    root.chmod(0o711)
    try:
        try:
            yield Scene(root)
        finally:
            # What a host left that was killed while it started a cell, the next command ends.
            orphan.sweep(root / "cell")
        wait_until(lambda: not processes_of(root), "the end of every process of the place")
    finally:
        for path in root.glob("cell/**/work"):
            path.chmod(0o700)
        remove_tree(root)
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    with scene() as made:
        for name, value in made.environ.items():
            monkeypatch.setenv(name, value)
        yield made


def subplan(name: str, *steps: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A subplan step; ``on_denied``, ``on_error`` and ``retries`` go to the step."""
    outer: dict[str, Any] = {
        key: more.pop(key) for key in ("on_denied", "on_error", "retries") if key in more
    }
    delegate = {
        "tools": ["read_file", "write_file", "edit_file", "delete_file", "run_command"],
        "read": ["."],
        "write": ["."],
        **more.pop("delegate", {}),
    }
    body: dict[str, Any] = {"name": name, "delegate": delegate, **more}
    if steps:
        body["steps"] = list(steps)
    return {"id": name, "subplan": body, **outer}


def write(path: str, content: str, step: str = "") -> dict[str, Any]:
    name = step or "w_" + "".join(c if c.isalnum() else "_" for c in path)
    return {"id": name, "tool": "write_file", "args": {"path": path, "content": content}}


def group(*members: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "group", "parallel": list(members), **more}


def data(answer: Answer) -> Mapping[str, Any]:
    assert answer.data is not None, answer.messages
    return answer.data


def child_of(answer: Answer, name: str) -> Mapping[str, Any]:
    return next(one for one in data(answer)["subplans"] if one["name"] == name)


def eventually(condition: Callable[[], bool], *, tries: int = 400) -> bool:
    """Look again and again, for what another process does."""
    import time

    for _ in range(tries):
        if condition():
            return True
        time.sleep(0.025)
    return False
