"""A downstream connection before its PROXY header: who speaks is known only when that is there.

It stands outermost, below TLS, and only under peers that are trusted to introduce others: they must send a header. Everybody else
is served as himself, and a header from him is a bad request. When the header is read, the connection is handed over whole to what
the listener builds for the addresses in it, and nothing of this stays in the data's way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from edgegw.net.addresses import canonical
from edgegw.net.patience import FRESH_S, Patience
from edgegw.net.sockets import name_of
from edgegw.wire.proxy_header import ProxyFault, ProxyHeader
from edgegw.wire.proxy_protocol import ProxyReader

if TYPE_CHECKING:
    from edgegw.net.listener import Listener

_log = Logger("edgegw.net.proxied")


@implementer(IAddress)
class ClaimedAddress:
    """Whom a PROXY header introduced, in the place of the connection's own peer.

    host: canonical, empty for a UNIX socket. port: 0 there. local_host, local_port: where the peer's connection ended. header: all
    that was said.
    """

    __slots__ = ("header", "host", "local_host", "local_port", "port")

    def __init__(self, header: ProxyHeader) -> None:
        source, destination = header.source, header.destination
        assert source is not None and destination is not None
        self.host = canonical(source.host) or ""
        self.port = source.port
        self.local_host = canonical(destination.host) or ""
        self.local_port = destination.port
        self.header = header

    def __repr__(self) -> str:
        return f"<ClaimedAddress {self.header}>"


class Placed:
    """What a downstream connection knows of its place beside its peer: for those that carry exchanges."""

    transport: Any
    _patience: Patience

    proxied: ClaimedAddress | None = None
    """Whom a PROXY header introduced; None without one, and where it introduced nobody."""

    @property
    def local_host(self) -> str:
        """Our address, or what PROXY protocol said; empty for UNIX sockets."""
        if self.proxied is not None:
            return self.proxied.local_host
        return canonical(getattr(self.transport.getHost(), "host", "")) or ""

    def hurry(self) -> None:
        """The process gives up more than before: who is idle may stay less long."""
        self._patience.hurry()


class Proxied(Protocol):
    """One connection whose PROXY header is awaited, within `caps.handshake`.

    Args:
        listener: whom it came in by. addr: of the real peer.
    """

    transport: Any

    peer = "?"
    """No address: until it is introduced, it counts for no client."""

    def __init__(self, listener: Listener, addr: IAddress) -> None:
        self._listener = listener
        self._addr = addr
        self._reader = ProxyReader()
        self._deadline = listener.wheel.deadline(self._too_late)
        self._refused = self._handed_over = False

    def connectionMade(self) -> None:
        """Twisted: accepted; the header is still to come."""
        self._deadline.set(self._listener.caps.handshake)
        self._listener.opened(self)

    def dataReceived(self, data: bytes) -> None:
        """Twisted: bytes of the header came, and perhaps what follows it."""
        if self._refused:
            return
        found = self._reader.receive(data)
        if isinstance(found, ProxyFault):
            self._refuse(*found)
        elif found is not None:
            self._hand_over(found)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: gone, unintroduced."""
        self._deadline.drop()
        if not self._refused:
            self._listener.refused("proxy_header_aborted")
        self._listener.closed(self)

    def _hand_over(self, header: ProxyHeader) -> None:
        addr: Any = self._addr if header.source is None else ClaimedAddress(header)
        protocol = self._listener.introduced(self, addr)
        if protocol is None:
            self._end()
            return
        self._deadline.drop()
        self._handed_over = True
        transport = self.transport
        # Whoever holds the protocol of a transport is who gets its bytes, with Twisted's own transports and with ours.
        transport.protocol = protocol
        protocol.makeConnection(transport)
        if self._reader.rest and not getattr(transport, "disconnecting", False):
            protocol.dataReceived(self._reader.rest)

    def _refuse(self, reason: str, detail: str) -> None:
        _log.debug(
            "the connection of {peer} to {listener} was closed: {reason}: {detail}",
            peer=name_of(self._addr),  # type: ignore[arg-type]
            listener=self._listener.name,
            reason=reason,
            detail=detail,
        )
        self._listener.refused(reason)
        self._end()

    def _end(self) -> None:
        """At once (section 2.1: so that the sender notices)."""
        self._refused = True
        self.transport.abortConnection()

    def _too_late(self) -> None:
        self._refuse("proxy_header_timeout", "no whole header came in time")

    def hurry(self) -> None:
        """The process gives up more than before: the header is due soon anyway."""

    def drain(self) -> None:
        """Whoever is introduced yet may ask once; the header must be on its way."""
        self._deadline.set(FRESH_S)

    def abort_now(self) -> None:
        """End the connection."""
        self._end()

    def __repr__(self) -> str:
        state = "handed over" if self._handed_over else "refused" if self._refused else "awaiting its header"
        return f"<Proxied {name_of(self._addr)} {state}>"  # type: ignore[arg-type]
