"""What a connection is before it speaks HTTP: the TLS handshake, then the choice between HTTP/1.x and HTTP/2.

TLS decides by ALPN (RFC 7301), clear text by its first bytes: the HTTP/2 preface (RFC 9113 3.3, prior knowledge) begins with a
method that no HTTP/1.x listener serves, so four bytes are enough, and one that does not fit decides at once. Then the connection is
handed over whole, and nothing of this stays in its way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from edgegw.net.downstream import Http1Downstream
from edgegw.net.http2_downstream import Http2Downstream
from edgegw.net.patience import Patience
from edgegw.net.proxied import Placed
from edgegw.wire.events import Violation

if TYPE_CHECKING:
    from edgegw.net.listener import Listener

_PREFACE = b"PRI "
_HTTP2 = b"h2"


@implementer(IHandshakeListener)
class Opening(Placed, Protocol):
    """A downstream connection that has said nothing yet.

    Args:
        listener: whom it came in by. peer, peer_port, local_port: of the socket, or as PROXY protocol said.
    """

    transport: Any

    def __init__(self, listener: Listener, peer: str, peer_port: int, local_port: int) -> None:
        self.listener = listener
        self.peer = peer
        self.peer_port = peer_port
        self.local_port = local_port
        self.tls: Any = None
        self._patience = Patience(self, listener, listener.wheel)
        self._handshaking = listener.secure
        self._received = b""
        self._fault = ""
        self._closing = False

    def connectionMade(self) -> None:
        """Twisted: accepted; below TLS the handshake is still to come."""
        if self._handshaking:
            self._patience.handshake()
        else:
            self._patience.idle()
        self.listener.opened(self)

    def handshakeCompleted(self) -> None:
        """Twisted: the TLS handshake is done, and ALPN has decided; without it, HTTP/1.1 is spoken if it is spoken at all."""
        self._handshaking = False
        self.tls = self.listener.tls_facts(self.transport)
        chosen = getattr(self.transport, "negotiatedProtocol", None)
        self._become(chosen == _HTTP2 or "http1" not in self.listener.protocols)

    def dataReceived(self, data: bytes) -> None:
        """Twisted: bytes came, in clear text."""
        self._received += data
        begin = self._received[: len(_PREFACE)]
        if not _PREFACE.startswith(begin):
            self._become(http2=False)
        elif begin == _PREFACE:
            self._become(http2=True)
        else:
            self._patience.head()

    def _become(self, http2: bool) -> Http1Downstream | Http2Downstream:
        kind = Http2Downstream if http2 else Http1Downstream
        connection = kind(self.listener, self.peer, self.peer_port, self.local_port, self.tls)
        transport, received = self.transport, self._received
        self._patience.over()
        self.listener.became(self, connection)
        if isinstance(transport, TLSMemoryBIOProtocol):
            transport.wrappedProtocol = connection
        else:
            transport.protocol = connection
        connection.makeConnection(transport)  # type: ignore[no-untyped-call]
        if self._closing:
            connection.drain()
        if received:
            connection.dataReceived(received)
        return connection

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: gone, before it asked anything."""
        self._patience.over()
        fault = (self._fault or getattr(reason.value, "reason", "handshake_aborted")) if self._handshaking else ""
        self.listener.closed(self, fault)

    def drain(self) -> None:
        """Serve the request that may be on its way, no other."""
        self._closing = True
        self._patience.draining()

    def abort_now(self) -> None:
        """End the connection."""
        self.transport.abortConnection()

    def late(self, violation: Violation) -> None:
        """From patience: a few bytes came, and nothing after them."""
        self._become(http2=False).late(violation)

    def idle_over(self) -> None:
        """From patience: nothing came."""
        self.transport.loseConnection()

    linger_over = idle_over

    def give_up(self, reason: str) -> None:
        """From patience: the handshake took too long."""
        self._fault = reason
        self.transport.abortConnection()

    def __repr__(self) -> str:
        state = "shaking hands" if self._handshaking else "closing" if self._closing else "silent"
        return f"<Opening {self.peer}:{self.peer_port} {state}>"
