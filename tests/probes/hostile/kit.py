"""What an attempt is made of, and the few ways in which it ends.

This package is what the hostile program is: it runs in the cell as a copy,
with the standard library alone, and outside as the control. An attempt is a
function of the scene. It gives what it got hold of, or raises: ``OSError``
when the kernel said no, ``Held`` when there was nothing to get.
"""

from __future__ import annotations

import ctypes
import errno
import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Scene = dict[str, Any]
Item = TypeVar("Item")
ShownBy = Literal["anyone", "root", "nobody"]

GROUPS: Final = {
    "process": "Other processes: memory, environment, signals",
    "file": "Files and credentials",
    "link": "Links and paths",
    "network": "Sockets and network",
    "descriptor": "Descriptors",
    "kernel": "Kernel surfaces",
    "exhaustion": "Using everything up",
    "tree": "The tree that is handed back",
    "message": "Messages on the channel",
    "ask": "Asking for more than was handed on",
    "survival": "Time, and survival after the end",
}
"""In the order of the table."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way of trying to get out."""

    name: str
    group: str
    title: str
    """What is tried, for the table."""
    layer: str
    """What is there to hold it."""
    covers: tuple[int, ...]
    """Numbers in the list of attacks that a cell must hold."""
    shown_by: ShownBy
    """Who gets through with it where there is no wall."""
    why_not: str
    """Why somebody, or everybody, does not get through even so."""
    gap: str
    """Non-empty: it is known to get through, and this is why it is let be."""
    action: Callable[[Scene], str] | None
    """For the attempts that a program makes by itself, one after the other."""


class Held(Exception):  # noqa: N818  # an outcome, not an error
    """The wall held, and the kernel has no number for how."""


ATTEMPTS: Final[dict[str, Attempt]] = {}
"""All that were declared by the modules imported so far, in their order."""


def declare(
    name: str,
    group: str,
    title: str,
    *,
    layer: str,
    covers: tuple[int, ...] = (),
    shown_by: ShownBy = "anyone",
    why_not: str = "",
    gap: str = "",
    action: Callable[[Scene], str] | None = None,
) -> Attempt:
    """Enter an attempt in the list; each name once."""
    if name in ATTEMPTS or group not in GROUPS or (shown_by != "anyone" and not why_not):
        raise ValueError(name)
    made = Attempt(name, group, title, layer, covers, shown_by, why_not, gap, action)
    ATTEMPTS[name] = made
    return made


def attempt(
    group: str, title: str, **facts: Any
) -> Callable[[Callable[[Scene], str]], Callable[[Scene], str]]:
    """Mark a function as an attempt; its name is the attempt's."""

    def enter(function: Callable[[Scene], str]) -> Callable[[Scene], str]:
        declare(function.__name__, group, title, action=function, **facts)
        return function

    return enter


def first(tries: Iterable[Callable[[], str]]) -> str:
    """Try one after the other until one gets something; raise as the last one did."""
    last: OSError | Held = Held("there was nothing to try")
    for one in tries:
        try:
            return one()
        except (OSError, Held) as error:
            last = error
    raise last


def any_of(action: Callable[[Item], str], items: Iterable[Item]) -> str:
    """Try the same with one thing after the other."""
    return first(partial(action, item) for item in items)


def nothing(condition: object, text: str) -> None:
    """Raise ``Held`` when there is nothing to get."""
    if condition:
        raise Held(text)


def met(error: OSError) -> str:
    """Name what the kernel said."""
    return errno.errorcode.get(error.errno or 0, "an error without a number")


# -- the kernel, spoken to directly -------------------------------------------------

libc: Final = ctypes.CDLL(None, use_errno=True)
IS_X86: Final = os.uname().machine == "x86_64"
_NUMBERS: Final = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clone": (56, 220),
    "clone3": (435, 435),
    "fanotify_init": (300, 262),
    "fsopen": (430, 430),
    "init_module": (175, 105),
    "io_uring_setup": (425, 425),
    "kcmp": (312, 272),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_pages": (279, 239),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "reboot": (169, 142),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}
"""On x86_64 and on aarch64."""


def call(name: str, *arguments: Any) -> int:
    """Make a system call by its name.

    Raises:
        OSError: The kernel refused it.
    """
    return raw_call(_NUMBERS[name][0 if IS_X86 else 1], *arguments)


def raw_call(number: int, *arguments: Any) -> int:
    """Make a system call by its number; integers are passed as wide as the kernel reads them.

    Raises:
        OSError: The kernel refused it.
    """
    ctypes.set_errno(0)
    wide = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result = int(libc.syscall(ctypes.c_long(number), *wide))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def read(path: str, size: int = 1 << 16) -> bytes:
    """Read the first part of a file."""
    with open(path, "rb") as file:  # noqa: PTH123  # as directly as it can be
        return file.read(size)
