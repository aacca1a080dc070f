"""How do many frozen layers become one, so that a mount need not name them all?"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

from cleveragents.boundary.beneath_host import opened, parent_of, set_mode
from cleveragents.boundary.overlay_layer import Found, LayerWalk, make_opaque
from cleveragents.boundary.tree_copy import copy_entry
from cleveragents.boundary.tree_removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def merge_layers(layers: Iterable[Path], target: Path) -> None:
    """Make one layer that says what several say together.

    Files are copied, by reference where the file system can: a hard link
    would be taken for one that a guest made.

    Args:
        layers: The lowest first.
        target: An empty directory.
    """
    with opened(target) as root:
        for layer in layers:
            with opened(layer) as source:
                for found in LayerWalk(overlay=True).entries(source):
                    with parent_of(root, found.path) as (parent, name):
                        _merge_entry(layer, found, parent, name)


def _merge_entry(layer: Path, found: Found, parent: int, name: str) -> None:
    try:
        there: os.stat_result | None = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        there = None
    if found.kind == "directory" or stat.S_ISDIR(found.facts.st_mode):
        hides = found.is_opaque or (there is not None and not stat.S_ISDIR(there.st_mode))
        if hides:
            remove_tree(parent, name)
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=parent)
        uid, gid = found.facts.st_uid, found.facts.st_gid
        os.chown(name, uid, gid, dir_fd=parent, follow_symlinks=False)
        set_mode(parent, name, stat.S_IMODE(found.facts.st_mode), kind=stat.S_IFDIR)
        if hides:
            make_opaque(parent, name)
        return
    remove_tree(parent, name)
    with opened(layer) as root, parent_of(root, found.path) as (source, _):
        if found.kind == "refused":
            # It goes on being refused, the more so with one link more.
            os.link(name, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        else:
            copy_entry(source, parent, name, found.facts)
