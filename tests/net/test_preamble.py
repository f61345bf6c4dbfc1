"""Tests of edgegw.net.preamble: first our bytes, then the protocol's, on each kind of transport and under TLS."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from edgegw.net import endpoints
from edgegw.net.accepting import listen
from edgegw.net.endpoints import connect
from edgegw.net.loop import is_native
from edgegw.net.preamble import PreambleFactory
from edgegw.net.sockets import TcpPlace
from edgegw.net.tls import ServerTls, wrap_server
from edgegw.net.tls_transport import TlsFactory
from edgegw.testing.memory import MemoryTransport
from tests.net.recorder import Once, Recorder
from tests.net.tlspair import AnyClient, store

HELLO = b"PROXY UNKNOWN\r\n"


class Greeting(Recorder):
    """Speaks as soon as it can."""

    def connectionMade(self) -> None:
        super().connectionMade()
        self.transport.write(b"inner")


class FactoryTests(SynchronousTestCase):
    def test_order_and_hand_over(self) -> None:
        inner = Greeting()
        transport = MemoryTransport(PreambleFactory(Once(inner), HELLO).buildProtocol(None))
        transport.connect()
        self.assertEqual(transport.writes, [HELLO, b"inner"])
        self.assertIs(transport.protocol, inner)
        transport.deliver(b"answer")
        transport.lose()
        self.assertEqual(inner.events, ["made", "data", ("lost", "ConnectionDone")])

    def test_a_factory_that_refuses(self) -> None:
        self.assertIsNone(PreambleFactory(Once(), HELLO).buildProtocol(None))

    def test_the_factory_lives_as_without_it(self) -> None:
        told: list[str] = []
        factory = Factory()
        factory.doStart, factory.doStop = lambda: told.append("start"), lambda: told.append("stop")
        wrapped = PreambleFactory(factory, HELLO)
        wrapped.doStart()
        wrapped.doStop()
        self.assertEqual(told, ["start", "stop"])


class Suite:
    """Over sockets. Subclasses say which transports."""

    timeout = 20
    native = False

    def setUp(self) -> None:
        self.patch(endpoints, "is_native", lambda _: self.native)

    async def reach(self, server: Any, client: Any) -> None:
        port = listen(reactor, TcpPlace("127.0.0.1", 0), server)
        self.addCleanup(port.stop)
        where = TcpPlace("127.0.0.1", port.getHost().port)
        await connect(reactor, where, PreambleFactory(client, HELLO))

    async def end(self, *recorders: Recorder) -> None:
        for recorder in recorders:
            recorder.transport.abortConnection()
        for recorder in recorders:
            await recorder.until_lost()

    async def test_clear_text(self) -> None:
        server, client = Recorder(), Greeting()
        await self.reach(Once(server), Once(client))
        await server.until_bytes(len(HELLO) + 5)
        self.assertEqual(bytes(server.received), HELLO + b"inner")
        server.transport.write(b"answer")
        await client.until_bytes(6)
        self.assertIs(client.transport.protocol, client)
        await self.end(server, client)

    async def test_tls_begins_behind_it(self) -> None:
        server, client = Recorder(), Greeting()
        inside = wrap_server(Once(server), ServerTls(store()), Clock())

        class Reader(Protocol):
            """Takes the preamble off, then TLS goes on."""

            def __init__(self) -> None:
                self.received = b""

            def dataReceived(self, data: bytes) -> None:
                self.received += data
                if len(self.received) >= len(HELLO):
                    protocol: Any = inside.buildProtocol(None)
                    self.transport.protocol = protocol
                    protocol.makeConnection(self.transport)
                    protocol.dataReceived(self.received[len(HELLO) :])

        reader = Reader()
        await self.reach(Once(reader), TlsFactory(AnyClient(sni=b"shop.example.com"), True, Once(client), Clock()))
        await server.until_bytes(5)
        self.assertEqual(bytes(server.received), b"inner")
        self.assertTrue(reader.received.startswith(HELLO))
        server.transport.write(b"answer")
        await client.until_bytes(6)
        await self.end(server, client)


class StockTests(Suite, TestCase):
    """Twisted's own transports."""


if is_native(reactor):

    class NativeTests(Suite, TestCase):
        """The loop's transports."""

        native = True
