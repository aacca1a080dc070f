"""Which installed program does ``npx``, ``uvx`` or ``uv`` mean?

These install what is missing, which a cell never does: an installed package is
looked for where they keep theirs, and started by its own program.

Source:
    https://docs.npmjs.com/cli/commands/npx (the cache ``_npx``);
    https://docs.astral.sh/uv/concepts/tools (``tools``, ``environments-v2``).
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cleveragents.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_NPX_FLAGS: Final = frozenset({"-y", "--yes", "--no", "-q", "--quiet", "--silent", "--offline"})
_UVX_FLAGS: Final = frozenset({"--offline", "-q", "--quiet", "--isolated", "--no-progress"})
_PACKAGE: Final = re.compile(r"(@?[^@]+)(?:@(.+))?")


@dataclass(frozen=True, slots=True)
class Installed:
    """A program that is there already."""

    command: str
    arguments: tuple[str, ...]
    places: tuple[Path, ...] = ()
    """Directories that it needs beside what its program leads to."""


def installed(
    command: str, arguments: Sequence[str], environ: Mapping[str, str]
) -> Installed | None:
    """Find what a runner of packages would run; ``None``: the command is no such runner.

    Args:
        command: As configured.
        arguments: As configured.
        environ: The operator's: ``PATH``, ``HOME`` and where the runners keep packages.

    Raises:
        ConfigurationError: Nothing of that name is installed.
    """
    search = _Search(environ)
    match Path(command).name:
        case "npx":
            return search.npx(list(arguments))
        case "uvx":
            return search.uvx(list(arguments))
        case "uv":
            return search.uv(list(arguments))
    return None


class _Search:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self._path = environ.get("PATH", os.defpath)
        self._home = Path(environ.get("HOME") or "/nonexistent")
        self._environ = environ

    def npx(self, arguments: list[str]) -> Installed:
        package, rest = _package(arguments, _NPX_FLAGS, ("-p", "--package"), "npx")
        name, version = _named(package)
        for root in self._node_roots():
            facts = _package_facts(root / name)
            if facts is None or not _fits(version, str(facts.get("version", ""))):
                continue
            script = _script_of(root / name, facts, name)
            if script is not None:
                return Installed("node", (str(script), *rest), (root,))
        raise ConfigurationError(
            problem=f"npx has no installed package {package!r}, and a cell installs nothing",
            hint=f"type once: npm install --global {package}",
        )

    def _node_roots(self) -> Iterator[Path]:
        cache = Path(self._environ.get("npm_config_cache") or self._home / ".npm") / "_npx"
        yield from sorted(cache.glob("*/node_modules"), key=_age)
        for program in filter(None, (shutil.which("npm", path=self._path),)):
            prefix = Path(program).parent.parent
            yield prefix / "lib/node_modules"
        node = shutil.which("node", path=self._path)
        if node is not None:
            yield Path(os.path.realpath(node)).parent.parent / "lib/node_modules"
        yield Path("/usr/local/lib/node_modules")

    def uvx(self, arguments: list[str]) -> Installed:
        package, rest = _package(arguments, _UVX_FLAGS, ("--from",), "uvx")
        name, version = _named(package)
        program = name if "--from" not in arguments else rest.pop(0) if rest else name
        data = Path(self._environ.get("XDG_DATA_HOME") or self._home / ".local/share")
        cache = Path(self._environ.get("UV_CACHE_DIR") or self._home / ".cache/uv")
        candidates = [data / "uv/tools" / name / "bin" / program]
        for pattern in ("environments-v*/*/bin/", "archive-v*/*/bin/"):
            candidates += sorted(cache.glob(pattern + program), key=_age)
        for found in candidates:
            if os.access(found, os.X_OK) and _has_version(found.parent.parent, name, version):
                return Installed(str(found), tuple(rest))
        raise ConfigurationError(
            problem=f"uvx has no installed package {package!r}, and a cell installs nothing",
            hint=f"type once: uv tool install {package}",
        )

    def uv(self, arguments: list[str]) -> Installed:
        rest = list(arguments)
        project = ""
        while rest and rest[0] in {"--directory", "--project"} and len(rest) > 1:
            project, rest = rest[1], rest[2:]
        if rest[:2] == ["tool", "run"]:
            return self.uvx(rest[2:])
        if rest[:1] != ["run"] or not project or len(rest) < 2:  # noqa: PLR2004  # run NAME
            raise ConfigurationError(
                problem="of uv only 'uv tool run' and 'uv --directory DIR run NAME' are known here",
                hint="write the program of the environment: DIR/.venv/bin/NAME",
            )
        place = Path(project).absolute()
        program = place / ".venv/bin" / rest[1]
        if os.access(program, os.X_OK):
            return Installed(str(program), tuple(rest[2:]), (place,))
        script = str(place / rest[1])
        return Installed(str(place / ".venv/bin/python"), (script, *rest[2:]), (place,))


def _package(
    arguments: list[str], flags: frozenset[str], naming: tuple[str, ...], tool: str
) -> tuple[str, list[str]]:
    """The package that is asked for, and what follows it."""
    rest = list(arguments)
    package = ""
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        if word in naming and rest:
            package = rest.pop(0)
        elif word == "--":
            break
        elif word not in flags:
            raise ConfigurationError(
                problem=f"the option {word!r} of {tool} is not known here",
                hint="install the server and write its own command",
            )
    if not package:
        if not rest:
            raise ConfigurationError(problem=f"{tool} is told no package to run")
        package = rest.pop(0)
    elif rest and tool == "npx":
        rest.pop(0)
    return package, rest


def _named(package: str) -> tuple[str, str]:
    found = _PACKAGE.fullmatch(package.replace("==", "@"))
    if found is None or ".." in package:
        raise ConfigurationError(problem=f"{package!r} is no name of a package")
    return found[1], found[2] or ""


def _fits(wanted: str, installed: str) -> bool:
    return wanted in {"", "latest", installed}


def _package_facts(place: Path) -> dict[str, object] | None:
    try:
        facts = json.loads((place / "package.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None


def _script_of(place: Path, facts: Mapping[str, object], name: str) -> Path | None:
    programs = facts.get("bin")
    if isinstance(programs, dict) and programs:
        short = name.rpartition("/")[2]
        programs = programs.get(short, next(iter(programs.values())))
    if not isinstance(programs, str):
        return None
    script = Path(os.path.normpath(place / programs))
    return script if script.is_file() and script.is_relative_to(place) else None


def _has_version(prefix: Path, name: str, version: str) -> bool:
    if version in {"", "latest"}:
        return True
    plain = re.sub(r"[-_.]+", "_", name)
    return any(prefix.glob(f"lib/python*/site-packages/{plain}-{version}.dist-info"))


def _age(path: Path) -> float:
    """The newest first."""
    try:
        return -path.stat().st_mtime
    except OSError:
        return 0.0
