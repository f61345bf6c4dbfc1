"""One listening socket: accepts, applies caps, and builds what drives each connection."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple
from typing import Protocol as Contract

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import ServerFactory

from edgegw.exchange.interfaces import Responder
from edgegw.net.accepting import Listening
from edgegw.net.addresses import UNIX, CidrSet
from edgegw.net.date import HttpDate
from edgegw.net.downstream import Http1Downstream
from edgegw.net.http2_downstream import Http2Downstream
from edgegw.net.opening import Opening
from edgegw.net.proxied import ClaimedAddress, Proxied
from edgegw.net.settings import Caps
from edgegw.net.tls import ServerTls, TlsFacts, facts_of, misdirected, wrap_server
from edgegw.runtime.overload import CALM, Concessions
from edgegw.runtime.wheel import Wheel
from edgegw.wire.http1_limits import Http1Limits
from edgegw.wire.http2_limits import Http2Limits

_EXPECTED_WITHIN_S = 1.0

Speaking = Opening | Http1Downstream | Http2Downstream
Downstream = Proxied | Speaking
"""What a listener's connections are, one after the other."""


class Counts(Contract):
    """Where a listener reports what happens to its connections."""

    def opened(self) -> None:
        """A connection was accepted."""

    def closed(self) -> None:
        """It is gone."""

    def refused(self, reason: str) -> None:
        """One was closed before it could ask anything, or accepting rests."""

    def handshake(self, outcome: str) -> None:
        """A TLS handshake ended: `ok`, or the name of its fault."""

    def broke(self, reason: str) -> None:
        """An HTTP/2 connection was ended because of its peer."""


class Current(Contract):
    """Where the newest configuration is found."""

    snapshot: Any


class Terms(NamedTuple):
    """What a listener's connections are served by; replaced as a whole on reload, for new connections.

    responder: the edge stage. tls: None on a clear-text listener. trusted: proxies that `per_client` does not count. protocols:
    `http1`, `http2`. http2: the limits of the latter. proxied: peers whose connections begin with a PROXY header. concessions:
    what the process gives up at the moment.
    """

    caps: Caps
    limits: Http1Limits
    responder: Responder
    tls: ServerTls | None
    trusted: CidrSet
    protocols: Collection[str] = ("http1",)
    http2: Http2Limits = Http2Limits()
    proxied: CidrSet | None = None
    concessions: Concessions = CALM


