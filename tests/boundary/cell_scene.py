"""What the attacks need: a real launcher, workspaces, and a host with something to steal."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import socket
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.boundary.cell_spec import CellLimits, CellSpec, OwnToolFile, WorkspaceMount
from cleveragents.boundary.launcher import BubblewrapLauncher
from cleveragents.boundary.trial import remove_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

ATTACK_FILE = Path(__file__).parent / "cell_attack.py"
OWN_NAMES = (
    "attack",
    "write_anyway",
    "read_anyway",
    "bomb",
    "leave_running",
    "processes",
    "kill_everybody",
    "spin",
    "fill",
    "raise_something",
    "large",
    "end_process",
    "still_allowed",
)
BUILT_IN = (
    "read_file",
    "list_directory",
    "search_files",
    "write_file",
    "edit_file",
    "move_file",
    "delete_file",
    "run_command",
)
SMALL = CellLimits(file_bytes=8 << 20, tmp_bytes=4 << 20, memory_bytes=2 << 30)


@dataclass(frozen=True)
class House:
    """A launcher and the place where its workspaces are made."""

    launcher: BubblewrapLauncher
    root: Path

    def own(self, path: Path) -> None:
        """Give a file or directory to the cell's user."""
        if self.launcher.owner is not None:
            os.chown(path, *self.launcher.owner)

    def directory(self, files: dict[str, str]) -> Path:
        """Make a directory of the cell's with these files."""
        place = Path(tempfile.mkdtemp(dir=self.root))
        place.chmod(0o755)
        self.own(place)
        for name, text in files.items():
            path = place / name
            for parent in reversed(path.relative_to(place).parents):
                (place / parent).mkdir(exist_ok=True)
                self.own(place / parent)
            path.write_text(text)
            self.own(path)
        return place

    def mount(self, kind: str, files: dict[str, str]) -> WorkspaceMount:
        """Make a workspace of a kind that shows these files."""
        base = self.directory(files)
        match kind:
            case "overlay":
                slot = self.directory({"upper/.x": "", "work/.x": ""})
                for name in ("upper", "work"):
                    (slot / name / ".x").unlink()
                return WorkspaceMount(
                    "overlay", lower=(base,), upper=slot / "upper", work=slot / "work"
                )
            case "copy":
                return WorkspaceMount("copy", tree=base)
            case _:
                return WorkspaceMount("read_only", tree=base)

    def spec(
        self,
        kind: str,
        files: dict[str, str] | None = None,
        *,
        limits: CellLimits = SMALL,
        **more: Any,
    ) -> CellSpec:
        """Describe a cell with every tool and the attacks."""
        digest = "sha256:" + hashlib.sha256(ATTACK_FILE.read_bytes()).hexdigest()
        if kind == "read_only":
            more.setdefault("write", ())
        return CellSpec(
            workspace=self.mount(kind, files or {"mine.txt": "mine\n"}),
            tools=BUILT_IN,
            own_tools=tuple(OwnToolFile(name, ATTACK_FILE, digest) for name in OWN_NAMES),
            limits=limits,
            **more,
        )


@contextmanager
def house() -> Iterator[House]:
    """Make a launcher at a place that the cell's user can pass, and remove it afterwards."""
    root = Path(tempfile.mkdtemp(prefix="cell-test-", dir="/var/tmp"))
    root.chmod(0o711)
    launcher = BubblewrapLauncher(root / "cell")
    try:
        yield House(launcher, root)
    finally:
        launcher.close()
        for path in root.glob("*/work/*/work"):
            path.chmod(0o700)
        remove_tree(root)


@pytest.fixture(scope="module")
def the_house() -> Iterator[House]:
    """One launcher for the tests of a module; no isolation is a failure, never a skip."""
    with house() as made:
        report = made.launcher.isolation
        assert report.verified, report.problems
        yield made


@contextmanager
def bystanders(made: House) -> Iterator[dict[str, Any]]:
    """Put up what the attacks look for, and say where it is."""
    token = "bystander-" + os.urandom(8).hex()
    with ExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="home-", dir="/var/tmp"))
        stack.callback(shutil.rmtree, home)
        home.chmod(0o755)
        secret = home / "id_ed25519"
        secret.write_text("a private key")
        secret.chmod(0o666)
        other = made.directory({"mine.txt": "of another plan"})
        tmp_file = Path(tempfile.mkstemp(prefix="host-", dir="/tmp")[1])
        stack.callback(tmp_file.unlink)
        shm_name = "host-" + token
        shm = Path("/dev/shm") / shm_name
        shm.write_text("x")
        stack.callback(shm.unlink)
        key = int.from_bytes(os.urandom(3), "big") | 1
        segment = ctypes.CDLL(None).shmget(key, 4096, 0o1666)
        assert segment >= 0
        stack.callback(ctypes.CDLL(None).shmctl, segment, 0, None)
        abstract = socket.socket(socket.AF_UNIX)
        stack.enter_context(abstract)
        abstract.bind("\0" + token)
        abstract.listen(8)
        path_socket = socket.socket(socket.AF_UNIX)
        stack.enter_context(path_socket)
        path_socket.bind(str(home / "agent.sock"))
        path_socket.listen(8)
        (home / "agent.sock").chmod(0o777)
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=8))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        yield {
            "token": Path("/proc/self/cmdline").read_bytes().decode()[-60:],
            "secret": os.environ.get("CELL_TEST_SECRET", ""),
            "variable": "CELL_TEST_SECRET",
            "pid": os.getpid(),
            "secret_file": str(secret),
            "other_workspace": str(other),
            "abstract": token,
            "socket_file": str(home / "agent.sock"),
            "tcp": tcp.getsockname()[1],
            "udp": udp.getsockname()[1],
            "tmp_file": str(tmp_file),
            "shm_name": shm_name,
            "shm_key": key,
            "file_bytes": SMALL.file_bytes,
            "tmp_bytes": SMALL.tmp_bytes,
        }


def first_impassable(path: Path) -> Path | None:
    """Give the first directory on the way to a path that others cannot pass."""
    for parent in (*reversed(path.parents), path):
        if not parent.stat().st_mode & 0o001:
            return parent
    return None


def as_ordinary_user(uid: int, command: list[str]) -> list[str]:
    """Write the command line that runs a command as an otherwise unused user.

    A Python in root's home is shown at its own path through a private mount
    namespace, over an empty directory: nothing else of the home is there.
    """
    drop = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--no-new-privs"]
    wall = first_impassable(Path(sys.base_prefix))
    if wall is None:
        return [*drop, *command]
    script = (
        'set -e; mount --bind "$1" /mnt; mount -t tmpfs -o mode=755 none "$2"; mkdir -p "$1";'
        ' mount --bind /mnt "$1"; umount /mnt; shift 2; exec "$@"'
    )
    unshare = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", script, "sh"]
    return [*unshare, sys.base_prefix, str(wall), *drop, *command]
