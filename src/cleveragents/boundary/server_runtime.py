"""What does an MCP server run on, and which paths of the host must its cell see for that?

Users start servers by a name: a program of a virtual environment, of nvm,
pyenv or pipx, a script beside its packages, or by ``npx`` and ``uvx``, which
look for an installed package first. Each is traced to the real program and
the smallest prefix that holds what it needs. Of a home nothing else is shown.

Source:
    https://docs.npmjs.com/cli/commands/npx (the cache ``_npx``);
    https://docs.astral.sh/uv/concepts/tools (``tools``, ``environments-v2``).
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cleveragents.boundary import package_runner
from cleveragents.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_SYSTEM: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib64")
"""In every cell already."""
_INTERPRETERS: Final = re.compile(
    r"(?:python|node|deno|bun|ruby|perl|sh|bash|java)[\d.]*", re.ASCII
)
_PACKAGES: Final = "node_modules"
_ROOTS: Final = ("package.json", "pyproject.toml", "setup.py", "pyvenv.cfg", _PACKAGES)
"""What stands at the root of a project or of an environment."""
_COMMON: Final = frozenset(
    f"/{name}"
    for name in (
        "", "boot", "dev", "etc", "home", "media", "mnt", "opt", "proc", "root", "run", "srv",
        "sys", "tmp", "var", "var/cache", "var/lib", "var/log", "var/run", "var/tmp",
    )
)  # fmt: skip
"""Many people's: of these a server is shown single files and directories, never the whole."""
_PERSONAL: Final = (".cache", ".config", ".local", ".local/share", ".ssh")
"""The same, beneath a home."""
_MAX_LINKS: Final = 16
_SHEBANG_BYTES: Final = 256


@dataclass(frozen=True, slots=True)
class Runtime:
    """How a server is started in a cell."""

    command: tuple[str, ...]
    """The program and its arguments, by paths that the cell has."""
    places: tuple[str, ...]
    """Paths of the host that are shown read-only."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What the program needs to find them; the configuration's own values win."""


def find_runtime(
    command: str,
    arguments: Sequence[str],
    *,
    environ: Mapping[str, str],
    workspace: str,
    directory: str = "",
    extra: Sequence[str] = (),
    private: Sequence[Path] = (),
) -> Runtime:
    """Trace a configured command to what has to be mounted for it.

    Args:
        command: As configured: a name or a path.
        arguments: As configured.
        environ: The operator's: ``PATH`` and ``HOME``.
        workspace: The user's own path of the workspace, which the cell shows
            at that path; empty: none.
        directory: Where the server is to be started; empty: in the workspace.
        extra: Further paths that the operator names.
        private: Places of the host that nothing shown may hold: record, base trees.

    Raises:
        ConfigurationError: It cannot be found, or only a whole home would hold it.
    """
    search = _Search(environ, workspace, private)
    return search.run(command, list(arguments), directory, extra)


