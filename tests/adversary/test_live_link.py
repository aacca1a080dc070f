"""Links that a writable cell leaves in a live directory for the next cell to be mounted by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cleveragents.boundary.leave_out import LeaveOutRules
from cleveragents.boundary.live_directory import looked_through, named_directory
from cleveragents.errors import ConfigurationError
from tests.gateway.test_live_mount import planned, triples

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("link", [".git", ".git/hooks", ".git/config"])
def test_a_link_in_the_place_of_gits_own_is_never_mounted(tmp_path: Path, link: str) -> None:
    outside, served = tmp_path / "outside", tmp_path / "served"
    for directory in (outside / "hooks", served):
        directory.mkdir(parents=True)
    (outside / "config").write_text("secret")
    (served / link).parent.mkdir(exist_ok=True)
    (served / link).symlink_to(outside if link == ".git" else outside / link[5:])
    mount = named_directory(served, is_writable=True)
    with pytest.raises(ConfigurationError, match="leads through a link"):
        planned((mount,), write=(".",))
    # Where nothing is written nothing has to be kept, and a link is what it is in a cell.
    planned((named_directory(served, is_writable=False),))


def test_a_linked_worktrees_file_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: /elsewhere/.git/worktrees/one\n")
    mount = named_directory(tmp_path, is_writable=True)
    arguments, _ = planned((mount,), write=(".",))
    place = "/workspace/.git"
    assert (str(tmp_path / ".git"), place) in triples(arguments, "--ro-bind")
    last = [word for word, at in zip(arguments, arguments[2:], strict=False) if at == place][-1]
    assert last == "--ro-bind"


def test_a_git_directory_that_a_cell_makes_later_is_not_mounted(tmp_path: Path) -> None:
    mount = named_directory(tmp_path, is_writable=True)
    (tmp_path / ".git").symlink_to("/etc")
    arguments, _ = planned((looked_through(mount, LeaveOutRules()),), write=(".",))
    assert not any(".git" in word for word in arguments)


def test_a_directory_is_not_followed_to_where_a_cell_lets_its_path_lead(tmp_path: Path) -> None:
    outside, served = tmp_path / "home", tmp_path / "src"
    (outside / "b").mkdir(parents=True)
    (served / "a/b").mkdir(parents=True)
    mount = named_directory(served / "a/b", is_writable=False)
    (served / "a").rename(served / "old")
    (served / "a").symlink_to(outside)
    with pytest.raises(ConfigurationError, match="is not served any more"):
        looked_through(mount, LeaveOutRules())
