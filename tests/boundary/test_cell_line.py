"""The line itself: options whose loss another layer would hide are asked for by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from cleveragents.boundary.bubblewrap import Descriptors, command_line
from cleveragents.boundary.cell_spec import CellSpec, WorkspaceMount
from cleveragents.boundary.footing import Footing
from cleveragents.boundary.mount_plan import MountPlan


@pytest.fixture
def line() -> list[str]:
    return command_line(
        binary=Path("/usr/bin/bwrap"),
        spec=CellSpec(workspace=WorkspaceMount(kind="copy", tree=Path("/nowhere"))),
        ground=Footing(python="/usr/bin/python3", binds=(), packages="", path="/usr/bin"),
        mounts=MountPlan(arguments=(), writable=()),
        descriptors=Descriptors(channel=5, seccomp=6, status=7),
        canary=("/canary", "canary"),
    )


@pytest.mark.parametrize(
    "option",
    [
        "--unshare-all",
        "--unshare-user",
        "--disable-userns",
        "--die-with-parent",
        "--new-session",
        "--clearenv",
    ],
)
def test_the_line_asks_for_every_layer(line: list[str], option: str) -> None:
    assert option in line[: line.index("--")]


def test_the_line_drops_every_capability(line: list[str]) -> None:
    where = line.index("--cap-drop")
    assert line[where + 1] == "ALL"


def test_the_line_asks_for_nothing_that_may_fail_softly(line: list[str]) -> None:
    assert not [part for part in line[: line.index("--")] if part.endswith("-try")]
