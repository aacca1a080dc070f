"""Attempts on sockets and the network, and on what was left open."""

# ruff: noqa: PTH115, PTH208

from __future__ import annotations

import fcntl
import os
import socket
import stat
from functools import partial
from typing import Final

from tests.probes.hostile.kit import Held, Scene, any_of, attempt, first, nothing

EMPTY: Final = "empty network namespace"
Address = str | tuple[object, ...]
_TIOCSTI: Final = 0x5412
_TIOCLINUX: Final = 0x541C


def _connect(family: int, address: Address) -> str:
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(3)
        sock.connect(address)
    return "it was reached"


def _route(family: int, address: Address) -> str:
    """Ask for a way to an address; connecting a datagram socket sends nothing."""
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect(address)
    return "there is a way to it"


def _made(family: int, kind: int, protocol: int = 0) -> str:
    socket.socket(family, kind, protocol).close()
    return "the socket was made"


@attempt(
    "network",
    "connect to an abstract socket of the host",
    layer=EMPTY + ", Landlock scope",
    covers=(14,),
)
def abstract_socket(scene: Scene) -> str:
    return _connect(socket.AF_UNIX, "\0" + scene["abstract"])


@attempt(
    "network",
    "connect to a socket by its path (ssh-agent, docker, dbus)",
    layer="mount namespace: it is not there",
    covers=(15,),
)
def path_socket(scene: Scene) -> str:
    known = ("/var/run/docker.sock", "/run/dbus/system_bus_socket", "/run/systemd/private")
    return any_of(lambda path: _connect(socket.AF_UNIX, path), (scene["socket_file"], *known))


@attempt("network", "connect to a TCP service on the host's loopback", layer=EMPTY, covers=(16,))
def loopback_tcp(scene: Scene) -> str:
    return _connect(socket.AF_INET, ("127.0.0.1", scene["tcp"]))


@attempt(
    "network", "send a datagram to a service on the host's loopback", layer=EMPTY, covers=(17,)
)
def loopback_udp(scene: Scene) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(3)
        sock.connect(("127.0.0.1", scene["udp"]))
        sock.send(b"probe")
        return f"it answered {len(sock.recv(64))} bytes"


@attempt(
    "network",
    "find a way to a name server, the metadata address, the world",
    layer=EMPTY,
    covers=(17,),
    shown_by="nobody",
    why_not="it depends on whether the machine has a network; nothing is sent to find out",
)
def outside(_: Scene) -> str:
    places = (("169.254.169.254", 80), ("8.8.8.8", 53), ("10.0.0.1", 53), ("224.0.0.251", 5353))
    return any_of(lambda path: _route(socket.AF_INET, path), places)


@attempt(
    "network",
    "find a way to an IPv6 address",
    layer=EMPTY,
    covers=(17,),
    shown_by="nobody",
    why_not="it depends on whether the machine has a network; nothing is sent to find out",
)
def outside_six(_: Scene) -> str:
    places: tuple[Address, ...] = (("2606:4700:4700::1111", 53), ("fe80::1", 53, 0, 2))
    return any_of(lambda place: _route(socket.AF_INET6, place), places)


@attempt("network", "see an interface beside its own loopback", layer=EMPTY, covers=(17,), shown_by="nobody", why_not="it depends on whether the machine has a network")  # fmt: skip
def interfaces(_: Scene) -> str:
    names = [name for _, name in socket.if_nameindex() if name != "lo"]
    nothing(not names, "only its own loopback")
    return f"saw {len(names)} interfaces"


@attempt(
    "network",
    "make a raw socket",
    layer="no capability",
    covers=(18,),
    shown_by="root",
    why_not="needs CAP_NET_RAW",
)
def raw_socket(_: Scene) -> str:
    return _made(socket.AF_INET, socket.SOCK_RAW, 1)


@attempt(
    "network",
    "make a packet socket",
    layer="seccomp",
    covers=(18,),
    shown_by="root",
    why_not="needs CAP_NET_RAW",
)
def packet_socket(_: Scene) -> str:
    return _made(17, socket.SOCK_RAW)


