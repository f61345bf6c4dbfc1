"""What the tests of `edgegw.net` share: a protocol that records what it sees, and two ways to connect a pair of them."""

import hashlib
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from edgegw.net.endpoints import NativeClientEndpoint, NativeServerEndpoint, TcpPlace

BIG = bytes(range(256)) * 4096 * 8  # 8 MiB: more than the kernel's buffers on both sides hold.
CHUNKS = [BIG[i : i + 100_000] for i in range(0, len(BIG), 100_000)]


def digest(data: bytes) -> str:
    """A short stand-in for bytes that nobody wants to see in a failure."""
    return hashlib.sha256(data).hexdigest()


class Recorder(Protocol):
    """Writes down everything that reaches it; runs of data count as one event."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.received = bytearray()
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []
        self.at: dict[str, Callable[[], None]] = {}

    def note(self, event: Any) -> None:
        self.events.append(event)
        self.react(event if isinstance(event, str) else event[0])

    def react(self, name: str) -> None:
        """Run what the test wants to happen at this event, then wake the test."""
        try:
            self.at.get(name, lambda: None)()
        finally:
            self.check()

    def check(self) -> None:
        due = [wait for wait in self._waiting if wait[0]()]
        self._waiting = [wait for wait in self._waiting if wait not in due]
        for _, deferred in due:
            deferred.callback(None)

    def until(self, holds: Callable[[], bool]) -> "Deferred[None]":
        deferred: Deferred[None] = Deferred()
        self._waiting.append((holds, deferred))
        self.check()
        return deferred

    def until_bytes(self, count: int) -> "Deferred[None]":
        return self.until(lambda: len(self.received) >= count)

    def until_event(self, name: str) -> "Deferred[None]":
        return self.until(lambda: any((e if isinstance(e, str) else e[0]) == name for e in self.events))

    def until_lost(self) -> "Deferred[None]":
        return self.until_event("lost")

    def connectionMade(self) -> None:
        self.note("made")

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        if self.events[-1] == "data":
            self.react("data")
        else:
            self.note("data")

    def connectionLost(self, reason: Any) -> None:
        self.note(("lost", reason.type.__name__))


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Recorder):
    """A recorder that keeps its side open when the other closes."""

    def readConnectionLost(self) -> None:
        self.note("read lost")

    def writeConnectionLost(self) -> None:
        self.note("write lost")


class Producer:
    """Writes `chunks` as fast as it is allowed to, then unregisters. Records what it is told."""

    def __init__(self, transport: Any, chunks: list[bytes], log: list[Any] | None = None) -> None:
        self.transport = transport
        self.chunks = chunks
        self.log: list[Any] = [] if log is None else log
        self.running = True

    def start(self) -> None:
        self.transport.registerProducer(self, True)
        self.run()

    def run(self) -> None:
        while self.running and self.chunks:
            self.transport.write(self.chunks.pop(0))
        if self.running and not self.chunks:
            self.running = False
            self.transport.unregisterProducer()

    def pauseProducing(self) -> None:
        self.log.append("pause")
        self.running = False

    def resumeProducing(self) -> None:
        self.log.append("resume")
        self.running = True
        reactor.callLater(0, self.run)

    def stopProducing(self) -> None:
        self.log.append("stop")
        self.running = False


class PullProducer:
    """Writes one chunk each time it is asked, then unregisters."""

    def __init__(self, transport: Any, chunks: list[bytes]) -> None:
        self.transport = transport
        self.chunks = chunks
        self.asked = 0

    def resumeProducing(self) -> None:
        self.asked += 1
        if self.chunks:
            self.transport.write(self.chunks.pop(0))
        else:
            self.transport.unregisterProducer()

    def stopProducing(self) -> None:
        self.chunks.clear()


class Once(Factory):
    """Hands out the given protocol once, noisy about nothing."""

    noisy = False

    def __init__(self, *protocols: Protocol) -> None:
        self.protocols = list(protocols)
        self.peers: list[Any] = []

    def buildProtocol(self, addr: Any) -> Any:
        self.peers.append(addr)
        return self.protocols.pop(0) if self.protocols else None


class Pairs(TestCase):
    """A test case that connects pairs of recorders; subclasses say over which transports."""

    timeout = 20

    def server_endpoint(self) -> Any:
        raise NotImplementedError

    def client_endpoint(self, port: int) -> Any:
        raise NotImplementedError

    async def pair(self, server: Any = None, client: Any = None) -> tuple[Any, Any]:
        """Connect two recorders, the accepted one first; both are torn down after the test."""
        server = Recorder() if server is None else server
        client = Recorder() if client is None else client
        port = await self.server_endpoint().listen(Once(server))
        self.addCleanup(port.stopListening)
        await self.client_endpoint(port.getHost().port).connect(Once(client))
        self.addCleanup(self.tear_down, server, client)
        await server.until_event("made")
        return server, client

    def tear_down(self, *recorders: Recorder) -> "Deferred[Any]":
        for recorder in recorders:
            recorder.at.clear()
            recorder.transport.unregisterProducer()
            recorder.transport.abortConnection()
        return DeferredList([recorder.until_lost() for recorder in recorders])

    async def settle(self) -> None:
        """Let the loop run until other connections have got their bytes through: whoever could read has read."""
        server, client = await self.pair()
        server.at["data"] = lambda: server.transport.write(b"x")
        for count in range(1, 6):
            client.transport.write(b"x")
            await client.until_bytes(count)


class StockPairs(Pairs):
    """Twisted's own TCP transports."""

    native = False

    def server_endpoint(self) -> Any:
        return TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")

    def client_endpoint(self, port: int) -> Any:
        return TCP4ClientEndpoint(reactor, "127.0.0.1", port)


class NativePairs(Pairs):
    """The loop's transports behind the adapter."""

    native = True

    def server_endpoint(self) -> Any:
        return NativeServerEndpoint(reactor, TcpPlace("127.0.0.1", 0))

    def client_endpoint(self, port: int) -> Any:
        return NativeClientEndpoint(reactor, TcpPlace("127.0.0.1", port))
