"""Listening sockets whose accepting can pause, on any reactor.

Accepting is paused by the caller (`pause_accepting`: caps, overload, drain) and by itself when the kernel has no
descriptors or memory left. A paused socket is not watched, so it costs no CPU; clients wait in the backlog.
"""

import asyncio
import contextvars
import errno
import os
import socket
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import (
    IDelayedCall,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IReadDescriptor,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from edgegw.net.loop import is_native, reporting_loop
from edgegw.net.sockets import (
    BACKLOG,
    Address,
    Place,
    TcpPlace,
    UnixPlace,
    address_of,
    adopt,
    bind,
    keep_alive,
    name_of,
)
from edgegw.net.transport import LoopTransport

ACCEPTS_PER_TURN = 64
RETRY_S = 1.0

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
# accept(2): the peer left before it was taken, or a firewall forbade it. The next one is none the worse for it.
_PASSED_OVER = frozenset({errno.ECONNABORTED, errno.EPERM, errno.EPROTO, errno.EINTR, errno.ECONNRESET})

_log = Logger()


class Listening(Protocol):
    """A listening socket; it accepts until it is paused or stopped."""

    def getHost(self) -> Address:
        """Where it listens."""

    def fileno(self) -> int:
        """The descriptor of the socket, for handing it to another process; -1 once stopped."""

    def pause_accepting(self) -> None:
        """Accept nothing more until `resume_accepting`. Idempotent."""

    def resume_accepting(self) -> None:
        """Accept again. Idempotent."""

    def stop(self) -> "Deferred[None]":
        """Close the socket; connections that were accepted live on. Idempotent."""


def listen(
    reactor: Any,
    where: Place | socket.socket | int,
    factory: IProtocolFactory,
    *,
    admit: Callable[[Address], bool] | None = None,
    on_exhausted: Callable[[int], None] | None = None,
    backlog: int = BACKLOG,
    clock: IReactorTime | None = None,
) -> "AcceptingPort":
    """Accept connections for `factory`, which gets the peer's address in `buildProtocol`.

    `where` is a place to bind, or a bound socket or descriptor to adopt. `admit` is asked with the peer's address right
    after accept; False closes the connection before any protocol is made. `on_exhausted` is told the errno when the
    kernel refuses for want of resources; accepting then rests for `RETRY_S` seconds of `clock` (the reactor if none is
    given). Raises `CannotListenError` for a place, OSError for a socket that cannot listen.
    """
    sock = bind(where, backlog) if isinstance(where, TcpPlace | UnixPlace) else adopt(where, backlog)
    keep_alive(sock)
    port_class = NativePort if is_native(reactor) else StockPort
    port = port_class(reactor, sock, factory, clock=clock, admit=admit, on_exhausted=on_exhausted)
    if isinstance(where, UnixPlace):
        port.own_path(where.path)
    port.startListening()
    return port


@implementer(IListeningPort)
class AcceptingPort:
    """Accepts from one socket and hands each connection on; how is up to `NativePort` and `StockPort`."""

    def __init__(
        self,
        reactor: Any,
        sock: socket.socket,
        factory: IProtocolFactory,
        *,
        clock: IReactorTime | None = None,
        admit: Callable[[Address], bool] | None = None,
        on_exhausted: Callable[[int], None] | None = None,
    ) -> None:
        self._reactor = reactor
        self._socket = sock
        self._factory = factory
        self._clock: IReactorTime = reactor if clock is None else clock
        self._admit = admit
        self._on_exhausted = on_exhausted
        self._host = address_of(sock.getsockname())
        self._path: tuple[str, int] | None = None
        self._started = self._paused = self._watching = False
        self._retry: IDelayedCall | None = None

    def __repr__(self) -> str:
        state = (
            "stopped" if not self._started else "paused" if self._paused else "resting" if self._retry else "accepting"
        )
        return f"<{type(self).__name__} {name_of(self._host)} {state} factory={self._factory!r}>"

    def own_path(self, path: str) -> None:
        """Remove the UNIX socket's file at `path` when stopped, unless somebody has put another there."""
        self._path = path, os.stat(path).st_ino

    def startListening(self) -> None:
        """Begin to accept."""
        if not self._started:
            self._started = True
            self._factory.doStart()
            self._turn()

    def getHost(self) -> Any:
        """Where it listens: IPv4Address, IPv6Address or UNIXAddress."""
        return self._host

    def fileno(self) -> int:
        """The descriptor of the socket; -1 once stopped."""
        return self._socket.fileno()

    def pause_accepting(self) -> None:
        """Accept nothing more until `resume_accepting`. Idempotent."""
        self._paused = True
        self._turn()

    def resume_accepting(self) -> None:
        """Accept again; a rest after exhaustion is still kept. Idempotent."""
        self._paused = False
        self._turn()

    def stop(self) -> "Deferred[None]":
        """Close the socket; connections that were accepted live on. Idempotent."""
        if self._started:
            self._started = False
            if self._retry is not None:
                self._retry.cancel()
                self._retry = None
            self._turn()
            self._socket.close()
            self._remove_path()
            self._factory.doStop()
        return succeed(None)

    def stopListening(self) -> "Deferred[None]":
        """The name Twisted has for `stop`."""
        return self.stop()

    # What the two kinds do differently.

    def _watch(self) -> None:
        raise NotImplementedError

    def _unwatch(self) -> None:
        raise NotImplementedError

    def _take(self, sock: socket.socket, peer: Address) -> None:
        raise NotImplementedError

    # The inside.

    def _turn(self) -> None:
        """Watch the socket if there is no reason not to."""
        should = self._started and not self._paused and self._retry is None
        if should == self._watching:
            return
        self._watching = should
        if should:
            self._watch()
        else:
            self._unwatch()

    def _accept_some(self) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            # A hook or a protocol may have paused or stopped us.
            if not self._watching:
                return
            try:
                sock, raw = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as exc:
                if exc.errno in _PASSED_OVER:
                    continue
                self._rest(exc)
                return
            self._welcome(sock, address_of(raw))

    def _welcome(self, sock: socket.socket, peer: Address) -> None:
        try:
            if self._admit is not None and not self._admit(peer):
                sock.close()
                return
            sock.setblocking(False)
            self._take(sock, peer)
        except OSError as exc:
            sock.close()
            if exc.errno in _EXHAUSTED:
                self._rest(exc)
        except Exception:
            sock.close()
            _log.failure("A connection from {peer} was dropped", peer=name_of(peer))

    def _rest(self, exc: OSError) -> None:
        """Stop accepting for a while: the socket stays readable, so trying again at once would only burn CPU."""
        _log.warn("Accepting on {host} rests: {why}", host=name_of(self._host), why=str(exc))
        if self._retry is None:
            self._retry = self._clock.callLater(RETRY_S, self._try_again)
            self._turn()
        if self._on_exhausted is not None:
            try:
                self._on_exhausted(exc.errno or 0)
            except Exception:
                _log.failure("on_exhausted failed")

    def _try_again(self) -> None:
        self._retry = None
        self._turn()

    def _remove_path(self) -> None:
        if self._path is None:
            return
        path, inode = self._path
        try:
            if os.stat(path).st_ino == inode:
                os.unlink(path)
        except OSError:
            pass


class NativePort(AcceptingPort):
    """Accepts on the asyncio loop; connections are `LoopTransport`s."""

    def __init__(self, reactor: Any, *args: Any, **keywords: Any) -> None:
        super().__init__(reactor, *args, **keywords)
        self._loop = reporting_loop(reactor)
        self._tasks: set[asyncio.Task[Any]] = set()

    def _watch(self) -> None:
        self._loop.add_reader(self._socket.fileno(), self._accept_some)

    def _unwatch(self) -> None:
        self._loop.remove_reader(self._socket.fileno())

    def _take(self, sock: socket.socket, peer: Address) -> None:
        transport = LoopTransport(self._loop, self._factory.buildProtocol, peer=peer)
        # The transport keeps the context it starts in for life, so it gets an empty one.
        work = self._loop.connect_accepted_socket(lambda: transport, sock)
        task = contextvars.Context().run(self._loop.create_task, work)
        self._tasks.add(task)
        task.add_done_callback(self._taken)

    def _taken(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        exc = None if task.cancelled() else task.exception()
        if exc is not None and not isinstance(exc, OSError):
            _log.failure("An accepted connection was dropped", Failure(exc, type(exc), exc.__traceback__))


@implementer(IReadDescriptor)
class StockPort(AcceptingPort):
    """Accepts on any reactor; connections are Twisted's stock transports."""

    def doRead(self) -> None:
        """The socket is readable. Called by the reactor."""
        self._accept_some()

    def connectionLost(self, reason: Failure) -> None:
        """The reactor gave the socket up, as it does when it shuts down."""
        self.stop()

    def logPrefix(self) -> str:
        """What the reactor shows in the log beside what happens in `doRead`."""
        return f"listener {name_of(self._host)}"

    def _watch(self) -> None:
        self._reactor.addReader(self)

    def _unwatch(self) -> None:
        self._reactor.removeReader(self)

    def _take(self, sock: socket.socket, peer: Address) -> None:
        # The reactor works on a duplicate of the descriptor.
        contextvars.Context().run(
            self._reactor.adoptStreamConnection, sock.fileno(), sock.family, _From(self._factory, peer)
        )
        sock.close()


class _From:
    """The part of a factory that adopting a connection uses, with the peer's address as we name it."""

    def __init__(self, factory: IProtocolFactory, peer: Address) -> None:
        self._factory = factory
        self._peer = peer

    def buildProtocol(self, addr: object) -> IProtocol | None:
        return self._factory.buildProtocol(self._peer)
