"""Attempts on links and paths: whatever leads from an allowed name to another place."""

# An attack speaks to the kernel as directly as it can.
# ruff: noqa: PTH103, PTH104, PTH119, PTH123, PTH211

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import Final

from tests.probes.hostile.file import MOUNTS, readable, runtime_files
from tests.probes.hostile.kit import Held, Scene, any_of, attempt, read

READ_S: Final = 0.5
_OPAQUE: Final = (b"user.overlay.opaque", b"user.overlay.redirect", b"trusted.overlay.redirect")


@attempt("link", "climb out of the workspace with `../`", layer=MOUNTS, covers=(9,))
def dots(scene: Scene) -> str:
    return readable("../" * 24 + scene["key_file"].lstrip("/"))


@attempt(
    "link",
    "climb with a descriptor: `openat` on `/`, `/proc/self/root`, `/proc/self/cwd`",
    layer=MOUNTS,
    covers=(9,),
)
def dots_by_descriptor(scene: Scene) -> str:
    def climb(start: str) -> str:
        directory = os.open(start, os.O_PATH | os.O_DIRECTORY)
        path = "../" * 24 + scene["key_file"].lstrip("/")
        os.close(os.open(path, os.O_RDONLY, dir_fd=directory))
        return "the file was opened"

    return any_of(climb, ("/", "/proc/self/root", "/proc/self/cwd"))


@attempt("link", "read a host file through a symbolic link", layer=MOUNTS, covers=(10,))
def symbolic_link(scene: Scene) -> str:
    path = f"{scene['scratch_directory']}/a-link"
    os.symlink(scene["key_file"], path)
    return readable(path)


@attempt("link", "make a hard link to a host file", layer=MOUNTS, covers=(11,))
def hard_link(scene: Scene) -> str:
    os.link(scene["key_file"], f"{scene['scratch_directory']}/a-hard-link")
    return "it was made"


@attempt(
    "link",
    "make a hard link to a file of the shared runtime or of a read-only mount",
    layer="mounts of their own",
    covers=(11, 21),
)
def hard_link_to_runtime(scene: Scene) -> str:
    def link(path: str) -> str:
        os.link(path, f"{scene['scratch_directory']}/runtime-{os.path.basename(path)}")
        return "it was made"

    return any_of(
        link, scene.get("linkable") or ["docs/readable.md", "scene.json", *runtime_files()]
    )


@attempt(
    "link",
    "move a directory out of its granted path and over another one",
    layer="mounts of their own",
    covers=(54,),
)
def directory_moved(scene: Scene) -> str:
    os.makedirs(f"{scene['scratch_directory']}/moved", exist_ok=True)
    os.rename(f"{scene['scratch_directory']}/moved", "src/moved")
    return "it was moved"


@attempt(
    "link",
    "read while a link is swapped between a fine file and a host file",
    layer=MOUNTS,
    covers=(45,),
)
def swapped_link(scene: Scene) -> str:
    place = f"{scene['scratch_directory']}/swap"
    os.makedirs(place, exist_ok=True)
    with open(f"{place}/fine", "w") as file:
        file.write("fine")
    swapper = os.fork()
    if swapper == 0:
        while True:
            for target in (f"{place}/fine", scene["key_file"]):
                os.symlink(target, f"{place}/new")
                os.rename(f"{place}/new", f"{place}/link")
    try:
        # Both of its states must have been met, or nothing was swapped under the reader.
        met = {"fine": 0, "gone": 0}
        # On one busy processor the other side must have had its turns too.
        end = time.monotonic() + READ_S
        while time.monotonic() < end or sum(met.values()) < 2000 or not all(met.values()):
            os.sched_yield()
            try:
                if read(f"{place}/link") != b"fine":
                    return "the host's file was read"
                met["fine"] += 1
            except FileNotFoundError:
                met["gone"] += 1
    finally:
        os.kill(swapper, signal.SIGKILL)
        os.waitpid(swapper, 0)
    raise Held("the fine file, or none, in thousands of readings")


@attempt(
    "link",
    "say by an overlay's attributes that a directory goes on elsewhere",
    layer="the mount owns these attributes; nothing follows them",
    covers=(45,),
    shown_by="nobody",
    why_not="outside there is no overlay to be fooled",
)
def overlay_attributes(_: Scene) -> str:
    os.makedirs("new/d", exist_ok=True)
    for name in _OPAQUE:
        with contextlib.suppress(OSError):
            os.setxattr("new/d", name, b"y" if name.endswith(b"opaque") else b"/src")
    return readable("new/d")


@attempt(
    "link",
    "open the directories of the host that `/proc/self/mountinfo` names",
    layer="mount namespace: names are all that leaks",
    covers=(8,),
    shown_by="nobody",
    why_not="outside nothing is behind a mount",
)
def mount_sources(_scene: Scene) -> str:
    named = set()
    for line in read("/proc/self/mountinfo").decode().splitlines():
        left, _, right = line.partition(" - ")
        named.add(left.split()[3])
        for option in right.split()[-1].split(","):
            key, _, value = option.partition("=")
            if key.startswith(("lowerdir", "upperdir", "workdir")):
                named.update(value.split(":"))
    own = ("/", "/usr", "/etc", "/dev", "/proc", "/tmp", "/sys", "/lib", "/bin", "/lib64", "/sbin")
    hidden = [path for path in sorted(named) if path.startswith("/") and path not in own]
    inside = [os.path.realpath(p) for p in (sys.prefix, sys.base_prefix, "/guest", "/workspace")]
    hidden = [p for p in hidden if not any(p.startswith(i) or i.startswith(p) for i in inside)]
    hidden = [p for p in hidden if not p.startswith(("/usr/", "/etc/", "/dev/", "/proc/"))]
    return any_of(readable, hidden)
