"""A home, a user's directory and the ``agents`` command, for one test.

``Scene.agents`` runs the installed command as a stranger would: a clean
environment, no terminal, one JSON object on its standard output. A scene that
is ``inside`` goes the same way from the words on, without a process for each:
that is four times as fast, and where nobody is killed nothing else is lost.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.boundary import orphan
from tests.cli.command_line import make_invocation, say

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.append(str(CHECKOUT / "robot" / "resources"))

from ordinary_user import UID, as_ordinary_user  # noqa: E402  # beside the robot that needs it too

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Plan = Mapping[str, Any] | Sequence[Mapping[str, Any]]

AGENTS = Path(sys.executable).with_name("agents")
TIMEOUT_S = 60
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    exit_code: int
    out: str
    err: str

    @property
    def envelope(self) -> dict[str, Any]:
        """The one JSON object on its standard output."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        assert value["exit_code"] == self.exit_code
        return value

    @property
    def data(self) -> Any:
        """What the envelope carries."""
        return self.envelope["data"]

    @property
    def said(self) -> str:
        """Every message of the envelope, and what stands on the standard error."""
        return "\n".join([*(m["text"] for m in self.envelope["messages"]), self.err])

    @property
    def plan_id(self) -> str:
        """The plan that it is about."""
        return str(self.data["plan_id"])


