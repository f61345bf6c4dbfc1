"""The listening sockets. A reload compares them: unchanged ones keep their socket, new ones bind before the swap, removed ones drain."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.python.systemd import ListenFDs

from edgegw.config.problems import Problems
from edgegw.gateway.settings import GatewaySettings
from edgegw.net.accepting import Listening, listen
from edgegw.net.listener import ConnectionCap, Counts, Current, Listener, Terms
from edgegw.net.settings import ListenSettings
from edgegw.net.sockets import Place, TcpPlace, UnixPlace
from edgegw.runtime.wheel import Wheel

_log = Logger("edgegw.gateway.entrances")


class Entrances:
    """Every listener of the gateway.

    Args:
        reactor, wheel: for sockets and time. current: where connections find the newest snapshot. most: connections of all
        listeners together. counts: makes what a listener of this name reports to.
    """

    def __init__(
        self, reactor: Any, wheel: Wheel, current: Current, most: int, counts: Callable[[str], Counts]
    ) -> None:
        self._reactor = reactor
        self._wheel = wheel
        self._current = current
        self._total = ConnectionCap(most)
        self._counts = counts
        self._inherited: ListenFDs | None = None
        self.listeners: dict[str, Listener] = {}
        self.leaving: dict[Listener, None] = {}

    def open_new(self, settings: GatewaySettings, terms: Mapping[str, Terms], problems: Problems, base_dir: Path) -> list[Listener]:
        """Bind what is not bound yet, accepting nothing so far. On any failure: problems, and nothing stays open."""
        opened: list[Listener] = []
        for index, each in enumerate(settings.listen):
            if each.name in self.listeners:
                continue
            listener = Listener(
                each.name, terms[each.name], self._current, self._reactor, self._wheel, self._total, self._counts(each.name)
            )
            try:
                port = self._bind(each, listener, base_dir)
            except (CannotListenError, OSError, LookupError) as error:
                reason = getattr(error, "socketError", None) or error
                problems.add(("listen", index), f"cannot listen on {each.name}: {reason}", _advice(reason, each))
                continue
            port.pause_accepting()
            listener.serve(port)
            opened.append(listener)
        if problems.errors:
            self.discard(opened)
            return []
        return opened

    def discard(self, opened: list[Listener]) -> None:
        """Close listeners that were opened for a configuration that is not taken."""
        for listener in opened:
            listener.stop_accepting()

    def swap(self, opened: list[Listener], terms: Mapping[str, Terms]) -> None:
        """Serve by these terms: known listeners change, new ones begin to accept, those without terms drain."""
        for listener in opened:
            self.listeners[listener.name] = listener
        for name in list(self.listeners):
            listener = self.listeners[name]
            if name in terms:
                listener.apply(terms[name])
            else:
                del self.listeners[name]
                self._leave(listener)
        for listener in opened:
            listener.resume_accepting()

    def _leave(self, listener: Listener) -> None:
        self.leaving[listener] = None
        listener.stop_accepting()
        listener.drain().addCallback(lambda _: self.leaving.pop(listener, None))

    def _bind(self, settings: ListenSettings, listener: Listener, base_dir: Path) -> Listening:
        where: Place | int
        if settings.systemd is not None:
            where = self._systemd(settings.systemd)
        elif settings.unix is not None:
            where = UnixPlace(str(base_dir / settings.unix))
        else:
            where = TcpPlace(settings.interface or "", settings.port or 0)
        return listen(self._reactor, where, listener, admit=listener.admit, on_exhausted=listener.exhausted)

    def _systemd(self, name: str) -> int:
        if self._inherited is None:
            self._inherited = ListenFDs.fromEnvironment()
        named = self._inherited.inheritedNamedDescriptors()
        if name not in named:
            known = ", ".join(named) or "none"
            raise LookupError(f'systemd passed no socket named "{name}"; passed: {known}')
        return os.dup(named[name])

    def stop_accepting(self) -> Deferred[Any]:
        """Close every listening socket."""
        return DeferredList([listener.stop_accepting() for listener in self.listeners.values()])

    def drain(self) -> Deferred[Any]:
        """Let every connection finish; fires when none is left."""
        return DeferredList([listener.drain() for listener in [*self.listeners.values(), *self.leaving]])

    def abort(self) -> None:
        """End every connection now."""
        for listener in [*self.listeners.values(), *self.leaving]:
            listener.abort()

    @property
    def connections(self) -> int:
        """Connections of all listeners."""
        return self._total.count

    def __repr__(self) -> str:
        return f"<Entrances {list(self.listeners.values())!r}>"


def can_bind(settings: ListenSettings, base_dir: Path) -> str | None:
    """Why the place could not be listened on now, for `edgegw check`; None if it could."""
    if settings.unix is not None:
        folder = (base_dir / settings.unix).parent
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            return f"the folder {folder} cannot be written to"
        path = base_dir / settings.unix
        return f"{path} is there and is no socket" if path.exists() and not stat.S_ISSOCK(path.stat().st_mode) else None
    return None


def _advice(reason: object, settings: ListenSettings) -> str | None:
    number = getattr(reason, "errno", None)
    if number == 13 and settings.port is not None and settings.port < 1024:
        return "ports below 1024 need CAP_NET_BIND_SERVICE, or a socket from systemd"
    if number == 98:
        return f"another process listens there; find it with: ss -ltnp 'sport = :{settings.port}'"
    return None
