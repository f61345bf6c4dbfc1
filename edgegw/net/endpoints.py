"""Listening and connecting on any reactor, as functions and as Twisted endpoints.

Where the reactor runs on an asyncio loop the loop's own transports carry the bytes (`edgegw.net.transport`), elsewhere
Twisted's stock ones do; callers see the same.
"""

import asyncio
import contextvars
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, execute
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint, UNIXClientEndpoint
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionLost,
    NoProtocol,
    TimeoutError,
    getConnectError,
)
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from edgegw.net.accepting import AcceptingPort, Listening, listen
from edgegw.net.loop import is_native, reporting_loop
from edgegw.net.sockets import BACKLOG, Address, Place, TcpPlace, UnixPlace
from edgegw.net.transport import LoopTransport

__all__ = [
    "AcceptingPort",
    "Listening",
    "NativeClientEndpoint",
    "NativeServerEndpoint",
    "TcpPlace",
    "UnixPlace",
    "connect",
    "listen",
]

CONNECT_TIMEOUT_S = 30.0


def connect(
    reactor: Any,
    place: Place,
    factory: IProtocolFactory,
    *,
    timeout_s: float = CONNECT_TIMEOUT_S,
    local_host: str | None = None,
    clock: IReactorTime | None = None,
) -> "Deferred[IProtocol]":
    """Connect to `place` and give the protocol that `factory` built, after its `connectionMade`.

    `local_host` is the address to connect from. The time runs on `clock`, the reactor if none is given (on stock
    transports always the reactor). Fails with an error of `twisted.internet.error`: ConnectionRefusedError,
    TimeoutError, UnknownHostError, another ConnectError, NoProtocol; ConnectingCancelledError if the Deferred is
    cancelled, which ends the attempt.
    """
    if is_native(reactor):
        attempt = _Attempt(reporting_loop(reactor), place, factory)
        return attempt.start(timeout_s, local_host, reactor if clock is None else clock)
    endpoint = _stock_endpoint(reactor, place, timeout_s, local_host)
    return contextvars.Context().run(endpoint.connect, factory)


@implementer(IStreamServerEndpoint)
class NativeServerEndpoint:
    """`listen` as a Twisted endpoint. `where` is a place to bind, or a bound socket or descriptor to adopt."""

    def __init__(
        self,
        reactor: Any,
        where: Place | socket.socket | int,
        *,
        backlog: int = BACKLOG,
        admit: Callable[[Address], bool] | None = None,
        on_exhausted: Callable[[int], None] | None = None,
    ) -> None:
        self._reactor = reactor
        self._where = where
        self._listen = partial(listen, backlog=backlog, admit=admit, on_exhausted=on_exhausted)

    def __repr__(self) -> str:
        return f"<NativeServerEndpoint {self._where}>"

    def listen(self, protocolFactory: IProtocolFactory) -> "Deferred[IListeningPort]":
        """Listen; the port also has `pause_accepting` and `resume_accepting`. Fails with `CannotListenError`."""
        return execute(self._listen, self._reactor, self._where, protocolFactory)


@implementer(IStreamClientEndpoint)
class NativeClientEndpoint:
    """`connect` as a Twisted endpoint."""

    def __init__(
        self,
        reactor: Any,
        place: Place,
        *,
        timeout_s: float = CONNECT_TIMEOUT_S,
        local_host: str | None = None,
        clock: IReactorTime | None = None,
    ) -> None:
        self._reactor = reactor
        self._place = place
        self._timeout_s = timeout_s
        self._local_host = local_host
        self._clock = clock

    def __repr__(self) -> str:
        return f"<NativeClientEndpoint {self._place}>"

    def connect(self, protocolFactory: IProtocolFactory) -> "Deferred[IProtocol]":
        """Connect; see `connect` for what it gives and how it fails."""
        return connect(
            self._reactor,
            self._place,
            protocolFactory,
            timeout_s=self._timeout_s,
            local_host=self._local_host,
            clock=self._clock,
        )