class ConnectionCap:
    """A number of connections shared by several listeners; those that found it full are told when there is room again."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.count = 0
        self.expected = 0
        """Accepted by the kernel, on their way to become connections."""
        self._waiting: dict[Listener, None] = {}

    @property
    def full(self) -> bool:
        """No further connection may be accepted."""
        return self.count + self.expected >= self.most

    def wait(self, listener: Listener) -> None:
        """Call `listener.relieve` when there is room."""
        self._waiting[listener] = None

    def left(self) -> None:
        """A connection is gone."""
        self.count -= 1
        self.tell()

    def tell(self) -> None:
        """There may be room: those that wait look again."""
        if self._waiting and not self.full:
            waiting, self._waiting = self._waiting, {}
            for listener in waiting:
                listener.relieve()


class Listener(ServerFactory):
    """What one listening socket's connections have in common.

    Args:
        name: for logs and metrics, such as `127.0.0.1:8080`. terms: how connections are served. current: the snapshot's holder.
        clock: for TLS. wheel, clock: time. total: the cap all listeners share. counts: where to report.
    """

    noisy = False

    def __init__(
        self,
        name: str,
        terms: Terms,
        current: Current,
        clock: IReactorTime,
        wheel: Wheel,
        total: ConnectionCap,
        counts: Counts,
    ) -> None:
        self.name = name
        self.current = current
        self.wheel = wheel
        self.clock = clock.seconds
        self._reactor_clock = clock
        self._total = total
        self._counts = counts
        self._port: Listening | None = None
        self._per_client: dict[str, int] = {}
        self._expected = 0
        self._missing = wheel.deadline(self._stop_expecting)
        self._empty: list[Deferred[None]] = []
        self._paused = False
        self.connections: dict[Downstream, None] = {}
        self.draining = False
        self.date: Callable[[], Any] = HttpDate(wheel)
        self.apply(terms)

    def apply(self, terms: Terms) -> None:
        """Serve new connections, and new requests on those that are there, on these terms."""
        self.caps = terms.caps
        self.limits = terms.limits
        self.responder = terms.responder
        self.tls = terms.tls
        self.trusted = terms.trusted
        self.protocols = terms.protocols
        self.http2 = terms.http2
        self.proxied = terms.proxied
        self.concessions = terms.concessions
        self.secure = terms.tls is not None
        self.scheme = "https" if self.secure else "http"
        self._encrypted = wrap_server(_Plain(self), terms.tls, self._reactor_clock) if terms.tls is not None else None
        self.relieve()

    def serve(self, port: Listening) -> None:
        """The socket that accepts for this listener."""
        self._port = port

    # Accepting.

    def admit(self, peer: IAddress) -> bool:
        """Whether a connection that was just accepted may stay.

        It counts from here on: many can be accepted in one turn of the loop, before the first of them is built.
        """
        if not self._introduces(peer) and not self._welcome(peer):
            return False
        self._expected += 1
        self._total.expected += 1
        self._rest_if_full()
        return True

    def _introduces(self, peer: IAddress) -> bool:
        """Whether a PROXY header tells who really comes; until then nobody's connections are counted."""
        return self.proxied is not None and (getattr(peer, "host", "") or UNIX) in self.proxied

    def _welcome(self, peer: IAddress) -> bool:
        cap = self.caps.per_client
        if cap:
            host = getattr(peer, "host", "")
            if self._per_client.get(host, 0) >= cap and host not in self.trusted:
                self._counts.refused("per_client")
                return False
        return True

    def exhausted(self, _: int) -> None:
        """The kernel has no descriptors left; accepting rests."""
        self._counts.refused("descriptors")

    def buildProtocol(self, addr: Any) -> Any:
        """Twisted: a connection was accepted. None for one too many of its client, which is then closed."""
        if self._expected:
            self._expected -= 1
            self._total.expected -= 1
        if self._introduces(addr):
            return Proxied(self, addr)
        if not self._welcome(addr):
            self.relieve()
            return None
        return self._speaking(addr)

    def introduced(self, waiting: Proxied, addr: Any) -> Any:
        """From a connection: it has its PROXY header. None for one too many of the client that was introduced."""
        # A proxy that speaks for itself is no client.
        if isinstance(addr, ClaimedAddress) and not self._welcome(addr):
            return None
        protocol = self._speaking(addr)
        connection = getattr(protocol, "wrappedProtocol", protocol)
        connection.proxied = addr if isinstance(addr, ClaimedAddress) else None
        self._count_out(waiting.peer)
        self._count_in(connection.peer)
        self.became(waiting, connection)
        return protocol

    def _speaking(self, addr: Any) -> Any:
        return self._encrypted.buildProtocol(addr) if self._encrypted is not None else self.plain(addr)

    def plain(self, addr: IAddress) -> Speaking:
        """What speaks on the connection, inside TLS or without it."""
        host, port = getattr(addr, "host", ""), getattr(addr, "port", 0)
        local = self._port.getHost() if self._port is not None else None
        local_port: int = getattr(addr, "local_port", getattr(local, "port", 0))
        kind: type[Speaking] = Opening
        if not self.secure and len(self.protocols) == 1:
            kind = Http1Downstream if "http1" in self.protocols else Http2Downstream
        return kind(self, host, port, local_port)

    def became(self, earlier: Proxied | Opening, connection: Speaking) -> None:
        """From a connection: it is known now what it speaks, or whom for."""
        if self.connections.pop(earlier, self) is None:
            self.connections[connection] = None
            if isinstance(earlier, Opening):
                connection.proxied = earlier.proxied

    def opened(self, connection: Downstream) -> None:
        """From a connection: it begins, or speaks."""
        if connection in self.connections:
            if self.draining:
                connection.drain()
            return
        self.connections[connection] = None
        self._counts.opened()
        self._total.count += 1
        self._count_in(connection.peer)
        self._rest_if_full()
        if self.draining:
            connection.drain()

    def refused(self, reason: str) -> None:
        """From a connection: it is closed before it could ask anything."""
        self._counts.refused(reason)

    def _count_in(self, peer: str) -> None:
        # Whatever the cap is now: a reload may set one.
        self._per_client[peer] = self._per_client.get(peer, 0) + 1

    def _count_out(self, peer: str) -> None:
        count = self._per_client[peer]
        if count > 1:
            self._per_client[peer] = count - 1
        else:
            del self._per_client[peer]

    def broke(self, reason: str) -> None:
        """From a connection: its peer broke the rules of HTTP/2 so that the connection had to end."""
        self._counts.broke(reason)

    def closed(self, connection: Downstream, fault: str = "") -> None:
        """From a connection: it is gone. fault: why its TLS handshake came to nothing, else empty."""
        if self.connections.pop(connection, self) is self:
            return
        self._counts.closed()
        if fault:
            self._counts.handshake(fault)
        self._count_out(connection.peer)
        self._total.left()
        self.relieve()
        if not self.connections:
            empty, self._empty = self._empty, []
            for waiting in empty:
                waiting.callback(None)

    def pressed(self) -> None:
        """The process gives up more, or less, than before."""
        self._rest_if_full()
        self.relieve()
        for connection in list(self.connections):
            connection.hurry()

    def _full(self) -> bool:
        own = self.caps.connections
        shut = self._total.full or not self.concessions.accepting
        return shut or (own != "auto" and len(self.connections) + self._expected >= own)

    def _rest_if_full(self) -> None:
        if self._paused or self._port is None or not self._full():
            return
        self._paused = True
        self._port.pause_accepting()
        self._counts.refused("connections" if self.concessions.accepting else "overload")
        self._total.wait(self)
        if self._expected:
            self._missing.set(_EXPECTED_WITHIN_S)

    def _stop_expecting(self) -> None:
        """Some that were accepted never became connections: their peers had left before."""
        self._total.expected -= self._expected
        self._expected = 0
        self.relieve()
        self._total.tell()

    def relieve(self) -> None:
        """Accept again if there is room now."""
        if not self._paused or self._port is None or self.draining:
            return
        if self._full():
            self._total.wait(self)
            return
        self._paused = False
        self._port.resume_accepting()

    def resume_accepting(self) -> None:
        """Begin to accept, the socket having been bound before."""
        if self._port is not None:
            self._port.resume_accepting()

    # TLS.

    def tls_facts(self, transport: Any) -> TlsFacts | None:
        """What the handshake of this transport told; counts it."""
        facts = facts_of(transport)
        if facts is not None:
            self._counts.handshake("ok")
        return facts

    def misdirected(self, transport: Any, host: str) -> bool:
        """Whether Host belongs to another certificate than the one the connection was opened for."""
        return misdirected(transport, host)

    # The end.

    def stop_accepting(self) -> Deferred[None]:
        """Close the listening socket; connections live on."""
        port, self._port = self._port, None
        self._missing.drop()
        return port.stop() if port is not None else succeed(None)

    def drain(self) -> Deferred[None]:
        """Close every connection when what it carries is done. Fires when none is left."""
        self.draining = True
        for connection in list(self.connections):
            connection.drain()
        if not self.connections:
            return succeed(None)
        empty: Deferred[None] = Deferred()
        self._empty.append(empty)
        return empty

    def abort(self) -> None:
        """End every connection now."""
        for connection in list(self.connections):
            connection.abort_now()

    def __repr__(self) -> str:
        state = "draining" if self.draining else "paused" if self._paused else "accepting" if self._port else "stopped"
        return f"<Listener {self.name} {self.scheme} {state}, {len(self.connections)} connections>"


class _Plain(ServerFactory):
    """The inside of TLS."""

    noisy = False

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def buildProtocol(self, addr: Any) -> Any:
        return self._listener.plain(addr)
