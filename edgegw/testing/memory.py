"""A transport in memory, on which a test plays the peer and the kernel."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IConsumer, IPushProducer, ITransport
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(ITransport, IConsumer, IPushProducer)
class MemoryTransport:
    """What a protocol sees as its transport.

    Attributes:
        writes: what was written, write by write. ended: the words of its end, in order (`lose`, `abort`, `half_close`).
        reading: the protocol wants data. producer: whom backpressure reaches.
        stuck: bytes that the peer has not taken, as `edgegw.net.stall` reads them; set by `congest`.
    """

    def __init__(self, protocol: Any, peer: str = "192.0.2.1") -> None:
        self.protocol = protocol
        self.writes: list[bytes] = []
        self.ended: list[str] = []
        self.reading = True
        self.producer: Any = None
        self.congested = False
        self.connected = True
        self.disconnecting = False
        self.stuck = 0
        self._inbox: list[bytes] = []
        self._peer = IPv4Address("TCP", peer, 50000)

    # The test's side.

    def connect(self) -> None:
        """The connection stands."""
        self.protocol.makeConnection(self)

    def deliver(self, data: bytes) -> None:
        """Bytes from the peer: handed on when the protocol reads, else kept as the kernel would."""
        self._inbox.append(data)
        self.settle()

    def settle(self) -> None:
        """Hand on what waits, as long as the protocol reads."""
        while self._inbox and self.reading and self.connected:
            self.protocol.dataReceived(self._inbox.pop(0))

    @property
    def undelivered(self) -> int:
        """Bytes that wait because the protocol does not read."""
        return sum(map(len, self._inbox))

    @property
    def written(self) -> bytes:
        """Everything that was written."""
        return b"".join(self.writes)

    def congest(self, stuck: int = 1) -> None:
        """The peer takes nothing: the send buffer is full."""
        self.congested = True
        self.stuck = stuck
        if self.producer is not None:
            self.producer.pauseProducing()

    def relieve(self) -> None:
        """The peer took everything."""
        self.congested = False
        self.stuck = 0
        if self.producer is not None:
            self.producer.resumeProducing()
        if self.disconnecting:
            self._close(ConnectionDone())
        self.settle()

    def lose(self, reason: BaseException | None = None) -> None:
        """The peer closed, or the connection broke."""
        self._close(reason or ConnectionDone())

    def _close(self, reason: BaseException) -> None:
        if self.connected:
            self.connected = False
            self.protocol.connectionLost(Failure(reason))

    def unsent_bytes(self) -> int:
        return self.stuck

    # The protocol's side.

    def write(self, data: bytes) -> None:
        if self.connected and not self.disconnecting and "half_close" not in self.ended:
            self.writes.append(data)

    def writeSequence(self, iovec: Any) -> None:
        self.write(b"".join(iovec))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        if self.producer is not None:
            raise RuntimeError(f"{self.producer!r} was never unregistered")
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = True

    def stopProducing(self) -> None:
        self.loseConnection()

    def loseConnection(self) -> None:
        if not self.disconnecting and self.connected:
            self.ended.append("lose")
            self.disconnecting = True
            if not self.congested:
                self._close(ConnectionDone())

    def abortConnection(self) -> None:
        if self.connected:
            self.ended.append("abort")
            self.disconnecting = True
            self._close(ConnectionAborted())

    def loseWriteConnection(self) -> None:
        self.ended.append("half_close")

    def getPeer(self) -> Any:
        return self._peer

    def getHost(self) -> Any:
        return IPv4Address("TCP", "192.0.2.254", 80)
