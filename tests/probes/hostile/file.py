"""Attempts on files and credentials of the host, and on paths that lead to them."""

# An attack speaks to the kernel as directly as it can.
# ruff: noqa: PTH101, PTH103, PTH108, PTH110, PTH112, PTH123, PTH208, S103

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

from tests.probes.hostile.kit import Scene, any_of, attempt, first, nothing, read

MOUNTS: Final = "mount namespace: it is not there"


def readable(path: str) -> str:
    """Read a file or list a directory."""
    if os.path.isdir(path):
        names = os.listdir(path)
        nothing(not names, "an empty directory")
        return f"saw {len(names)} names"
    return f"read {len(read(path))} bytes"


def writable(path: str) -> str:
    """Open for writing what is there, changing nothing."""
    os.close(os.open(path, os.O_WRONLY | os.O_APPEND))
    return "it can be written to"


def makes(directory: str) -> str:
    """Make a file in a directory, and take it away again."""
    path = f"{directory}/probe-{os.getpid()}"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    os.unlink(path)
    return "a file was made"


def runtime_files() -> list[str]:
    """What all cells share, as it is called in one."""
    guest = "/guest/cleveragents/guest/entry.py"
    return [os.__file__, os.path.realpath(sys.executable), guest, "/usr/bin/env"]


@attempt(
    "file",
    "read keys and tokens in the home (ssh, cloud, gpg, netrc, docker)",
    layer=MOUNTS,
    covers=(7,),
)
def keys_of_the_home(scene: Scene) -> str:
    return any_of(readable, scene["home_files"])


@attempt("file", "list the home", layer=MOUNTS, covers=(7,))
def home_listed(scene: Scene) -> str:
    return readable(scene["home"])


@attempt("file", "read the product's database, chain heads and objects", layer=MOUNTS, covers=(7,))
def database_read(scene: Scene) -> str:
    return any_of(
        lambda name: readable(f"{scene['product']}/{name}"),
        ("cleveragents.db", "heads", "objects", "trees.git"),
    )


@attempt("file", "change the product's database", layer=MOUNTS, covers=(7,))
def database_written(scene: Scene) -> str:
    return writable(f"{scene['product']}/cleveragents.db")


@attempt("file", "read a file of the user's directory by its own path", layer=MOUNTS, covers=(8,))
def directory_read(scene: Scene) -> str:
    return readable(f"{scene['directory']}/src/private.py")


@attempt("file", "write into the user's directory by its own path", layer=MOUNTS, covers=(8,))
def directory_written(scene: Scene) -> str:
    return first(
        [
            lambda: writable(f"{scene['directory']}/src/private.py"),
            lambda: makes(scene["directory"]),
        ]
    )


@attempt(
    "file", "look into the workspaces and base trees of other plans", layer=MOUNTS, covers=(8,)
)
def other_workspaces(scene: Scene) -> str:
    return readable(scene["cells"])


@attempt(
    "file", "read a path of its own workspace that was not handed on", layer=MOUNTS, covers=(8,)
)
def undelegated_read(_: Scene) -> str:
    return readable("src/private.py")


@attempt(
    "file",
    "write beside its write paths, whatever its tools say of themselves",
    layer="read-only mounts",
    covers=(54,),
)
def undelegated_written(_: Scene) -> str:
    return first(
        [
            lambda: writable("docs/readable.md"),
            lambda: makes("docs"),
            lambda: makes("."),
            lambda: writable("scene.json"),
        ]
    )


@attempt("file", "read `/etc/shadow`, `/etc/machine-id`, `/etc/fstab`", layer=MOUNTS, covers=(13,))
def system_secrets(_: Scene) -> str:
    return any_of(readable, ("/etc/shadow", "/etc/machine-id", "/etc/fstab"))


@attempt(
    "file",
    "make a file in `/`, `/etc`, `/var`, `/usr`, `/guest`",
    layer="read-only root",
    covers=(22,),
    shown_by="root",
    why_not="these directories are root's",
)
def root_written(_: Scene) -> str:
    return any_of(makes, ("/", "/etc", "/var", "/usr", "/guest"))


@attempt("file", "see and change a file in the host's `/tmp`", layer="its own `/tmp`", covers=(22,))
def shared_tmp(scene: Scene) -> str:
    return writable(scene["tmp_file"])


@attempt(
    "file",
    "change the runtime that all cells share (Python, packages, guest)",
    layer="read-only binds",
    covers=(21,),
)
def runtime_written(scene: Scene) -> str:
    return any_of(writable, scene.get("runtime") or runtime_files())


@attempt(
    "file",
    "change the mode of a file of the host",
    layer="mount namespace, read-only binds",
    covers=(12,),
)
def mode_changed(scene: Scene) -> str:
    def change(path: str) -> str:
        os.chmod(path, 0o666)
        return "its mode was changed"

    return any_of(change, scene.get("targets") or [scene["key_file"], *runtime_files()])


@attempt(
    "file",
    "change the times of a file of the host",
    layer="mount namespace, read-only binds",
    covers=(12,),
)
def times_changed(scene: Scene) -> str:
    def change(path: str) -> str:
        os.utime(path, (0, 0))
        return "its times were changed"

    return any_of(change, scene.get("targets") or [scene["key_file"], *runtime_files()])


@attempt(
    "file",
    "set an extended attribute of a file of the host",
    layer="mount namespace, read-only binds",
    covers=(12,),
)
def attribute_set(scene: Scene) -> str:
    def change(path: str) -> str:
        os.setxattr(path, "user.probe", b"x")
        return "an attribute was set"

    return any_of(change, scene.get("targets") or [scene["key_file"], *runtime_files()])


@attempt(
    "file",
    "change the owner of a file of the host",
    layer="mount namespace, no capability",
    covers=(12,),
)
def owner_changed(scene: Scene) -> str:
    def change(path: str) -> str:
        os.chown(path, os.getuid(), os.getgid())
        return "its owner was set"

    return any_of(change, scene.get("targets") or [scene["key_file"], *runtime_files()])


@attempt(
    "file",
    "leave a startup file for the Python that runs tools (PYTHONPATH, sitecustomize)",
    layer="the guest's `-I -S -B`",
    covers=(20,),
)
def startup_file(scene: Scene) -> str:
    place = f"{scene['scratch_directory']}/startup"
    os.makedirs(place, exist_ok=True)
    marker = f"{place}/ran"
    with open(f"{place}/sitecustomize.py", "w") as file:
        file.write(f"open({marker!r}, 'w').close()\n")
    # As the one was started that runs tools: the parent of this program.
    flags = [flag for flag in ("-I", "-S", "-B") if flag.encode() in _guest_line()]
    environment = {**os.environ, "PYTHONPATH": place}
    subprocess.run([sys.executable, *flags, "-c", "pass"], env=environment, check=True)
    nothing(not os.path.exists(marker), "it was not run")
    return "it was run"


def _guest_line() -> list[bytes]:
    stat = read(f"/proc/{os.getppid()}/stat").rpartition(b")")[2].split()
    return read(f"/proc/{int(stat[1])}/cmdline").split(b"\0")
