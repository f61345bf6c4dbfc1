"""Tests of edgegw.upstream.health.tcp_probe: over loopback, with and without TLS."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from edgegw.net.resolver import Resolver
from edgegw.net.tls import ServerTls, UpstreamTls, wrap_server
from edgegw.runtime.wheel import Wheel
from edgegw.upstream.address import EndpointSettings
from edgegw.upstream.connect import Connector
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.health.interfaces import ProbeFailed
from edgegw.upstream.health.settings import TcpProbeSettings
from edgegw.upstream.health.tcp_probe import LARGEST, LINGER_S, Talk, TcpProbe
from edgegw.upstream.pool import PoolSettings
from tests.net.tlspair import AUTHORITY, SHOP, store


class TalkTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.wheel = Wheel(self.clock)
        self.wheel.start()

    def talk(self, send: bytes = b"PING\r\n", expect: bytes = b"+PONG") -> tuple[Talk, StringTransport]:
        talk, transport = Talk(send, expect, self.wheel), StringTransport()
        talk.makeConnection(transport)  # type: ignore[no-untyped-call]
        return talk, transport

    def test_in_pieces_of_any_size(self) -> None:
        for size in range(1, 12):
            talk, transport = self.talk()
            heard = talk.heard()
            self.assertEqual(transport.value(), b"PING\r\n")
            data = b"hello+PO+PONG\r\n"
            for at in range(0, len(data), size):
                talk.dataReceived(data[at : at + size])
            self.successResultOf(heard)

    def test_it_may_come_before_anybody_asks(self) -> None:
        talk, _ = self.talk(b"", b"220 ")
        talk.dataReceived(b"220 mail\r\n")
        self.successResultOf(talk.heard())

    def test_not_what_is_expected(self) -> None:
        for said, reason in ((b"-ERR\r\n", "another answer"), (b"", "closed without an answer")):
            talk, _ = self.talk()
            heard = talk.heard()
            talk.dataReceived(said)
            talk.connectionLost()
            self.assertEqual(self.failureResultOf(heard, ProbeFailed).value.reason, reason)

    def test_not_within_the_first_64_kib(self) -> None:
        talk, _ = self.talk(b"", b"needle")
        heard = talk.heard()
        for _ in range(16):
            talk.dataReceived(b"x" * 4096)
        self.failureResultOf(heard, ProbeFailed)
        talk, _ = self.talk(b"", b"needle")
        talk.dataReceived(b"x" * (LARGEST - 5) + b"needle")
        self.failureResultOf(talk.heard(), ProbeFailed)

    def test_a_peer_that_does_not_let_go(self) -> None:
        talk, transport = self.talk(b"", b"")
        self.successResultOf(talk.heard())
        talk.leave()
        self.assertTrue(transport.disconnecting)
        cut: list[bool] = []
        transport.abortConnection = lambda: cut.append(True)  # type: ignore[method-assign]
        self.clock.advance(LINGER_S + 0.2)
        self.assertEqual(cut, [True])
        talk.connectionLost()
        self.assertEqual(len(self.wheel), 0)


class Server(Protocol):
    """Answers PING with +PONG and remembers how it ended."""

    transport: Any

    def connectionMade(self) -> None:
        self.factory.seen.append(self)  # type: ignore[union-attr]
        self.received = b""
        self.ended: Deferred[str] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        if self.received.endswith(b"PING\r\n"):
            self.transport.write(b"+PONG\r\n")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        # A failure would be raised.
        self.ended.callback(type(reason.value).__name__)


class LoopbackTests(TestCase):
    timeout = 30

    def setUp(self) -> None:
        self.wheel = Wheel(reactor)  # type: ignore[arg-type]
        self.wheel.start()
        self.addCleanup(self.wheel.stop)
        self.resolver = Resolver(reactor, lambda name: succeed(["127.0.0.1"]))  # type: ignore[arg-type]
        self.addCleanup(self.resolver.stop)
        self.seen: list[Server] = []

    def endpoint(self, scheme: str = "http", introduced: Any = None) -> Endpoint:
        factory: Any = Factory.forProtocol(Server)
        factory.seen = self.seen
        if scheme == "https":
            factory = wrap_server(factory, ServerTls(store(SHOP, alpn=(b"http/1.1",))), reactor)  # type: ignore[arg-type]
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")  # type: ignore[attr-defined]
        self.addCleanup(port.stopListening)
        tls = UpstreamTls(authorities=[AUTHORITY.cert])
        connector = Connector(reactor, self.wheel, self.resolver, tls, 3.0)
        url = f"{scheme}://shop.example.com:{port.getHost().port}"
        return Endpoint(EndpointSettings(url=url), PoolSettings(), connector, self.wheel, introduced)

    def ask(self, endpoint: Endpoint, **said: str) -> Deferred[str]:
        return Deferred.fromCoroutine(TcpProbe(TcpProbeSettings(**said), self.wheel).probe(endpoint, 2.0))

    async def test_connecting_is_enough(self) -> None:
        for scheme in ("http", "https"):
            self.assertEqual(await self.ask(self.endpoint(scheme)), "connected")
        for server in self.seen:
            self.assertEqual(await server.ended, "ConnectionDone")

    async def test_send_and_expect(self) -> None:
        for scheme in ("http", "https"):
            said = await self.ask(self.endpoint(scheme), send="PING\r\n", expect="hex:2b504f4e47")
            self.assertEqual(said, "answered")
        for server in self.seen:
            self.assertEqual(await server.ended, "ConnectionDone")
            self.assertEqual(server.received, b"PING\r\n")

    async def test_introduces_itself(self) -> None:
        await self.ask(self.endpoint(introduced="v1"), send="PING\r\n", expect="+PONG")
        await self.seen[0].ended
        self.assertEqual(self.seen[0].received, b"PROXY UNKNOWN\r\nPING\r\n")

    async def test_cancelled(self) -> None:
        asking = self.ask(self.endpoint(), send="nothing", expect="+PONG")
        while not self.seen or not self.seen[0].received:
            await _turn()
        asking.cancel()
        await self.assertFailure(asking, CancelledError)
        self.assertEqual(await self.seen[0].ended, "ConnectionLost")


def _turn() -> Deferred[None]:
    turned: Deferred[None] = Deferred()
    reactor.callLater(0, turned.callback, None)  # type: ignore[attr-defined]
    return turned
