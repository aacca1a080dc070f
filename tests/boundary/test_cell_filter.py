"""The system call filter: which bytes, and what the kernel would answer by them."""

from __future__ import annotations

import hashlib
import stat
import struct

import pytest

from cleveragents.boundary import (
    seccomp,
)
from cleveragents.boundary.syscall_table import ARCHITECTURES, REFUSED

PINNED = {
    "x86_64": "4a383038c0fc361dde8ca364e0e20ab7667a94e9b583c6d1077a81d32b03aa91",
    "aarch64": "90a098a94fed26c153a2b06bc487690bec82d26390bd82ddb76a1f860948fad3",
}


@pytest.mark.parametrize("machine", PINNED)
def test_the_filter_is_the_same_bytes_as_ever(machine: str) -> None:
    code = seccomp.filter_bytes(machine)
    assert code is not None
    assert hashlib.sha256(code).hexdigest() == PINNED[machine]


def test_another_architecture_has_no_filter() -> None:
    assert seccomp.filter_bytes("riscv64") is None


def verdict(machine: str, number: int, *arguments: int, audit: int | None = None) -> int:
    """Run the filter as the kernel would, on one system call."""
    code = seccomp.filter_bytes(machine)
    assert code is not None
    audit = ARCHITECTURES[machine].audit if audit is None else audit
    padded = (*arguments, *(0,) * (6 - len(arguments)))
    data = struct.pack("<IIQ6Q", number, audit, 0, *padded)
    value, at = 0, 0
    while True:
        opcode, true, false, constant = struct.unpack_from("<HBBI", code, at * 8)
        at += 1
        match opcode:
            case 0x20:
                (value,) = struct.unpack_from("<I", data, constant)
            case 0x54:
                value &= constant
            case 0x15:
                at += true if value == constant else false
            case 0x35:
                at += true if value >= constant else false
            case 0x45:
                at += true if value & constant else false
            case _:
                assert opcode == 0x06
                return int(constant)


ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_every_refused_call_is_refused_and_its_neighbours_are_not(machine: str) -> None:
    numbers = ARCHITECTURES[machine].numbers
    refused = {numbers[name] for name in REFUSED if name in numbers}
    looked_at = set(numbers.values()) - refused
    assert len(refused) > 55
    for number in range(600):
        if number not in looked_at:
            assert verdict(machine, number) == (EPERM if number in refused else ALLOW)


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_calls_are_judged_by_their_arguments(machine: str) -> None:
    numbers = ARCHITECTURES[machine].numbers
    for family in range(50):
        wanted = ALLOW if family in {1, 2, 10} else EPERM
        assert verdict(machine, numbers["socket"], family) == wanted
        assert verdict(machine, numbers["socketpair"], family) == wanted
        # The kernel looks at 32 bits; a high half must hide nothing.
        assert verdict(machine, numbers["socket"], family | 1 << 32) == wanted
    assert verdict(machine, numbers["clone3"]) == ENOSYS
    assert verdict(machine, numbers["clone"], 0x01200011) == ALLOW
    for bit in (17, 25, 26, 27, 28, 29, 30):
        assert verdict(machine, numbers["clone"], 1 << bit) == EPERM
    assert verdict(machine, numbers["ioctl"], 0, 0x5401) == ALLOW
    assert verdict(machine, numbers["ioctl"], 0, 0x5412) == EPERM
    assert verdict(machine, numbers["ioctl"], 0, 0x541C | 1 << 40) == EPERM
    for kind, wanted in ((stat.S_IFIFO, ALLOW), (stat.S_IFCHR, EPERM), (stat.S_IFBLK, EPERM)):
        assert verdict(machine, numbers["mknodat"], 0, 0, kind | 0o600) == wanted
        if "mknod" in numbers:
            assert verdict(machine, numbers["mknod"], 0, kind | 0o600) == wanted


def test_a_foreign_architecture_is_killed() -> None:
    assert verdict("x86_64", 0, audit=0x40000003) == KILL
    assert verdict("x86_64", 0x40000000) == KILL
    assert verdict("aarch64", 0, audit=0x40000028) == KILL
