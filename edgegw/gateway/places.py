"""Where a configuration wants to listen and write, and why it can't: the words for an operator."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from twisted.internet.error import CannotListenError
from twisted.python.systemd import ListenFDs

from edgegw.export.settings import AccessLogSettings, parse_listen
from edgegw.export.writer import STANDARD
from edgegw.net.settings import ListenSettings
from edgegw.net.sockets import Place, TcpPlace, UnixPlace

OFF = "off"
_PRIVILEGED = 1024


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a place cannot be listened on. advice: what to do. passing: it may be gone when it matters."""

    reason: str
    advice: str | None = None
    passing: bool = False


def passed_sockets(first_environ: Path = Path("/proc/self/environ")) -> Mapping[str, int]:
    """Descriptors of the sockets that systemd passes to this very process, by name (sd_listen_fds(3)).

    Read from what the process was started with: importing `twisted.internet.endpoints` takes the variables out of `os.environ`.
    """
    try:
        pairs = [pair.partition(b"=") for pair in first_environ.read_bytes().split(b"\0")]
    except OSError:
        return {}
    environ = {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}
    return ListenFDs.fromEnvironment(environ).inheritedNamedDescriptors()


def place_of(listen: ListenSettings, base_dir: Path) -> Place | None:
    """Where a listener listens; None for a socket that systemd passes."""
    if listen.systemd is not None:
        return None
    if listen.unix is not None:
        return UnixPlace(str(base_dir / listen.unix))
    return TcpPlace(listen.interface or "", listen.port or 0)


def observe_place(listen: str) -> TcpPlace:
    """Where `observe.listen` listens; `::` and no host are every IPv6 and IPv4 address."""
    host, port = parse_listen(listen)
    return TcpPlace("" if host == "::" else host, port)


def placed(settings: AccessLogSettings, base_dir: Path) -> AccessLogSettings:
    """The settings with a path that does not depend on the process's folder."""
    if settings.path in STANDARD or settings.path == OFF:
        return settings
    return settings.model_copy(update={"path": str(base_dir / settings.path)})


def obstacle(error: Exception, place: Place | None = None) -> Obstacle:
    """What an error of binding says, in words."""
    cause = error.socketError if isinstance(error, CannotListenError) else error
    number = getattr(cause, "errno", None)
    reason = getattr(cause, "strerror", None) or str(cause)
    reason = reason[:1].lower() + reason[1:]
    port = place.port if isinstance(place, TcpPlace) else None
    if number == errno.EADDRINUSE:
        find = f"ss -ltnp 'sport = :{port}'" if port is not None else "ss -lxp"
        return Obstacle(reason, f"another process listens there; find it with: {find}", passing=True)
    if number == errno.EACCES and port is not None and port < _PRIVILEGED:
        advice = f"ports below {_PRIVILEGED} need CAP_NET_BIND_SERVICE, or a socket from systemd"
        return Obstacle(reason, advice, passing=True)
    if number == errno.EADDRNOTAVAIL:
        return Obstacle(reason, "this machine does not have that address now; see them with: ip address", passing=True)
    return Obstacle(reason)


def can_bind(place: Place | None) -> Obstacle | None:
    """Why the place could not be listened on now; None if it could, or if that can't be told. Nothing is left behind."""
    if place is None:
        return None
    if isinstance(place, UnixPlace):
        return _unix_obstacle(Path(place.path))
    family = socket.AF_INET6 if ":" in place.host or not place.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(bool(place.host)))
            probe.bind((place.host, place.port))
    except OSError as error:
        if not place.host and error.errno == errno.EAFNOSUPPORT:
            return can_bind(TcpPlace("0.0.0.0", place.port))
        return obstacle(error, place)
    return None


def _unix_obstacle(path: Path) -> Obstacle | None:
    if not path.parent.is_dir():
        return Obstacle(f"the folder {path.parent} does not exist")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return Obstacle(f"the folder {path.parent} cannot be written to")
    if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
        return Obstacle(f"{path} is there and is no socket")
    return None
