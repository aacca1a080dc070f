"""Which system calls does the kernel refuse in a cell?

Allow by default: the namespaces and the mounts are the wall, this filter
shuts the kernel surfaces that they leave open. Everything on the list answers
EPERM; ``clone3`` answers ENOSYS, so that libc falls back to ``clone``, whose
flags can be read here; a foreign architecture (x32 included) kills.

The assembler is our own, so nothing needs a library at run time; it gives the
same bytes for the same table, and a test pins their digests.

Source:
    seccomp(2), ``linux/filter.h``, ``linux/seccomp.h``, ``linux/audit.h``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from cleveragents.boundary.syscall_table import (
    ARCHITECTURES,
    REFUSED,
    Architecture,
)

_LOAD_WORD: Final = 0x20
_JUMP_EQUAL: Final = 0x15
_JUMP_GREATER_EQUAL: Final = 0x35
_JUMP_ANY_BIT: Final = 0x45
_AND: Final = 0x54
_RETURN: Final = 0x06

_KILL_PROCESS: Final = 0x80000000
_ERRNO: Final = 0x00050000
_ALLOW: Final = 0x7FFF0000
_EPERM: Final = 1
_ENOSYS: Final = 38

_OFFSET_NUMBER: Final = 0
_OFFSET_ARCHITECTURE: Final = 4
_OFFSET_ARGUMENTS: Final = 16
_X32_BIT: Final = 0x40000000

_SOCKET_FAMILIES: Final = (1, 2, 10)
"""AF_UNIX, AF_INET, AF_INET6: in the empty network namespace they reach the cell alone."""
_NEW_NAMESPACES: Final = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""
_TERMINAL_INJECTION: Final = (0x5412, 0x541C)
"""TIOCSTI, TIOCLINUX."""
_FILE_KIND: Final = 0o170000
_DEVICES: Final = (0o020000, 0o060000)
"""S_IFCHR (an overlay's whiteout is one), S_IFBLK. A fifo harms nobody."""


@dataclass(frozen=True, slots=True)
class _Jump:
    """An instruction whose targets are labels; the empty label is the next instruction."""

    code: int
    value: int
    when_true: str = ""
    when_false: str = ""


@dataclass(frozen=True, slots=True)
class _Plain:
    code: int
    value: int


@dataclass(frozen=True, slots=True)
class _Label:
    name: str


_Line = _Jump | _Plain | _Label


def filter_bytes(machine: str) -> bytes | None:
    """Give the filter for an architecture; ``None`` when there is none for it.

    Args:
        machine: As ``os.uname().machine`` says it.
    """
    architecture = ARCHITECTURES.get(machine)
    return None if architecture is None else _assemble(_program(architecture))


def _argument(index: int) -> _Plain:
    # The low half on a little-endian machine. The kernel reads the arguments
    # that are looked at here as 32 bits as well: no high half can hide one.
    return _Plain(_LOAD_WORD, _OFFSET_ARGUMENTS + 8 * index)


def _program(architecture: Architecture) -> list[_Line]:
    numbers = architecture.numbers
    lines: list[_Line] = [
        _Plain(_LOAD_WORD, _OFFSET_ARCHITECTURE),
        _Jump(_JUMP_EQUAL, architecture.audit, "", "kill"),
        _Plain(_LOAD_WORD, _OFFSET_NUMBER),
        # Numbers with this bit are x32's on x86_64, and nobody's elsewhere.
        _Jump(_JUMP_GREATER_EQUAL, _X32_BIT, "kill"),
        _Jump(_JUMP_EQUAL, numbers["clone3"], "no_such_call"),
        _Jump(_JUMP_EQUAL, numbers["socket"], "family"),
        _Jump(_JUMP_EQUAL, numbers["socketpair"], "family"),
        _Jump(_JUMP_EQUAL, numbers["clone"], "clone"),
        _Jump(_JUMP_EQUAL, numbers["ioctl"], "ioctl"),
        _Jump(_JUMP_EQUAL, numbers["mknodat"], "mknodat"),
    ]
    if "mknod" in numbers:
        lines.append(_Jump(_JUMP_EQUAL, numbers["mknod"], "mknod"))
    lines += [_Jump(_JUMP_EQUAL, numbers[name], "refuse") for name in REFUSED if name in numbers]
    lines += [_Plain(_RETURN, _ALLOW), *_checks_of_arguments("mknod" in numbers)]
    lines += [
        _Label("refuse"),
        _Plain(_RETURN, _ERRNO | _EPERM),
        _Label("no_such_call"),
        _Plain(_RETURN, _ERRNO | _ENOSYS),
        _Label("kill"),
        _Plain(_RETURN, _KILL_PROCESS),
        _Label("allow"),
        _Plain(_RETURN, _ALLOW),
    ]
    return lines


def _checks_of_arguments(has_mknod: bool) -> list[_Line]:
    lines: list[_Line] = [_Label("family"), _argument(0)]
    lines += [_Jump(_JUMP_EQUAL, family, "allow") for family in _SOCKET_FAMILIES]
    lines += [
        _Plain(_RETURN, _ERRNO | _EPERM),
        _Label("clone"),
        _argument(0),
        _Jump(_JUMP_ANY_BIT, _NEW_NAMESPACES, "refuse", "allow"),
        _Label("ioctl"),
        _argument(1),
    ]
    lines += [_Jump(_JUMP_EQUAL, command, "refuse") for command in _TERMINAL_INJECTION]
    lines.append(_Plain(_RETURN, _ALLOW))
    for name, index in (("mknod", 1), ("mknodat", 2)):
        if name == "mknod" and not has_mknod:
            continue
        lines += [_Label(name), _argument(index), _Plain(_AND, _FILE_KIND)]
        lines += [_Jump(_JUMP_EQUAL, kind, "refuse") for kind in _DEVICES]
        lines.append(_Plain(_RETURN, _ALLOW))
    return lines


def _assemble(lines: list[_Line]) -> bytes:
    places: dict[str, int] = {}
    at = 0
    for line in lines:
        if isinstance(line, _Label):
            places[line.name] = at
        else:
            at += 1
    code = bytearray()
    at = 0
    for line in lines:
        if isinstance(line, _Label):
            continue
        at += 1
        true = false = 0
        if isinstance(line, _Jump):
            true = places[line.when_true] - at if line.when_true else 0
            false = places[line.when_false] - at if line.when_false else 0
        # struct refuses a distance beyond 255, the reach of a jump.
        code += struct.pack("<HBBI", line.code, true, false, line.value)
    return bytes(code)