@attempt("network", "make a netlink socket", layer="seccomp", covers=(18,))
def netlink_socket(_: Scene) -> str:
    return _made(16, socket.SOCK_RAW)


@attempt("network", "make a socket of a rare family (alg, vsock, xdp, bluetooth, can, tipc)", layer="seccomp", covers=(18,), shown_by="nobody", why_not="it depends on the modules that a kernel has")  # fmt: skip
def rare_sockets(_: Scene) -> str:
    kinds = ((38, 5, 0), (40, 1, 0), (44, 3, 0), (31, 3, 1), (29, 3, 1), (30, 5, 0))
    return any_of(lambda kind: _made(*kind), kinds)


@attempt(
    "network",
    "make a tunnel device",
    layer="no such device",
    covers=(18,),
    shown_by="nobody",
    why_not="it depends on the devices that a machine has",
)
def tunnel(_: Scene) -> str:
    os.close(os.open("/dev/net/tun", os.O_RDWR))
    return "the device was opened"


# -- descriptors ---------------------------------------------------------------------


def _inherited() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/fd")]


@attempt(
    "descriptor",
    "find an inherited file or directory descriptor",
    layer="descriptors are named one by one",
    covers=(19,),
)
def inherited(_: Scene) -> str:
    for number in _inherited():
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        # Devices, pipes and the listing itself are nobody's files.
        if target.startswith("/") and not target.startswith(("/dev/", "/proc/", "/workspace")):
            return "a file or directory was left open"
    raise Held("nothing but its log and its channel")


@attempt(
    "descriptor",
    "open a host file below an inherited directory descriptor",
    layer="descriptors are named one by one",
    covers=(19,),
)
def below_inherited(scene: Scene) -> str:
    path = "../" * 24 + scene["key_file"].lstrip("/")

    def open_below(number: int) -> str:
        os.close(os.open(path, os.O_RDONLY, dir_fd=number))
        return "the file was opened"

    directories = [n for n in _inherited() if _is_directory(n)]
    return any_of(open_below, directories)


def _is_directory(number: int) -> bool:
    try:
        return stat.S_ISDIR(os.fstat(number).st_mode)
    except OSError:
        return False


@attempt(
    "descriptor",
    "find a second channel, such as the one for tools",
    layer="each process gets its own channel",
    covers=(19,),
)
def second_channel(_: Scene) -> str:
    own = int(os.environ["CLEVERAGENTS_CHANNEL"])
    for number in _inherited():
        if number != own:
            with_socket = _socket_of(number)
            if with_socket:
                return "another socket was left open"
    raise Held("one channel")


def _socket_of(number: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError:
        return False


@attempt(
    "descriptor",
    "get at a terminal of the host",
    layer="a session of its own, no terminal",
    covers=(19,),
)
def terminal(_: Scene) -> str:
    def controlling() -> str:
        os.close(os.open("/dev/tty", os.O_RDWR))
        return "there is a terminal"

    def of_another(path: str) -> str:
        os.close(os.open(path, os.O_RDWR | os.O_NOCTTY))
        return "somebody's terminal was opened"

    there = [f"/dev/pts/{name}" for name in os.listdir("/dev/pts") if name.isdigit()]
    return first([controlling, *(partial(of_another, path) for path in there)])


@attempt("descriptor", "type into a terminal with TIOCSTI or TIOCLINUX", layer="Landlock, seccomp", covers=(30,), shown_by="nobody", why_not="kernels since 6.2 refuse it to everybody by default")  # fmt: skip
def typed(_: Scene) -> str:
    def type_into(command: int) -> str:
        controller, terminal_ = os.openpty()
        try:
            fcntl.ioctl(terminal_, command, b"x")
        finally:
            os.close(controller)
            os.close(terminal_)
        return "it was typed"

    return any_of(type_into, (_TIOCSTI, _TIOCLINUX))
