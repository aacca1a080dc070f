"""Does the wall stand on this machine? Found out by building it, at the real place.

One cell in the real line, with an overlay where the binary has it: its hello
holds every check, and a write, a delete and a rename in it show whether
workspaces can be overlays. Where they cannot, a second one on a private copy.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cleveragents.boundary.cell_spec import CellSpec, WorkspaceMount
from cleveragents.boundary.report import IsolationReport, Layer
from cleveragents.errors import IsolationUnavailableError, ToolFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cleveragents.boundary.cell import Cell
    from cleveragents.boundary.cell_spec import WorkspaceKind
    from cleveragents.boundary.uid_drop import CellUser

_TOOLS: Final = ("write_file", "delete_file", "move_file")
_STEPS: Final = (
    ("write_file", {"path": "written", "content": "x"}),
    ("write_file", {"path": "changed", "content": "x"}),
    ("delete_file", {"path": "deleted"}),
    ("move_file", {"source": "moved", "destination": "there"}),
)
_FILES: Final = ("changed", "deleted", "moved")


@dataclass(frozen=True, slots=True)
class Facts:
    """What the launcher knows before the trial."""

    bubblewrap: str
    has_overlay: bool
    user: CellUser | None
    is_root: bool
    namespace: bool
    """Whether a private mount namespace was needed to reach Python."""


def failed(error: IsolationUnavailableError) -> IsolationReport:
    """Report a wall that could not even be tried."""
    return IsolationReport(
        tier="bwrap",
        verified=False,
        problems=(error.problem,),
        fixes=(error.fix,),
        layers=(Layer("namespaces", is_present=False, detail=error.problem, fix=error.fix),),
    )


def try_out(start: Callable[[CellSpec], Cell], directory: Path, *, facts: Facts) -> IsolationReport:
    """Build the wall once and say what stands; what is wrong with it is reported, not raised.

    Args:
        start: Gives a cell, as the launcher does for plans.
        directory: Where the trial's workspaces are made and removed again.
        facts: What is known of the wall already.
    """
    overlay_problem = ""
    try:
        if facts.has_overlay:
            try:
                landlock = _run(start, directory, "overlay", facts.user)
            except (IsolationUnavailableError, ToolFailedError) as error:
                overlay_problem = error.message
                landlock = _run(start, directory, "copy", facts.user)
        else:
            overlay_problem = f"bubblewrap {facts.bubblewrap} cannot mount it"
            landlock = _run(start, directory, "copy", facts.user)
    except IsolationUnavailableError as error:
        return failed(error)
    except (ToolFailedError, OSError) as error:
        fix = f"make {directory} usable: a plan's first write there fails"
        return failed(IsolationUnavailableError(problem=str(error), fix=fix))
    return IsolationReport(
        tier="bwrap",
        verified=True,
        layers=_layers(facts, landlock, overlay_problem),
        bubblewrap=facts.bubblewrap,
        overlay=not overlay_problem,
    )


def _run(
    start: Callable[[CellSpec], Cell],
    directory: Path,
    kind: WorkspaceKind,
    user: CellUser | None,
) -> int:
    """Do the trial on one kind of workspace and give the Landlock version seen inside."""
    with _workspace(directory, kind, user) as mount:
        cell = start(CellSpec(workspace=mount, tools=_TOOLS))
        try:
            for tool, arguments in _STEPS:
                cell.prepare(tool, arguments)
                cell.commit()
            return cell.landlock
        finally:
            cell.close()


@contextmanager
def _workspace(
    directory: Path, kind: WorkspaceKind, user: CellUser | None
) -> Iterator[WorkspaceMount]:
    directory.mkdir(mode=0o755, exist_ok=True)
    place = Path(tempfile.mkdtemp(dir=directory))
    place.chmod(0o711)
    try:
        parts = {name: place / name for name in ("base", "upper", "work")}
        for part in parts.values():
            part.mkdir(mode=0o755)
        for name in _FILES:
            (parts["base"] / name).write_text("before\n", encoding="ascii")
        if user is not None:
            for path in (*parts.values(), *parts["base"].iterdir()):
                os.chown(path, user.uid, user.gid)
        if kind == "overlay":
            yield WorkspaceMount(
                kind=kind, lower=(parts["base"],), upper=parts["upper"], work=parts["work"]
            )
        else:
            yield WorkspaceMount(kind=kind, tree=parts["base"])
    finally:
        remove_tree(place)


def remove_tree(directory: Path) -> None:
    """Remove a directory with everything in it, an overlay's locked work directory too."""
    for path in directory.glob("work/*/work"):
        path.chmod(0o700)
    shutil.rmtree(directory)


def _layers(facts: Facts, landlock: int, overlay_problem: str) -> tuple[Layer, ...]:
    overlay_fix = (
        "pip install 'cleveragents[bwrap]' or a system bubblewrap from 0.11 on; without it every"
        " workspace is a private copy, slower and just as tight"
    )
    landlock_fix = "a kernel from 5.13 on with Landlock switched on (lsm=landlock,...)"
    user = "the host's own user"
    if facts.user is not None:
        user = f"uid {facts.user.uid}, nobody else's"
    return (
        Layer("namespaces", is_present=True, detail=f"bubblewrap {facts.bubblewrap}"),
        Layer("seccomp", is_present=True, detail="system call filter in force"),
        Layer(
            "landlock",
            is_present=landlock > 0,
            detail=f"version {landlock}" if landlock else "the kernel has none",
            fix="" if landlock else landlock_fix,
        ),
        Layer("user", is_present=True, detail=user),
        Layer("self-test", is_present=True, detail="every check held inside a cell"),
        Layer(
            "overlay",
            is_present=not overlay_problem,
            detail=overlay_problem or "write, delete and rename shown at the real place",
            fix=overlay_fix if overlay_problem else "",
        ),
        *(
            (Layer("passage", is_present=True, detail="Python is bound from an impassable place"),)
            if facts.namespace
            else ()
        ),
    )
