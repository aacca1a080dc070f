"""Does the wall stand, seen from inside?

Run in every cell before its first word. Each check has a name and gives an
empty string when it holds, else one sentence; the host admits a cell only
when it has heard of every name in ``NAMES`` and all are empty. There is no
weaker line to fall back to.

Runs in the guest before its first message, therefore it imports nothing dear.
"""

from __future__ import annotations

import ctypes
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

NAMES: Final = (
    "no_new_privs",
    "seccomp",
    "capabilities",
    "processes",
    "proc_sys",
    "dev",
    "root",
    "network",
    "environment",
    "descriptors",
    "canary_file",
    "canary_socket",
    "user_namespace",
)
ENVIRONMENT: Final = frozenset({"PATH", "HOME", "LANG", "CLEVERAGENTS_CHANNEL", "PWD"})
"""What a cell's environment holds; bubblewrap adds ``PWD`` itself."""
_READ_ONLY: Final = 1
_CLONE_NEWUSER: Final = 0x10000000
_AF_UNIX: Final = 1
_SOCK_STREAM: Final = 1

_libc = ctypes.CDLL(None, use_errno=True)


def run(*, channels: Sequence[int], canary_file: str, canary_socket: str) -> dict[str, str]:
    """Run every check.

    Args:
        channels: The descriptors of the channels, the only ones above 2.
        canary_file: A file of the host that everybody may read there.
        canary_socket: The name of an abstract socket that the host listens on.

    Returns:
        The problem by name, in the order of ``NAMES``; empty where there is none.
    """
    status = _status()
    return {
        "no_new_privs": _expect(status, "NoNewPrivs", "1"),
        "seccomp": _expect(status, "Seccomp", "2"),
        "capabilities": _capabilities(status),
        "processes": _processes(),
        "proc_sys": _read_only("/proc/sys"),
        "dev": _read_only("/dev"),
        "root": _read_only("/"),
        "network": _network(),
        "environment": _environment(),
        "descriptors": _descriptors(channels),
        "canary_file": _canary_file(canary_file),
        "canary_socket": _canary_socket(canary_socket),
        "user_namespace": _user_namespace(),
    }


def _read(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as file:  # noqa: PTH123  # pathlib is dear
        return file.read()


def _status() -> dict[str, str]:
    pairs = (line.partition(":") for line in _read("/proc/self/status").splitlines())
    return {name: value.strip() for name, _, value in pairs}


def _expect(status: Mapping[str, str], name: str, value: str) -> str:
    found = status.get(name, "absent")
    return "" if found == value else f"{name} is {found}, not {value}"


def _capabilities(status: Mapping[str, str]) -> str:
    held = [n for n in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb") if _bits(status, n)]
    return f"{held[0]} is {status.get(held[0], 'absent')}" if held else ""


def _bits(status: Mapping[str, str], name: str) -> bool:
    return status.get(name, "absent").strip("0") != ""


def _processes() -> str:
    mine = {"1", str(os.getpid())}
    names = os.listdir("/proc")  # noqa: PTH208  # names, not paths
    others = sorted(name for name in names if name.isdigit() and name not in mine)
    return f"process {others[0]} can be seen" if others else ""


def _read_only(path: str) -> str:
    return "" if os.statvfs(path).f_flag & _READ_ONLY else f"{path} is writable"


def _network() -> str:
    lines = _read("/proc/self/net/dev").splitlines()[2:]
    others = [name for name in (line.partition(":")[0].strip() for line in lines) if name != "lo"]
    return f"there is an interface {others[0]}" if others else ""


def _environment() -> str:
    surplus = sorted(set(os.environ) - ENVIRONMENT)
    return f"the environment holds {surplus[0]}" if surplus else ""


def _descriptors(channels: Sequence[int]) -> str:
    listing = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY)
    try:
        names = os.listdir(listing)  # noqa: PTH208  # a descriptor, not a path
    finally:
        os.close(listing)
    # Listing a descriptor opens another one for the reading, closed by now.
    found = {int(name) for name in names} - {0, 1, 2, listing, *channels}
    surplus = sorted(number for number in found if _is_open(number))
    return f"descriptor {surplus[0]} was inherited" if surplus else ""


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _canary_file(path: str) -> str:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except OSError:
        return ""
    return "a file of the host can be read"


def _canary_socket(name: str) -> str:
    descriptor = _libc.socket(_AF_UNIX, _SOCK_STREAM, 0)
    if descriptor < 0:
        return ""
    try:
        address = _AF_UNIX.to_bytes(2, sys.byteorder) + b"\0" + name.encode("ascii")
        is_open = _libc.connect(descriptor, address, len(address)) == 0
    finally:
        os.close(descriptor)
    return "a socket of the host can be reached" if is_open else ""


def _user_namespace() -> str:
    return "a user namespace can be made" if _libc.unshare(_CLONE_NEWUSER) == 0 else ""
