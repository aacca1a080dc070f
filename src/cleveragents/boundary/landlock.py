"""What may this process still do with files, whatever its mounts say?

A second wall inside the first: read and execute everywhere, write beneath the
granted paths only, no abstract socket and no signal across its border. Three
system calls by ctypes. It binds the calling thread and what comes after it,
so it is applied before any thread starts.

Runs in the guest before its first message, therefore it imports nothing dear.

Source:
    landlock(7), ``linux/landlock.h``.
"""

from __future__ import annotations

import ctypes
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_ASK_VERSION: Final = 1
_RULE_PATH_BENEATH: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38

_EXECUTE: Final = 1 << 0
_WRITE_FILE: Final = 1 << 1
_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3
_TRUNCATE: Final = 1 << 14
_IOCTL_DEV: Final = 1 << 15
_OF_FILES: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_RIGHTS_BY_ABI: Final = ((1, (1 << 13) - 1), (2, 1 << 13), (3, _TRUNCATE), (5, _IOCTL_DEV))
_SCOPE_ABI: Final = 6
_SCOPES: Final = 0b11
"""Abstract unix sockets, signals."""
_O_PATH: Final = 0o10000000

WRITABLE: Final = ("/tmp", "/dev/shm")  # noqa: S108  # the cell's own, sized memory file systems
"""Beside the granted paths."""
WRITABLE_DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/full")

_libc = ctypes.CDLL(None, use_errno=True)


def abi() -> int:
    """Give the kernel's Landlock version; 0 when it has none or it is switched off."""
    version: int = _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_VERSION)
    return max(version, 0)


def handled_rights(version: int) -> int:
    """Give every file right that a version knows, as the kernel's bits.

    >>> hex(handled_rights(1)), hex(handled_rights(5))
    ('0x1fff', '0xffff')
    """
    rights = 0
    for since, bits in _RIGHTS_BY_ABI:
        if version >= since:
            rights |= bits
    return rights


def apply(writable: Iterable[str]) -> int:
    """Restrict this process for good.

    Args:
        writable: Paths in the cell that may be written to and beneath; one
            that does not exist is passed over.

    Returns:
        The version in force; 0 when the kernel has no Landlock, and then
        nothing was done.

    Raises:
        OSError: The kernel has it and refused the rules.
    """
    version = abi()
    if version == 0:
        return 0
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    handled = handled_rights(version)
    # The three fields of landlock_ruleset_attr: files, network, scopes. The
    # network stays unhandled: its namespace is empty, and a plan's own
    # loopback servers must work.
    attributes = handled.to_bytes(8, "little") + bytes(8)
    if version >= _SCOPE_ABI:
        attributes += _SCOPES.to_bytes(8, "little")
    elif version < 4:  # noqa: PLR2004  # the version that brought the network field
        attributes = attributes[:8]
    ruleset = _check(
        _libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0), "ruleset"
    )
    try:
        _allow(ruleset, "/", _EXECUTE | _READ_FILE | _READ_DIR)
        for path in (*writable, *WRITABLE):
            _allow(ruleset, path, handled)
        for path in WRITABLE_DEVICES:
            _allow(ruleset, path, (_READ_FILE | _WRITE_FILE | _TRUNCATE) & handled)
        _check(_libc.syscall(_RESTRICT_SELF, ruleset, 0), "restrict_self")
    finally:
        os.close(ruleset)
    return version


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        target = os.open(path, _O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(target).st_mode):
            rights &= _OF_FILES
        rule = rights.to_bytes(8, "little") + target.to_bytes(4, "little")
        _check(_libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0), path)
    finally:
        os.close(target)


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"landlock: {os.strerror(number)}", what)
    return result