class Scene:
    """One place with everything that a test needs; ``scene`` makes and removes it.

    Args:
        place: An empty directory that everybody may pass.
        is_ordinary: Commands run without root's rights.
        is_inside: Commands run in the process of the test.
    """

    def __init__(self, place: Path, *, is_ordinary: bool, is_inside: bool = False) -> None:
        self.place = place
        self.is_inside = is_inside
        self.is_ordinary = is_ordinary
        self.home = place / "home"
        self.cells = place / "cells"
        self.work = place / "work"
        self.environ: dict[str, str] = {}
        self._hosts: list[subprocess.Popen[str]] = []
        self.work.mkdir()
        self._own(place, self.work)

    # -- files ----------------------------------------------------------------

    def write(self, name: str, content: str | bytes, *, mode: int | None = None) -> Path:
        """Write a file below the place, with its directories."""
        path = self.place / name
        for parent in reversed(path.relative_to(self.place).parents[:-1]):
            (self.place / parent).mkdir(exist_ok=True)
            self._own(self.place / parent)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        if mode is not None:
            path.chmod(mode)
        self._own(path)
        return path

    def file(self, name: str, content: str | bytes = "", *, mode: int | None = None) -> Path:
        """Write a file into the user's directory."""
        return self.write(f"work/{name}", content, mode=mode)

    def text(self, name: str) -> str:
        """Read a file of the user's directory."""
        return (self.work / name).read_text(encoding="utf-8")

    def own_tools(self, source: str, name: str = "own_tools.py") -> Path:
        """Write a file of own tools beside the directory."""
        return self.write(name, f"from cleveragents import tool\n\n\n{source}\n")

    def digest(self) -> str:
        """Digest of every path, type, mode, owner, time and byte of the user's directory."""
        digest = hashlib.sha256()
        for path in sorted(self.work.rglob("*")):
            facts = path.lstat()
            head = (str(path), facts.st_mode, facts.st_uid, facts.st_mtime_ns)
            digest.update(repr(head).encode())
            if path.is_symlink():
                digest.update(os.fsencode(path.readlink()))
            elif path.is_file():
                digest.update(path.read_bytes())
        return digest.hexdigest()

    def _own(self, *paths: Path) -> None:
        if self.is_ordinary:
            for path in paths:
                os.chown(path, UID, UID)

    # -- commands ---------------------------------------------------------------

    def argv(self, *words: str) -> list[str]:
        """The command line that runs ``agents`` as the scene's user."""
        line = [str(AGENTS), *words]
        return as_ordinary_user(line, CHECKOUT) if self.is_ordinary else line

    @property
    def environment(self) -> dict[str, str]:
        """All that a command sees of the world."""
        measured = {k: v for k, v in os.environ.items() if k.startswith("COVERAGE_")}
        return {
            "PATH": SYSTEM_PATH,
            "HOME": str(self.place),
            "LANG": "C.UTF-8",
            "CLEVERAGENTS_HOME": str(self.home),
            "CLEVERAGENTS_CELL_ROOT": str(self.cells),
            **({} if self.is_ordinary else measured),
            **self.environ,
        }

    def agents(self, *words: str, expect: int | None = None, prefix: tuple[str, ...] = ()) -> Done:
        """Run the command to its end; ``expect`` is its exit code."""
        words = (*words, "--format", "json")
        done = (
            self._inside(words) if self.is_inside and not prefix else self._outside(words, prefix)
        )
        if expect is not None:
            assert done.exit_code == expect, f"{words}\n{done.out}\n{done.err}"
        assert "Traceback" not in done.err, done.err
        return done

    def _outside(self, words: tuple[str, ...], prefix: tuple[str, ...]) -> Done:
        found = subprocess.run(
            [*prefix, *self.argv(*words)],
            cwd=self.place,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        return Done(found.returncode, found.stdout, found.stderr)

    def _inside(self, words: tuple[str, ...]) -> Done:
        with self.surroundings():
            said = say(make_invocation(*words, environ=self.environment))
        return Done(said.exit_code, said.out, said.err)

    @contextmanager
    def surroundings(self) -> Iterator[None]:
        """Make this process stand where a command of the scene would."""
        with pytest.MonkeyPatch.context() as patch:
            for name in os.environ.keys() - self.environment.keys():
                patch.delenv(name)
            for name, value in self.environment.items():
                patch.setenv(name, value)
            patch.chdir(self.place)
            yield

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start the installed command and do not wait for it."""
        host = subprocess.Popen(
            self.argv(*words, "--format", "json"),
            cwd=self.place,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._hosts.append(host)
        return host

    def close(self) -> None:
        """End what a failed test left running."""
        for host in self._hosts:
            if host.returncode is None:
                kill(host)

    def plan(self, plan: Plan, name: str = "plan.yaml") -> str:
        """Write a plan file; JSON is YAML. A list is its steps."""
        whole = {"name": "tested", "steps": plan} if isinstance(plan, list) else plan
        return str(self.write(name, json.dumps(whole)))

    def words(self, plan: Plan, *more: str) -> tuple[str, ...]:
        """The words that run a plan on the directory."""
        return ("plan", "run", self.plan(plan), "--workspace", str(self.work), *more)

    def run(
        self,
        plan: Plan,
        *more: str,
        expect: int | None = 0,
    ) -> Done:
        """Run a plan to its end."""
        return self.agents(*self.words(plan, *more), expect=expect)

    def profile(self, name: str = "tested", **facts: object) -> str:
        """Write an automation profile that holds only a safety profile; gives its path."""
        return self.automation(safety_profile={"name": name, **facts})

    def automation(self, **facts: object) -> str:
        """Write an automation profile; gives its path."""
        return str(self.write("automation.yaml", json.dumps({"name": "careful", **facts})))

    def status(self, plan_id: str) -> Any:
        """The data of `agents plan status`."""
        return self.agents("plan", "status", plan_id, expect=0).data

    def explained(self, plan_id: str) -> list[dict[str, Any]]:
        """The calls of `agents plan explain`."""
        calls = self.agents("plan", "explain", plan_id, expect=0).data["calls"]
        assert isinstance(calls, list)
        return calls

    def outcome(self, plan_id: str, call_id: str) -> dict[str, Any]:
        """What the record keeps of a call's end; its value, when it was done."""
        sql = "SELECT body FROM record WHERE plan_id = ? AND call_id = ? AND kind = 'outcome'"
        (row,) = self.rows(sql, plan_id, call_id)
        body = json.loads(row[0])
        assert isinstance(body, dict)
        return body

    def value(self, plan_id: str, call_id: str) -> dict[str, Any]:
        """What a call gave."""
        value = self.outcome(plan_id, call_id)["value"]
        assert isinstance(value, dict)
        return value

    # -- the record --------------------------------------------------------------

    @property
    def database(self) -> Path:
        """The database file."""
        return self.home / "cleveragents.db"

    def rows(self, sql: str, *params: object) -> list[tuple[Any, ...]]:
        """Ask the database; nothing when it is not there yet."""
        if not self.database.exists():
            return []
        link = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
        try:
            return link.execute(sql, params).fetchall()
        except sqlite3.OperationalError:
            return []
        finally:
            link.close()

    def count(self, kind: str) -> int:
        """How many entries of a kind the record holds."""
        found = self.rows("SELECT count(*) FROM record WHERE kind = ?", kind)
        return int(found[0][0]) if found else 0

    def kept(self) -> bytes:
        """Every byte below the home: database, objects, trees, logs."""
        return b"\0".join(p.read_bytes() for p in self.home.rglob("*") if p.is_file())

    def verify(self, expect: int = 0) -> Done:
        """Run `agents audit verify`."""
        return self.agents("audit", "verify", expect=expect)


def wait_until(seen: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    """Look again and again until something is seen."""
    end = time.monotonic() + timeout_s
    while not seen():
        assert time.monotonic() < end, f"never seen: {what}"
        time.sleep(0.01)


def tool(name: str, /, id: str = "", **args: object) -> dict[str, Any]:  # noqa: A002  # as in a plan
    """One step that calls a tool."""
    return {**({"id": id} if id else {}), "tool": name, "args": args}


def shell(step: str, line: str, **more: object) -> dict[str, Any]:
    """One step that runs a line of shell."""
    return {"id": step, "tool": "run_command", "args": {"command": line}, **more}


def kill(process: subprocess.Popen[str]) -> None:
    """End a host without a chance to say anything, and collect it."""
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=TIMEOUT_S)


def ended(process: subprocess.Popen[str]) -> Done:
    """Wait for a started command."""
    out, err = process.communicate(timeout=TIMEOUT_S)
    return Done(process.returncode, out, err)


def processes_of(place: Path) -> list[str]:
    """The command lines of living processes that name a place."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes()
        except OSError:
            continue
        if os.fsencode(place) in line:
            found.append(line.replace(b"\0", b" ").decode(errors="replace"))
    return found


@contextmanager
def scene_for(*, is_ordinary: bool = False, is_inside: bool = False) -> Iterator[Scene]:
    """Make a place of a test's own, and leave nothing of it."""
    # Not below pytest's own directory: nobody else may pass that one.
    place = Path(tempfile.mkdtemp(prefix="cleveragents-plans-"))
    place.chmod(0o755)
    try:
        with closing(Scene(place, is_ordinary=is_ordinary, is_inside=is_inside)) as scene:
            yield scene
            # What a host left that was killed while it started a cell, the next command ends.
            orphan.sweep(scene.cells)
        wait_until(lambda: not processes_of(place), "the end of every process of the place")
    finally:
        shutil.rmtree(place)