class _Attempt:
    """One attempt to connect over the loop. Its Deferred fires once, whichever of the many ends comes first."""

    def __init__(self, loop: asyncio.AbstractEventLoop, place: Place, factory: IProtocolFactory) -> None:
        self._loop = loop
        self._place = place
        self._factory = factory
        self._result: Deferred[IProtocol] | None = None
        self._stopped = False

    def start(self, timeout_s: float, local_host: str | None, clock: IReactorTime) -> "Deferred[IProtocol]":
        self._factory.doStart()
        transport = LoopTransport(self._loop, self._build, on_open=self._opened, on_lost=self._lost)
        # The transport keeps the context it starts in for life, so it gets an empty one.
        work = self._dial(lambda: transport, local_host)
        self._task = contextvars.Context().run(self._loop.create_task, work)
        self._task.add_done_callback(self._done)
        self._timer = clock.callLater(timeout_s, self._give_up, TimeoutError())
        result: Deferred[IProtocol] = Deferred(self._cancelled)
        self._result = result
        return result

    def _dial(self, protocol: Callable[[], asyncio.Protocol], local_host: str | None) -> Coroutine[Any, Any, object]:
        if isinstance(self._place, UnixPlace):
            return self._loop.create_unix_connection(protocol, self._place.path)
        local = None if local_host is None else (local_host, 0)
        return self._loop.create_connection(protocol, self._place.host, self._place.port, local_addr=local)

    def _build(self, peer: Address) -> IProtocol | None:
        if self._result is None:
            return None
        try:
            protocol = self._factory.buildProtocol(peer)
        except Exception:
            self._settle(Failure())
            return None
        if protocol is None:
            self._settle(Failure(NoProtocol()))
        return protocol

    def _opened(self, protocol: IProtocol) -> None:
        self._settle(protocol)

    def _lost(self) -> None:
        self._settle(Failure(ConnectionLost()))
        self._stop_factory()

    def _done(self, task: "asyncio.Task[object]") -> None:
        exc = None if task.cancelled() else task.exception()
        if exc is not None:
            self._settle(Failure(_connect_error(exc)))
        if exc is not None or task.cancelled():
            self._stop_factory()

    def _give_up(self, error: Exception) -> None:
        self._task.cancel()
        self._settle(Failure(error))

    def _cancelled(self, result: "Deferred[IProtocol]") -> None:
        self._give_up(ConnectingCancelledError(_destination(self._place)))

    def _settle(self, outcome: IProtocol | Failure) -> None:
        result, self._result = self._result, None
        if result is None:
            return
        if self._timer.active():
            self._timer.cancel()
        if isinstance(outcome, Failure):
            result.errback(outcome)
        else:
            result.callback(outcome)

    def _stop_factory(self) -> None:
        if not self._stopped:
            self._stopped = True
            self._factory.doStop()


def _stock_endpoint(reactor: Any, place: Place, timeout_s: float, local_host: str | None) -> IStreamClientEndpoint:
    if isinstance(place, UnixPlace):
        return UNIXClientEndpoint(reactor, place.path, timeout=timeout_s)
    local = None if local_host is None else (local_host, 0)
    if isIPv6Address(place.host):
        return TCP6ClientEndpoint(reactor, place.host, place.port, timeout=timeout_s, bindAddress=local)
    if isIPAddress(place.host):
        return TCP4ClientEndpoint(reactor, place.host, place.port, timeout=timeout_s, bindAddress=local)
    return HostnameEndpoint(reactor, place.host, place.port, timeout=timeout_s, bindAddress=local)


def _connect_error(exc: BaseException) -> BaseException:
    if not isinstance(exc, OSError):
        return exc
    # Several addresses that failed differently come as one error without a number.
    return ConnectError(string=str(exc)) if exc.errno is None else getConnectError(exc)


def _destination(place: Place) -> Address:
    if isinstance(place, UnixPlace):
        return UNIXAddress(place.path)
    return (IPv6Address if ":" in place.host else IPv4Address)("TCP", place.host, place.port)
