"""The listening sockets. A reload compares them: unchanged ones keep theirs, new ones bind before the swap, removed ones drain.

A listener is itself as long as its place is the same (`ListenSettings.name`). What else is said of it is taken over at once, for
new connections and for those that are there; connections that began under another TLS policy end with what they carry.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import CannotListenError

from edgegw.config.problems import Problems
from edgegw.gateway.places import observe_place, obstacle, passed_sockets, place_of
from edgegw.gateway.settings import GatewaySettings
from edgegw.net.accepting import Listening, listen
from edgegw.net.listener import ConnectionCap, Counts, Current, Listener, Terms
from edgegw.net.settings import ListenSettings
from edgegw.net.sockets import Place, TcpPlace
from edgegw.runtime.overload import Overload
from edgegw.runtime.wheel import Wheel


class Entrances:
    """Every listener of the gateway.

    Args:
        reactor, wheel: for sockets and time. current: where connections find the newest snapshot. most: connections of all
        listeners together. counts: makes what a listener of this name reports to. left: called when a removed listener has
        lost its last connection.
    """

    def __init__(
        self,
        reactor: Any,
        wheel: Wheel,
        current: Current,
        most: int,
        counts: Callable[[str], Counts],
        left: Callable[[], object] = lambda: None,
    ) -> None:
        self._reactor = reactor
        self._wheel = wheel
        self._current = current
        self._total = ConnectionCap(most)
        self._counts = counts
        self._left = left
        # Now, because the sockets are passed to this very process: as a daemon it will be another one.
        self._passed = passed_sockets()
        self._policies: dict[str, object] = {}
        self._overload: Overload | None = None
        self._places: frozenset[tuple[str, int]] = frozenset()
        self.listeners: dict[str, Listener] = {}
        self.leaving: dict[Listener, None] = {}

    def open_new(
        self, settings: GatewaySettings, terms: Mapping[str, Terms], problems: Problems, base_dir: Path
    ) -> list[Listener]:
        """Bind what is not bound yet, accepting nothing so far. What can't be bound is in `problems`; the rest is open."""
        opened: list[Listener] = []
        for index, each in enumerate(settings.listen):
            if each.name in self.listeners:
                continue
            counts = self._counts(each.name)
            listener = Listener(
                each.name, terms[each.name], self._current, self._reactor, self._wheel, self._total, counts
            )
            place = place_of(each, base_dir)
            try:
                port = self._bind(self._systemd(each) if place is None else place, listener)
            except (CannotListenError, OSError, LookupError) as error:
                self._report(error, each, place, problems.under("listen", index))
                continue
            port.pause_accepting()
            listener.serve(port)
            opened.append(listener)
        return opened

    def discard(self, opened: list[Listener]) -> None:
        """Close listeners that were opened for a configuration that is not taken."""
        for listener in opened:
            listener.stop_accepting()

    def swap(self, opened: list[Listener], terms: Mapping[str, Terms], settings: GatewaySettings) -> None:
        """Serve by these terms: known listeners change, new ones begin to accept, those without terms drain."""
        policies = {each.name: _policy(each) for each in settings.listen}
        for listener in opened:
            self.listeners[listener.name] = listener
        for name in list(self.listeners):
            listener = self.listeners[name]
            if name not in terms:
                del self.listeners[name]
                self._leave(listener)
                continue
            listener.apply(terms[name])
            if self._policies.get(name) != policies[name]:
                for connection in list(listener.connections):
                    connection.drain()
        self._policies = policies
        self._places = frozenset(_places(settings))
        if self._overload is not None and self._overload.settings != settings.overload:
            self._overload.apply(settings.overload)
        for listener in opened:
            listener.resume_accepting()

    def _leave(self, listener: Listener) -> None:
        self.leaving[listener] = None
        listener.stop_accepting()
        listener.drain().addCallback(lambda _: self._gone(listener))

    def _gone(self, listener: Listener) -> None:
        del self.leaving[listener]
        self._left()

    def _bind(self, where: Place | socket.socket, listener: Listener) -> Listening:
        try:
            return listen(self._reactor, where, listener, admit=listener.admit, on_exhausted=listener.exhausted)
        except OSError:
            if isinstance(where, socket.socket):
                where.close()
            raise

    def _systemd(self, settings: ListenSettings) -> socket.socket:
        name = settings.systemd or ""
        if name not in self._passed:
            known = ", ".join(self._passed) or "none"
            raise LookupError(f'systemd passed no socket named "{name}"; passed: {known}')
        # A copy: the socket stays ours for a later configuration.
        copy = os.dup(self._passed[name])
        try:
            return socket.socket(fileno=copy)
        except OSError:
            os.close(copy)
            raise

    def _report(self, error: Exception, settings: ListenSettings, place: Place | None, problems: Problems) -> None:
        found = obstacle(error, place)
        advice = found.advice
        if isinstance(place, TcpPlace) and found.passing:
            own = [name for name in self.listeners if name.endswith(f":{place.port}")]
            if own:
                advice = f"this gateway listens on {own[0]} itself; another address for the same port takes a restart"
        problems.add((), f"cannot listen on {settings.name}: {found.reason}", advice)

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
    def names(self) -> Collection[str]:
        """Listeners that accept, and those that still have connections."""
        return {*self.listeners, *(listener.name for listener in self.leaving)}

    def heed(self, overload: Overload) -> None:
        """Do what it asks for, on each change; its settings are those of the configuration that serves."""
        self._overload = overload
        overload.follow(lambda *_: self._pressed())

    def _pressed(self) -> None:
        for listener in [*self.listeners.values(), *self.leaving]:
            listener.pressed()

    def places(self) -> Collection[tuple[str, int]]:
        """Address (empty: every one of this machine) and port of each listener, that of metrics and probes among them."""
        return self._places

    @property
    def connections(self) -> int:
        """Connections of all listeners."""
        return self._total.count

    def __repr__(self) -> str:
        return f"<Entrances {list(self.listeners.values())!r}>"


def _places(settings: GatewaySettings) -> Iterator[tuple[str, int]]:
    for each in settings.listen:
        if each.port:
            yield "127.0.0.1" if each.interface == "localhost" else each.interface or "", each.port
    if settings.observe.listen is not None:
        place = observe_place(settings.observe.listen)
        yield place.host, place.port


def _policy(settings: ListenSettings) -> object:
    """Whom a listener lets in at all: connections that were let in by another one don't stay."""
    tls = settings.tls
    return settings.proxy_protocol, None if tls is None else (tls.client, tls.min_version)
