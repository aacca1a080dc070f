"""What is one cell made of: mounts, limits, tools, and nothing that is not said here?"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from cleveragents.errors import ConfigurationError
from cleveragents.terms.digest import digest_value

if TYPE_CHECKING:
    from pathlib import Path

WorkspaceKind = Literal["overlay", "copy", "read_only", "live"]
WHOLE: Final = (".",)
"""The path list that means the whole workspace."""
PREPARED_TOOLS: Final = frozenset({"write_file", "edit_file", "move_file", "delete_file"})
"""Tools that work by prepare and commit (design, section 11, call identity)."""


@dataclass(frozen=True, slots=True)
class WorkspaceMount:
    """The directories of the host that become ``/workspace``.

    ``overlay``: ``lower`` are base trees, the topmost first; what the cell
    changes goes to ``upper``, and ``work`` is a directory beside it for the
    file system's own use. ``copy``: ``tree`` is a private copy that the cell
    changes. ``read_only``: ``tree``, or the stack ``lower``, unchanged.
    All belong to the cell's uid, and nobody changes them while a cell lives.
    ``live``: ``tree`` is the first of the spec's live directories, which are
    the operator's own and change under the cell as they do for everybody.
    """

    kind: WorkspaceKind
    lower: tuple[Path, ...] = ()
    upper: Path | None = None
    work: Path | None = None
    tree: Path | None = None

    def __post_init__(self) -> None:
        """Refuse a mount that lacks the directories of its kind."""
        match self.kind:
            case "overlay":
                is_whole = bool(self.lower) and self.upper is not None and self.work is not None
            case "copy" | "live":
                is_whole = self.tree is not None
            case "read_only":
                is_whole = self.tree is not None or bool(self.lower)
        if not is_whole:
            raise ConfigurationError(problem=f"a workspace of kind {self.kind!r} lacks directories")

    @property
    def layers(self) -> tuple[Path, ...]:
        """The directories that reading looks through, the topmost first, without ``upper``."""
        return self.lower if self.tree is None else (self.tree,)


@dataclass(frozen=True, slots=True)
class CellLimits:
    """What one cell may use up. Per process where the kernel counts so."""

    memory_bytes: int = 4 << 30
    """Address space of each process."""
    file_bytes: int = 1 << 30
    """Size of each file that is written."""
    cpu_s: int = 3600
    """Processor time of each process."""
    open_files: int = 1024
    """Descriptors of each process."""
    processes: int = 512
    """Processes and threads of the whole cell."""
    tmp_bytes: int = 64 << 20
    """Size of ``/tmp``, and the same again of ``/dev/shm``; both are memory."""
    workspace_bytes: int = 2 << 30
    """What the cell may add to its workspace before it is ended."""
    output_bytes: int = 64 << 10
    """How much of its own output (not of a command's) is kept, the last part."""
    start_s: float = 30.0
    """How long a cell may take to its first word."""
    channel_bytes: int = 8 << 30
    """What the cell may send over its channel in its life."""


@dataclass(frozen=True, slots=True)
class OwnToolFile:
    """A file of the operator's that defines a tool; its content is fixed by digest."""

    name: str
    """The tool's name; a file that defines several tools appears once for each."""
    path: Path
    digest: str
    """``sha256:...`` of the file, as the registry read it."""


@dataclass(frozen=True, slots=True)
class LiveMount:
    """A directory of the operator's that a cell sees as it is: no copy, nothing is collected."""

    directory: Path
    """Its real path; it is mounted there in the cell too."""
    name: Path
    """The absolute path that the operator named it by: the same, or one through links."""
    is_writable: bool = False
    masked: tuple[str, ...] = ()
    """Secret paths beneath it, hidden; a directory ends in ``/``."""
    guarded: tuple[str, ...] = ()
    """Paths beneath it that stay read-only in a writable one."""


@dataclass(frozen=True, slots=True)
class CellSpec:
    """One cell. Equal specs make interchangeable cells (pre-warmed slots rely on it)."""

    workspace: WorkspaceMount
    read: tuple[str, ...] = WHOLE
    """Visible paths: a file, a directory ending in ``/``, or ``.``; empty: nothing."""
    write: tuple[str, ...] = WHOLE
    """Writable paths, in the same notation; they are visible too."""
    included: tuple[tuple[str, str], ...] = ()
    """Host path and workspace path of left-out files that are shown read-only."""
    own_tools: tuple[OwnToolFile, ...] = ()
    command: tuple[str, ...] = ()
    """The program actor's command; empty for a tool cell."""
    limits: CellLimits = field(default_factory=CellLimits)
    tools: tuple[str, ...] = ()
    """Built-in tools that the guest may run."""
    network: bool = False
    """Whether the cell has a port at which the host's proxy answers; see ``guest.forwarder``."""
    live: tuple[LiveMount, ...] = ()
    """The operator's own directories, the first one as the workspace; see ``live_mount``."""
    runtime: tuple[str, ...] = ()
    """Paths of the host that are shown read-only at their own place: what a server runs on."""
    alias: str = ""
    """A second path at which the workspace is seen: the user's own; empty: none."""

    def __post_init__(self) -> None:
        """Refuse writing where the workspace's kind has no place for it."""
        if self.workspace.kind == "read_only" and self.write:
            raise ConfigurationError(problem="a read-only workspace has no writable paths")

    def digest(self) -> str:
        """Name the cell by everything in it: ``sha256:...``."""
        own = [(tool.name, str(tool.path), tool.digest) for tool in self.own_tools]
        return digest_value(
            {
                "workspace": _plain(self.workspace),
                "read": self.read,
                "write": self.write,
                "included": self.included,
                "own_tools": own,
                "command": self.command,
                "limits": asdict(self.limits),
                "tools": self.tools,
                "network": self.network,
                "live": [_plain_live(mount) for mount in self.live],
                "runtime": self.runtime,
                "alias": self.alias,
            }
        )


def _plain(mount: WorkspaceMount) -> dict[str, object]:
    return {
        "kind": mount.kind,
        "lower": [str(path) for path in mount.lower],
        "upper": str(mount.upper),
        "work": str(mount.work),
        "tree": str(mount.tree),
    }


def _plain_live(mount: LiveMount) -> list[object]:
    paths = [str(mount.directory), str(mount.name)]
    return [*paths, mount.is_writable, mount.masked, mount.guarded]
