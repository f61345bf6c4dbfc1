"""Downstream connections over real sockets: on Twisted's stock transports and on the loop's, in clear text and over TLS."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, wrapClientTLS
from twisted.internet.protocol import connectionDone
from twisted.internet.task import Clock, deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from edgegw.exchange.body import HIGH_WATER, Body
from edgegw.exchange.model import Exchange, Response
from edgegw.net.accepting import listen
from edgegw.net.addresses import CidrSet
from edgegw.net.listener import ConnectionCap, Listener, Terms
from edgegw.net.loop import is_native
from edgegw.net.settings import Caps
from edgegw.net.sockets import TcpPlace
from edgegw.net.stall import unsent
from edgegw.net.tls import ServerTls
from edgegw.runtime.wheel import Wheel
from edgegw.testing.downstream import Script, Tally, answer, request
from edgegw.testing.exchanges import drain
from edgegw.wire.headers import Headers
from edgegw.wire.http1_limits import Http1Limits
from tests.net.recorder import Once, Recorder
from tests.net.tlspair import AnyClient, store

OK = answer("200 OK", "Content-Length: 0")
UPGRADE = request("GET /ws HTTP/1.1", "Connection: Upgrade", "Upgrade: echo")
MEBIBYTE = bytes(range(256)) * 4096


class Echo(Recorder):
    """Takes a connection over and sends everything back."""

    carried = (0, 0)

    def connect(self, transport: Any, received: bytes) -> Echo:
        self.transport = transport
        self.events.append("made")
        transport.registerProducer(self, True)
        if received:
            self.dataReceived(received)
        return self

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self.transport.write(data)

    def pauseProducing(self) -> None:
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        self.transport.resumeProducing()

    def stopProducing(self) -> None:
        pass

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)


class Through:
    """The source of a body that is another body."""

    def __init__(self, body: Body) -> None:
        self.pause, self.resume, self.cancel = body.pause, body.resume, body.cancel

    def start(self) -> None:
        """It flows already."""


class Suite:
    """The suite. Subclasses say which transports and whether TLS."""

    timeout = 20
    secure = False
    native = False

    async def open(self, *steps: Any) -> None:
        """A listener with this script, on a wheel that the test turns."""
        self.clock = Clock()
        self.wheel = Wheel(self.clock)
        self.wheel.start()
        self.script = Script(*steps)
        self.counts = Tally()
        tls = ServerTls(store()) if self.secure else None
        terms = Terms(Caps(), Http1Limits(), self.script, tls, CidrSet(()))
        current = SimpleNamespace(snapshot=None)
        self.listener = Listener("test", terms, current, self.clock, self.wheel, ConnectionCap(100), self.counts)  # type: ignore[arg-type]
        self.listener.date = lambda: (b"date", b"Date", b"today")
        if self.native:
            port: Any = listen(reactor, TcpPlace("127.0.0.1", 0), self.listener, admit=self.listener.admit)
        else:
            port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(self.listener)
        self.addCleanup(port.stopListening)
        self.port_number = port.getHost().port

    async def client(self) -> Recorder:
        """A peer; torn down after the test."""
        peer = Recorder()
        endpoint: Any = TCP4ClientEndpoint(reactor, "127.0.0.1", self.port_number)
        if self.secure:
            endpoint = wrapClientTLS(AnyClient(sni=b"shop.example.com"), endpoint)
        await endpoint.connect(Once(peer))
        self.addCleanup(self.tear_down, peer)
        return peer

    def tear_down(self, peer: Recorder) -> Deferred[None]:
        if not any(event[0] == "lost" for event in peer.events):
            peer.transport.abortConnection()
        return peer.until_lost()

    async def turn_until_lost(self, peer: Recorder) -> None:
        """Let the gateway's time go by until it has closed the connection."""
        for _ in range(200):
            if any(event[0] == "lost" for event in peer.events):
                return
            self.clock.advance(1)
            await deferLater(reactor, 0.01)
        self.fail("the connection is still there")

    async def until(self, holds: Any) -> None:
        while not holds():
            await deferLater(reactor, 0.005)

    async def test_requests_one_after_another(self) -> None:
        await self.open(Response(200), Response.of(200, b"hello"))
        peer = await self.client()
        peer.transport.write(request())
        await peer.until_bytes(len(OK))
        peer.transport.write(request("GET / HTTP/1.1", "Connection: close"))
        await peer.until_lost()
        self.assertTrue(bytes(peer.received).startswith(OK))
        self.assertTrue(peer.received.endswith(b"hello"))
        self.assertEqual(peer.events[-1], ("lost", "ConnectionDone"))
        await self.until(lambda: not self.listener.connections)

    async def test_takeover(self) -> None:
        tunnel = Echo()
        await self.open(Response(101, Headers.of([(b"Upgrade", b"echo")]), takeover=tunnel))
        peer = await self.client()
        peer.transport.write(UPGRADE + b"early")
        await peer.until(lambda: peer.received.endswith(b"\r\n\r\nearly"))
        head = len(peer.received)
        peer.transport.write(MEBIBYTE)
        await peer.until_bytes(head + len(MEBIBYTE))
        self.assertEqual(bytes(peer.received[head:]), MEBIBYTE)
        peer.transport.loseConnection()
        await tunnel.until_lost()
        await self.until(lambda: self.script.outcomes)
        self.assertTrue(self.script.outcomes[0].complete)

    async def test_takeover_that_waited_for_its_answer(self) -> None:
        tunnel = Echo()
        await self.open()
        peer = await self.client()
        peer.transport.write(UPGRADE)
        await self.until(lambda: self.script.waiting)
        peer.transport.write(b"early ")
        (connection,) = self.listener.connections
        await self.until(lambda: connection._read_paused)
        peer.transport.write(b"bird")
        self.script.reply(Response(101, Headers.of([(b"Upgrade", b"echo")]), takeover=tunnel))
        await peer.until(lambda: peer.received.endswith(b"\r\n\r\nearly bird"))

    async def test_backpressure_both_ways(self) -> None:
        def mirror(exchange: Exchange) -> Response:
            upload = exchange.request.body
            body = Body(upload.length, Through(upload))
            upload.attach(body)
            return Response(200, body=body)

        await self.open(mirror)
        peer = await self.client()
        size = 32 * len(MEBIBYTE)
        peer.transport.write(request("PUT / HTTP/1.1", f"Content-Length: {size}"))
        await peer.until(lambda: peer.received.endswith(b"\r\n\r\n"))
        peer.transport.pauseProducing()
        for _ in range(32):
            peer.transport.write(MEBIBYTE)
        (connection,) = self.listener.connections
        await self.until(lambda: connection._read_paused)
        self.assertLess(connection._sent, size)
        before = unsent(connection.transport)[0]
        self.assertLess(before, 16 * HIGH_WATER)
        peer.transport.resumeProducing()
        await self.until(lambda: self.script.outcomes)
        await peer.until(lambda: len(peer.received) > size)
        self.assertEqual(bytes(peer.received[-size:]), MEBIBYTE * 32)
        self.assertEqual(self.script.outcomes[0].bytes_out, size)

    async def test_early_answer_can_be_read_by_a_peer_that_goes_on_sending(self) -> None:
        await self.open(Response.of(413, b"too much"))
        peer = await self.client()
        peer.transport.write(request("PUT / HTTP/1.1", "Content-Length: 100000000"))
        for _ in range(20):
            peer.transport.write(MEBIBYTE)
        await peer.until(lambda: peer.received.endswith(b"too much"))
        self.assertIn(b"Connection: close", peer.received)
        await self.turn_until_lost(peer)

    async def test_pipelined_answers_survive_the_close(self) -> None:
        await self.open(*[Response(200)] * 50)
        self.listener.apply(Terms(Caps(requests=3), Http1Limits(), self.script, self.listener.tls, CidrSet(())))
        peer = await self.client()
        peer.transport.write(request() * 50)
        await peer.until(lambda: peer.received.count(b"HTTP/1.1 200 OK") == 3)
        await peer.until(lambda: b"Connection: close" in peer.received)
        await self.turn_until_lost(peer)
        self.assertEqual(peer.received.count(b"HTTP/1.1 200 OK"), 3)

    async def test_peer_that_leaves_cancels_the_responder(self) -> None:
        await self.open()
        peer = await self.client()
        peer.transport.write(request())
        await self.until(lambda: self.script.waiting)
        peer.transport.loseConnection()
        await self.until(lambda: self.script.outcomes)
        self.assertEqual(self.script.cancelled, 1)

    async def test_torn_answer_is_short(self) -> None:
        body = Body(10)
        await self.open(lambda _: Response(200, body=body))
        peer = await self.client()
        peer.transport.write(request())
        await peer.until(lambda: peer.received.endswith(b"\r\n\r\n"))
        body.write(b"abc")
        await peer.until(lambda: peer.received.endswith(b"abc"))
        self.listener.abort()
        await peer.until_lost()
        await self.until(lambda: not self.listener.connections)

    async def test_drain(self) -> None:
        await self.open()
        peer = await self.client()
        peer.transport.write(request())
        await self.until(lambda: self.script.waiting)
        drained = self.listener.drain()
        self.script.reply(Response(200))
        await peer.until_lost()
        self.assertIn(b"Connection: close", peer.received)
        await drained

    async def test_slow_reader_of_the_last_answer_gets_all_of_it(self) -> None:
        await self.open()
        peer = await self.client()
        peer.transport.write(request())
        await self.until(lambda: self.script.waiting)
        peer.transport.pauseProducing()
        self.script.reply(Response(200, body=Body.of(MEBIBYTE * 8), close=True))
        await self.until(lambda: self.script.outcomes)
        for _ in range(5):
            self.clock.advance(10)
        peer.transport.resumeProducing()
        await peer.until_lost()
        self.assertTrue(peer.received.endswith(MEBIBYTE))
        self.assertGreater(len(peer.received), len(MEBIBYTE) * 8)

    async def test_upload(self) -> None:
        await self.open(Response(200))
        sinks: list[Any] = []

        async def take(exchange: Exchange) -> Response:
            sinks.append(drain(exchange.request.body))
            done: Deferred[None] = Deferred()
            sinks[-1].end = lambda trailers: done.callback(None)
            await done
            return Response(200)

        self.script.steps = [take]
        peer = await self.client()
        peer.transport.write(request("PUT / HTTP/1.1", f"Content-Length: {len(MEBIBYTE)}") + MEBIBYTE)
        await peer.until_bytes(len(OK))
        self.assertEqual(sinks[0].data, MEBIBYTE)


class StockTests(Suite, TestCase):
    pass


class StockTlsTests(Suite, TestCase):
    secure = True


if is_native(reactor):

    class NativeTests(Suite, TestCase):
        native = True

    class NativeTlsTests(Suite, TestCase):
        native = secure = True
