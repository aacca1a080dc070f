"""A host with something to steal: one place, one user, and what a program would be after."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.probes.bystander import open_sockets, share_memory, start_bystander

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT: Final = Path(__file__).resolve().parents[2]
HOSTILE: Final = Path("tests/probes/hostile")
AGENTS: Final = Path(sys.executable).with_name("agents")
SYSTEM_PATH: Final = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
HOME_FILES: Final = (
    ".ssh/id_ed25519",
    ".aws/credentials",
    ".netrc",
    ".gnupg/secring.gpg",
    ".docker/config.json",
)
SMALL: Final = {"CLEVERAGENTS_PROCESSES": "128", "CLEVERAGENTS_WORKSPACE_MB": "64"}
"""Limits small enough to be reached at once, and large enough for an honest program."""
FORKS: Final = 400
_TIMEOUT_S: Final = 180


def secret(kind: str) -> str:
    """Make a secret that the attempts know by its looks."""
    return f"probe-{kind}-{os.urandom(12).hex()}"


@dataclass(frozen=True, slots=True)
class Done:
    """An ``agents`` command that has ended."""

    exit_code: int
    out: str
    err: str

    @property
    def envelope(self) -> dict[str, Any]:
        """The one JSON object that it printed."""
        try:
            found: dict[str, Any] = json.loads(self.out)
        except ValueError:
            raise AssertionError(f"{self.exit_code}\n{self.out}\n{self.err}") from None
        return found

    @property
    def data(self) -> Any:
        """What that object carries."""
        return self.envelope["data"]


class World:
    """One place; ``world`` makes and removes it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.home = place / "home"
        self.product = place / "product"
        self.cells = place / "cells"
        self.secrets = {kind: secret(kind) for kind in ("env", "arg", "mem", "key")}
        self.scene: dict[str, Any] = {}

    @property
    def environment(self) -> dict[str, str]:
        """What every command of this user's sees, a secret among it."""
        # A measured run, or one of a copy of the source, stays one.
        kept = {
            k: v for k, v in os.environ.items() if k.startswith("COVERAGE_") or k == "PYTHONPATH"
        }
        return {
            "PATH": SYSTEM_PATH,
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "PROBE_ENV": self.secrets["env"],
            "PROBE_KEY": self.secrets["key"],
            "CLEVERAGENTS_HOME": str(self.product),
            "CLEVERAGENTS_CELL_ROOT": str(self.cells),
            **SMALL,
            **kept,
        }

    # -- what a plan works on ------------------------------------------------------

    def directory(self, name: str) -> Path:
        """Make a directory of the user's with the hostile program in it."""
        directory = self.place / name
        shutil.copytree(
            CHECKOUT / HOSTILE, directory / HOSTILE, ignore=shutil.ignore_patterns("__pycache__")
        )
        for path, text in {
            "docs/readable.md": "what may be read\n",
            "docs/one.md": "what may be written\n",
            "src/private.py": "what was not handed on\n",
            "scene.json": json.dumps({**self.scene, "directory": str(directory)}),
        }.items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_text(text)
        return directory

    # -- what a person types ---------------------------------------------------------

    def command(self, *words: str) -> tuple[list[str], dict[str, Any]]:
        """Give the command line of ``agents`` and how it is started."""
        options = {"cwd": self.place, "env": self.environment, "stdin": subprocess.DEVNULL}
        return [str(AGENTS), *words], options

    def agents(self, *words: str, form: str = "json") -> Done:
        """Run the installed command to its end."""
        line, options = self.command(*words, "--format", form)
        done = subprocess.run(
            line, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, **options
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def plan(self, name: str, *steps: dict[str, Any], **facts: Any) -> tuple[str, ...]:
        """Write a plan file and its automation profile; give the words that run it."""
        plan = self.place / f"{name}.yaml"
        plan.write_text(json.dumps({"name": name, "steps": list(steps)}))
        profile = self.place / f"{name}-profile.yaml"
        profile.write_text(json.dumps({"name": f"{name}-profile", **facts}))
        return ("plan", "run", str(plan), "--automation-profile", str(profile))

    def entries(self, kind: str) -> dict[str, dict[str, Any]]:
        """Give the last entry of a kind of each plan, from the record."""
        records = self.agents("audit", "list", "--kind", kind, "--limit", "1000").data["records"]
        return {str(one["plan_id"]): one for one in records}


def hostile(*words: str) -> dict[str, Any]:
    """Give the actor that is the hostile program."""
    return {"kind": "program", "command": ["python3", "-B", "-m", "tests.probes.hostile", *words]}


def subplan(name: str, *words: str, **more: Any) -> dict[str, Any]:
    """Give the step that runs the hostile program as a subplan; its parent goes on whatever it does."""
    delegate = {
        "tools": [],
        "read": ["tests/", "docs/", "scene.json"],
        "write": ["new/"],
        **more.pop("delegate", {}),
    }
    body = {"name": name.replace("_", "-"), "actor": hostile(*words), "delegate": delegate, **more}
    return {"id": name, "subplan": body, "on_denied": "continue", "on_error": "continue"}


@contextmanager
def world() -> Iterator[World]:
    """Make a place with something to steal; nothing of it stays."""
    place = Path(tempfile.mkdtemp(prefix="probes-", dir="/var/tmp"))
    place.chmod(0o755)
    made = World(place)
    try:
        with ExitStack() as stack:
            made.scene = {
                **_files(made, stack),
                **open_sockets(made.home, stack),
                **share_memory(stack),
                **start_bystander(made.environment, made.secrets, made.home / HOME_FILES[0], stack),
            }
            yield made
    finally:
        _remove(place)


def _remove(place: Path) -> None:
    # Workspaces hold what a hostile program left: directories without permissions, and deep ones.
    subprocess.run(["chmod", "-R", "u+rwX", str(place)], check=False, stderr=subprocess.DEVNULL)
    subprocess.run(["rm", "-rf", str(place)], check=True)


def _files(made: World, stack: ExitStack) -> dict[str, Any]:
    for name in HOME_FILES:
        path = made.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made.secrets["key"])
        path.chmod(0o600)
    for name in ("scene-key", "x", "runtime.py"):
        (made.place / name).write_text(made.secrets["key"])
    tmp = Path(tempfile.mkstemp(prefix="probes-", dir="/tmp")[1])
    stack.callback(tmp.unlink)
    return {
        "home": str(made.home),
        "home_files": [str(made.home / name) for name in HOME_FILES],
        "key_file": str(made.home / HOME_FILES[0]),
        "product": str(made.product),
        "cells": str(made.cells),
        "tmp_file": str(tmp),
        "scratch_directory": "/workspace/new",
        "read_only": "/usr",
        "forks": FORKS,
        "tmp_bytes": 64 << 20,
        "file_bytes": 1 << 30,
        "open_files": 1024,
    }
