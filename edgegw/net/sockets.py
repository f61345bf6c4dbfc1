"""Sockets before the bytes: where to listen or connect, listening sockets, and addresses as Twisted names them."""

import errno
import os
import socket
import stat
import sys
from dataclasses import dataclass
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import CannotListenError

Address = IPv4Address | IPv6Address | UNIXAddress

BACKLOG = 1024
KEEPALIVE_S = 60
"""A connection that was silent for so long is asked whether its peer is still there; then every `KEEPALIVE_EVERY_S`."""
KEEPALIVE_EVERY_S = 10
KEEPALIVE_PROBES = 6
"""So many questions without an answer end it."""
_MAPPED = "::ffff:"


@dataclass(frozen=True, slots=True)
class TcpPlace:
    """A TCP host and port. Listening: no host means every IPv4 and IPv6 address, port 0 means any free port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixPlace:
    """The path of a UNIX socket. Listening: `mode` is the permission of the socket's file."""

    path: str
    mode: int = 0o666

    def __str__(self) -> str:
        return f"unix:{self.path}"


Place = TcpPlace | UnixPlace


def bind(place: Place, backlog: int = BACKLOG) -> socket.socket:
    """A listening, non-blocking socket at `place`. Raises `CannotListenError`, which names the place and the cause.

    The file of a UNIX socket that nobody serves any more is replaced; one that is served is not.
    """
    try:
        sock = _bound_unix(place) if isinstance(place, UnixPlace) else _bound_tcp(place)
    except (OSError, OverflowError) as exc:
        host, port = (place.host, place.port) if isinstance(place, TcpPlace) else ("", place.path)
        raise CannotListenError(host, port, exc) from exc
    try:
        sock.listen(backlog)
    except OSError as exc:
        sock.close()
        raise CannotListenError("", str(place), exc) from exc
    return sock


def adopt(inherited: socket.socket | int, backlog: int = BACKLOG) -> socket.socket:
    """A socket or descriptor that somebody else bound (a supervisor, systemd), ready to accept from.

    A descriptor becomes ours: closing the answer closes it. Raises OSError if it is not a stream socket.
    """
    sock = inherited if isinstance(inherited, socket.socket) else socket.socket(fileno=inherited)
    if sock.type != socket.SOCK_STREAM:
        raise OSError(errno.EPROTOTYPE, f"descriptor {sock.fileno()} is not a stream socket")
    sock.setblocking(False)
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.listen(backlog)
    return sock


def address_of(raw: Any) -> Address:
    """A socket address as the socket module gives it, as Twisted's address; IPv4-mapped IPv6 as plain IPv4."""
    if not isinstance(raw, tuple):
        return UNIXAddress(raw or None)
    host, port = raw[:2]
    if len(raw) == 2:
        return IPv4Address("TCP", host, port)
    if host.startswith(_MAPPED) and "." in host:
        return IPv4Address("TCP", host[len(_MAPPED) :], port)
    return IPv6Address("TCP", host, port, *raw[2:])


def name_of(address: Address | None) -> str:
    """An address as people write it: `127.0.0.1:80`, `[::1]:80`, `unix:/run/x`."""
    if isinstance(address, IPv6Address):
        return f"[{address.host}]:{address.port}"
    if isinstance(address, IPv4Address):
        return f"{address.host}:{address.port}"
    return f"unix:{os.fsdecode(address.name) if address is not None and address.name else ''}"


def keep_alive(sock: socket.socket) -> None:
    """Have the kernel find out about peers that vanished. On a listening socket: for every connection accepted from it.

    Whatever deadlines there are, a stream that is silent by agreement has none.
    """
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_EVERY_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)


def _bound_tcp(place: TcpPlace) -> socket.socket:
    dual_stack = not place.host and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual_stack or ":" in place.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not dual_stack))
        sock.bind((place.host, place.port))
    except BaseException:
        sock.close()
        raise
    return sock


def _bound_unix(place: UnixPlace) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        _remove_stale(place.path)
        sock.bind(place.path)
        os.chmod(place.path, place.mode)
    except BaseException:
        sock.close()
        raise
    return sock


def _remove_stale(path: str) -> None:
    """Remove the file of a UNIX socket on which nobody listens."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        if probe.connect_ex(path) == errno.ECONNREFUSED:
            os.unlink(path)
