"""What a stack of directories shows, and how directories are made beneath one."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from cleveragents.boundary.layer_stack import look_up, make_directory, make_file

if TYPE_CHECKING:
    from pathlib import Path


def test_layers_show_what_the_kernel_would(tmp_path: Path) -> None:
    top, base = tmp_path / "top", tmp_path / "base"
    for place in (
        top / "both",
        top / "hidden",
        base / "both",
        base / "hidden/below",
        base / "only",
    ):
        place.mkdir(parents=True)
    (base / "file").write_text("")
    (base / "both" / "x").write_text("")
    (top / "covers").write_text("")
    (base / "covers").mkdir()
    (top / "only2").mkdir()
    (base / "only2").write_text("")
    (base / "link").symlink_to("/etc")
    layers = (top, base)
    assert look_up(layers, ".").sources == layers
    assert look_up(layers, "both").sources == (top / "both", base / "both")
    assert look_up(layers, "both/x").sources == (base / "both/x",)
    assert look_up(layers, "covers").kind == "file"
    assert look_up(layers, "covers/x").kind == "other"
    assert look_up(layers, "only2").sources == (top / "only2",)
    assert look_up(layers, "link").kind == "other"
    assert look_up(layers, "link/passwd").kind == "other"
    assert look_up(layers, "absent/x").kind == "absent"
    os.setxattr(top / "hidden", "user.overlay.opaque", b"y")
    assert look_up(layers, "hidden").sources == (top / "hidden",)
    assert look_up(layers, "hidden/below").kind == "absent"
    if os.geteuid() == 0:
        os.mknod(top / "file", stat.S_IFCHR | 0o600, os.makedev(0, 0))
        assert look_up(layers, "file").kind == "absent"


def test_directories_are_made_beneath_and_never_through_a_link(tmp_path: Path) -> None:
    assert make_directory(tmp_path, "a/b", None) == tmp_path / "a/b"
    make_file(tmp_path, "a/b/c", None)
    make_file(tmp_path, "top", None)
    assert (tmp_path / "a/b/c").read_bytes() == b""
    (tmp_path / "link").symlink_to("/tmp")
    for path in ("link/x", "a/b/c/d", "top/x"):
        with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
            make_directory(tmp_path, path, None)
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        make_file(tmp_path, "link/x", None)