class _Search:
    def __init__(self, environ: Mapping[str, str], workspace: str, private: Sequence[Path]) -> None:
        self._path = environ.get("PATH", os.defpath)
        self._home = Path(environ.get("HOME") or "/nonexistent")
        self._workspace = workspace
        self._private = private
        self._environ = environ
        self._places: dict[str, None] = {}
        self._first: list[str] = []
        """Directories that come first in the server's PATH."""

    def run(
        self, command: str, arguments: list[str], directory: str, extra: Sequence[str]
    ) -> Runtime:
        found = package_runner.installed(command, arguments, self._environ)
        if found is not None:
            command, arguments = found.command, list(found.arguments)
            for needed in found.places:
                self._add(needed)
        program = self._which(command)
        self._add_program(program)
        if _INTERPRETERS.fullmatch(program.name):
            self._add_script(arguments)
        if directory:
            self._add_project(Path(directory))
        for place in extra:
            if not Path(place).exists():
                raise ConfigurationError(problem=f"the runtime path {place!r} does not exist")
            self._add(Path(place))
        path = ":".join(dict.fromkeys(self._first))
        return Runtime(
            command=(str(program), *arguments),
            places=_outermost(self._places),
            environment={"PATH": f"{path}:/usr/local/bin:/usr/bin:/bin"} if path else {},
        )

    # -- what is started ------------------------------------------------------

    def _which(self, command: str) -> Path:
        found = (
            str(Path(os.path.expanduser(command)).absolute())  # noqa: PTH111  # an unknown user's ~
            if "/" in command
            else shutil.which(command, path=self._path)
        )
        if found is None or not os.access(found, os.X_OK) or Path(found).is_dir():
            raise ConfigurationError(
                problem=f"the command {command!r} of the MCP server is not found",
                hint="install it, or write its whole path; nothing is installed by a start",
            )
        return Path(found)

    # -- what it needs ----------------------------------------------------------

    def _add_program(self, program: Path) -> None:
        """Show a program, what its links lead to and what interprets it."""
        self._first.append(str(program.parent))
        for step in _links(program):
            self._add(self._prefix_of(step))
            self._add_environment(step)
        interpreter = _interpreter(program)
        if interpreter:
            found = self._which(interpreter)
            self._first.append(str(found.parent))
            for step in _links(found):
                self._add(self._prefix_of(step))
                self._add_environment(step)

    def _add_environment(self, program: Path) -> None:
        """Show the Python that a virtual environment was made of."""
        settings = program.parent.parent / "pyvenv.cfg"
        try:
            text = settings.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return
        home = re.search(r"(?m)^home\s*=\s*(.+)$", text)
        if home is not None:
            for place in (Path(home[1].strip()), Path(os.path.realpath(home[1].strip()))):
                self._add(place.parent)

    def _add_script(self, arguments: Sequence[str]) -> None:
        """Show the file that an interpreter is told to run, with its project."""
        for argument in arguments:
            if argument.startswith("-"):
                continue
            path = Path(os.path.expanduser(argument))  # noqa: PTH111  # an unknown user's ~
            if path.is_absolute() and path.is_file():
                self._add_project(path)
                for step in _links(path):
                    self._add_project(step)
            return

    def _add_project(self, place: Path) -> None:
        if _PACKAGES in place.parts:
            # What a package needs lies beside it, whatever it says of itself.
            self._add(self._prefix_of(place))
            return
        start = place if place.is_dir() else place.parent
        for candidate in (start, *start.parents):
            if self._is_too_much(candidate):
                break
            if any((candidate / name).exists() for name in _ROOTS):
                self._add(candidate)
                return
        self._add(place if self._is_too_much(start) else start)

    def _add(self, place: Path) -> None:
        text = str(place)
        if self._is_shown(text):
            return
        if self._is_too_much(place):
            raise ConfigurationError(
                problem=f"the MCP server would need the whole of {text} in its cell",
                hint="install it in an environment of its own, or name a directory under 'runtime'",
            )
        self._places[text] = None

    def _is_shown(self, text: str) -> bool:
        roots = (*_SYSTEM, self._workspace) if self._workspace else _SYSTEM
        return any(text == root or text.startswith(root + "/") for root in roots)

    def _is_too_much(self, place: Path) -> bool:
        shared = {self._home, *self._home.parents, *(self._home / name for name in _PERSONAL)}
        holds = any(private.is_relative_to(place) for private in self._private)
        return str(place) in _COMMON or place in shared or holds

    def _prefix_of(self, program: Path) -> Path:
        """The smallest directory that holds a program and what comes with it."""
        parts = program.parts
        if _PACKAGES in parts:
            return Path(*parts[: parts.index(_PACKAGES) + 1])
        prefix = program.parent.parent
        is_installed = program.parent.name in {"bin", "shims"}
        return prefix if is_installed and not self._is_too_much(prefix) else program


def _links(path: Path) -> Iterator[Path]:
    """A path, and each that its links lead to."""
    for _ in range(_MAX_LINKS):
        yield path
        if not path.is_symlink():
            break
        path = Path(os.path.normpath(path.parent / path.readlink()))
    real = Path(os.path.realpath(path))
    if real != path:
        yield real


def _interpreter(program: Path) -> str:
    """What a script's first line names; empty for a binary."""
    try:
        with program.open("rb") as file:
            line = file.read(_SHEBANG_BYTES).split(b"\n", 1)[0]
    except OSError:
        return ""
    if not line.startswith(b"#!"):
        return ""
    words = line[2:].decode("utf-8", "replace").split()
    if not words:
        return ""
    if Path(words[0]).name == "env":
        named = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
        return named[0] if named else ""
    return words[0]


def _outermost(places: Mapping[str, None]) -> tuple[str, ...]:
    """Leave out what lies beneath another place."""
    kept: list[str] = []
    for place in sorted(places):
        if not any(place.startswith(other + "/") for other in kept):
            kept.append(place)
    return tuple(kept)
