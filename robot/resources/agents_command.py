"""Keywords around the installed ``agents`` command; each test has its own home and directory."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robot.api import Failure, logger
from robot.api.deco import keyword, library

sys.path.insert(0, str(Path(__file__).parent))
from ordinary_user import UID, as_ordinary_user, is_root  # robot loads by path

CHECKOUT = Path(__file__).resolve().parents[2]
AGENTS = Path(sys.executable).with_name("agents")
TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def data(self) -> Any:
        """The ``data`` of the one JSON object on its standard output."""
        return json.loads(self.stdout)["data"]


@library(scope="TEST", auto_keywords=False)
class agents_command:  # noqa: N801  # robot finds the class by the module's name
    """One home, one user's directory, one user."""

    def __init__(self) -> None:
        self._place: Path | None = None
        self._is_ordinary = False

    @property
    def _root(self) -> Path:
        if self._place is None:
            raise Failure("'A Directory' comes first")
        return self._place

    @property
    def _directory(self) -> Path:
        return self._root / "project"

    @keyword
    def a_directory(self, **files: str) -> None:
        """Make a home and a directory with files; a name's ``_dot_`` stands for a dot."""
        self._place = Path(tempfile.mkdtemp(prefix="cleveragents-robot-"))
        self._place.chmod(0o755)
        self._directory.mkdir()
        for name, text in files.items():
            (self._directory / name.replace("_dot_", ".")).write_text(text, encoding="utf-8")

    @keyword
    def an_ordinary_user(self) -> None:
        """From here on commands run without root's rights; nothing changes for who has none."""
        if not is_root():
            return
        self._is_ordinary = True
        for path in (self._root, *self._root.rglob("*")):
            os.chown(path, UID, UID)

    @keyword
    def a_file(self, name: str, text: str) -> None:
        """Write a file beside the directory: a plan, a profile."""
        path = self._root / name
        path.write_text(text, encoding="utf-8")
        if self._is_ordinary:
            os.chown(path, UID, UID)

    @keyword
    def run_agents(self, *arguments: str, expect: int | None = None) -> Finished:
        """Run the installed command in the directory; ``expect`` is its exit code."""
        argv, environment, directory = self.command_of(*arguments)
        done = subprocess.run(
            argv,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        logger.info(f"$ agents {' '.join(arguments)}\n{done.stdout}\n{done.stderr}")
        if expect is not None and done.returncode != int(expect):
            raise Failure(
                f"agents {' '.join(arguments)}: exit code {done.returncode}, not {expect}\n"
                f"{done.stdout}\n{done.stderr}"
            )
        return Finished(done.returncode, done.stdout, done.stderr)

    def command_of(self, *arguments: str) -> tuple[list[str], dict[str, str], Path]:
        """What runs the installed command: its line, its environment and its directory."""
        argv = [str(AGENTS), *arguments]
        environment = {
            "PATH": f"{AGENTS.parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(self._root),
            "LANG": "C.UTF-8",
            "CLEVERAGENTS_HOME": str(self._root / "home"),
        }
        if self._is_ordinary:
            argv = as_ordinary_user(argv, CHECKOUT)
        else:
            coverage = {k: v for k, v in os.environ.items() if k.startswith("COVERAGE_")}
            environment |= coverage
        return argv, environment, self._directory

    @keyword
    def directory_digest(self) -> str:
        """Digest of every path, mode and byte of the directory."""
        digest = hashlib.sha256()
        for path in sorted(self._directory.rglob("*")):
            digest.update(f"{path.relative_to(self._directory)} {path.stat().st_mode}".encode())
            digest.update(path.read_bytes() if path.is_file() else b"")
        return digest.hexdigest()

    @keyword
    def file_should_be(self, name: str, text: str) -> None:
        """Compare a file of the directory."""
        found = (self._directory / name).read_text(encoding="utf-8")
        if found != text:
            raise Failure(f"{name} holds {found!r}, not {text!r}")

    @keyword
    def file_should_be_absent(self, name: str) -> None:
        """Look for a file in the directory."""
        if (self._directory / name).exists():
            raise Failure(f"{name} exists")

    @keyword
    def change_one_byte_of_the_store(self, holding: str) -> None:
        """Flip one bit where the database file holds a text."""
        database = self._database()
        connection = sqlite3.connect(database)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        raw = bytearray(database.read_bytes())
        at = raw.find(holding.encode())
        if at < 0:
            raise Failure(f"the store does not hold {holding!r}")
        raw[at] ^= 1
        database.write_bytes(raw)

    def _database(self) -> Path:
        for path in sorted((self._root / "home").iterdir()):
            if path.is_file() and path.open("rb").read(15) == b"SQLite format 3":
                return path
        raise Failure("the home holds no database")

    @keyword
    def clean_up(self) -> None:
        """Remove everything that the test made."""
        if self._place is not None:
            shutil.rmtree(self._place)
